// The page: open an image, detect and classify its faces, show the probabilities.

import { Classifier } from "./classifier.js";
import { cropFace, cropSquare, toGray } from "./crop.js";
import { Detector } from "./detector.js";

// Okabe and Ito's colors, distinguishable with any kind of color vision, as in mien.palette.
const COLORS = {
  angry: "#d55e00", disgust: "#009e73", fear: "#cc79a7", happy: "#f0e442", sad: "#0072b2", surprise: "#56b4e9",
  neutral: "#9aa3ad", contempt: "#e69f00",
};
const OTHERS = Object.values(COLORS);
const MOST_PIXELS = 12_000_000; // larger images are reduced
const LEAST_SELECTION = 12; // pixels; shorter drags are clicks

const element = (id) => document.getElementById(id);
const canvas = element("image");
const context = canvas.getContext("2d");
let classifier, detector, bitmap, gray;
let faces = []; // { box, crop, probabilities }
let openings = 0; // of images
let turn = 0; // of recognitions; an image or answer that arrives after a later one began is dropped

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

async function start() {
  try {
    [classifier, detector] = await Promise.all([Classifier.open("model.onnx"), Detector.open("detector.onnx")]);
    element("file").disabled = false;
    say("Ready. Open an image, or drop one on this page.");
  } catch (error) {
    say(error.message, true);
  }
}

async function open(file) {
  if (!file || !classifier) return;
  const opening = (openings += 1);
  say(`Recognizing ${file.name}…`);
  const image = await decode(file).catch(() => null);
  if (opening !== openings) return;
  if (!image) {
    say(`${file.name} is not an image that this browser can read.`, true);
    return;
  }
  bitmap = image;
  gray = toGray(bitmap);
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  await recognize();
}

async function decode(file) {
  const whole = await createImageBitmap(file);
  const scale = Math.sqrt(MOST_PIXELS / (whole.width * whole.height));
  if (scale >= 1) return whole;
  const resizeWidth = Math.round(whole.width * scale);
  const resizeHeight = Math.round(whole.height * scale);
  return createImageBitmap(whole, { resizeWidth, resizeHeight, resizeQuality: "high" });
}

async function recognize() {
  const current = (turn += 1);
  const started = performance.now();
  const { width, height } = bitmap;
  faces = [];
  const whole = element("whole").checked;
  const boxes = whole ? [{ x: 0, y: 0, width, height }] : await detector.detect(bitmap);
  for (const box of boxes) {
    if (!(await add(box, whole ? cropSquare : cropFace, current))) return;
  }
  if (current !== turn) return;
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  const count = `${faces.length} face${faces.length === 1 ? "" : "s"} in ${seconds} s.`;
  say(faces.length ? count : "No face found. Drag over a face to select it, or use the center square.");
  show();
}

/** Classifies a face and lists it, and says whether its image is still the current one. */
async function add(box, cropOf, current) {
  if (current !== turn) return false;
  const crop = cropOf(gray, box, classifier.input.width);
  const probabilities = await classifier.probabilities(crop);
  if (current !== turn) return false;
  faces.push({ box, crop, probabilities });
  return true;
}

async function select(box) {
  if (!(await add(box, cropSquare, turn))) return;
  say(`${faces.length} face${faces.length === 1 ? "" : "s"}, the last one selected by you.`);
  show();
}

function colorOf(name) {
  return COLORS[name] ?? OTHERS[classifier.classNames.indexOf(name) % OTHERS.length];
}

function best({ probabilities }) {
  return classifier.classNames[probabilities.indexOf(Math.max(...probabilities))];
}

function show(selection) {
  context.drawImage(bitmap, 0, 0);
  const width = Math.max(2, bitmap.width / 250);
  for (const [i, face] of faces.entries()) {
    outline(face.box, colorOf(best(face)), width);
    label(`${i + 1} ${best(face)}`, face.box, colorOf(best(face)));
  }
  if (selection) outline(selection, "#ffffff", width);
  else element("faces").replaceChildren(...faces.map(item));
  globalThis.results = faces.map(({ box, probabilities }) => ({ box, probabilities }));
}

function outline({ x, y, width, height }, color, lineWidth) {
  context.lineWidth = 2 * lineWidth;
  context.strokeStyle = "#0d0f12";
  context.strokeRect(x, y, width, height);
  context.lineWidth = lineWidth;
  context.strokeStyle = color;
  context.strokeRect(x, y, width, height);
}

function label(text, box, color) {
  const size = Math.max(13, bitmap.width / 45);
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = context.measureText(text).width + size;
  const x = Math.max(0, Math.min(box.x, bitmap.width - width));
  const y = Math.max(0, box.y - 1.5 * size);
  context.fillStyle = color;
  context.fillRect(x, y, width, 1.5 * size);
  context.fillStyle = color === COLORS.sad ? "#ffffff" : "#0d0f12";
  context.fillText(text, x + size / 2, y + 1.1 * size);
}

function item(face, index) {
  const entry = node("li", "face");
  const details = node("div");
  details.append(node("h2", "", `${index + 1}. ${best(face)}`));
  for (const [i, name] of classifier.classNames.entries()) {
    const percent = 100 * face.probabilities[i];
    const row = node("div", "row");
    const track = node("div", "track");
    const bar = node("div", "bar");
    bar.style.width = `${percent}%`;
    bar.style.background = colorOf(name);
    track.append(bar);
    row.append(node("span", "name", name), track, node("span", "number", `${percent.toFixed(1)}%`));
    details.append(row);
  }
  entry.append(thumbnail(face.crop), details);
  return entry;
}

function thumbnail(crop) {
  const { width, height } = classifier.input;
  const small = Object.assign(document.createElement("canvas"), { width, height });
  const data = new ImageData(width, height);
  crop.forEach((value, i) => data.data.set([value, value, value, 255], 4 * i));
  small.getContext("2d").putImageData(data, 0, 0);
  return small;
}

function node(tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** A pointer on the canvas, in pixels of the image. */
function place(event) {
  const bounds = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - bounds.left) * canvas.width) / bounds.width,
    y: ((event.clientY - bounds.top) * canvas.height) / bounds.height,
  };
}

let from;

function selectionTo({ x, y }) {
  const box = { x: Math.min(x, from.x), y: Math.min(y, from.y) };
  return { ...box, width: Math.abs(x - from.x), height: Math.abs(y - from.y) };
}

canvas.addEventListener("pointerdown", (event) => {
  if (!bitmap) return;
  canvas.setPointerCapture(event.pointerId);
  from = place(event);
});
canvas.addEventListener("pointermove", (event) => from && show(selectionTo(place(event))));
canvas.addEventListener("pointerup", (event) => {
  const box = from && selectionTo(place(event));
  from = undefined;
  if (box && Math.min(box.width, box.height) >= LEAST_SELECTION) select(box);
  else if (box) show();
});
element("file").addEventListener("change", (event) => open(event.target.files[0]));
element("whole").addEventListener("change", () => bitmap && recognize());
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  open(event.dataTransfer.files[0]);
});

start();
