/** The annotated image as a file: what is shown on the stage, at the size of the image. */

import { isDoubtful } from "./doubt.js";
import { heatCanvas, wayToImage } from "./heat.js";
import { placePanel, placeTags } from "./layout.js";
import { color, colorsOf, typeface } from "./palette.js";
import { toBlob } from "./images.js";
import { percent, ranked, told } from "./words.js";

/** @typedef {import("./session.js").Item} Item */

const LONGEST = 8192; // pixels; browsers make no much larger canvas
const BARS = 4;

/**
 * @param {Item} item
 * @param {CanvasImageSource} image
 * @param {boolean} explain  with heat maps
 * @returns {Promise<Blob>}  PNG
 */
export function annotate(item, image, explain) {
  const { width, height } = item.size;
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(scale, scale);
  context.drawImage(image, 0, 0, width, height);
  if (explain) for (const { heat } of item.faces) if (heat) drawHeat(context, heat);
  drawFaces(context, item);
  return toBlob(canvas, "image/png");
}

function drawHeat(context, heat) {
  context.save();
  const { a, b, c, d, e, f } = wayToImage(heat);
  context.transform(a, b, c, d, e, f);
  context.drawImage(heatCanvas(heat), 0, 0);
  context.restore();
}

function drawFaces(context, item) {
  const { width, height } = item.size;
  const unit = Math.max(3, Math.sqrt(width * height) / 180); // a quarter of a line of text
  context.font = `600 ${4 * unit}px ${typeface()}`;
  context.textBaseline = "middle";
  const boxes = item.faces.map((face) => face.box);
  const texts = item.faces.map(told);
  const sizes = texts.map((text) => ({ width: context.measureText(text).width + 3 * unit, height: 6 * unit }));
  const places = placeTags(item.size, boxes, sizes, unit);
  item.faces.forEach((face, i) => drawBox(context, face, unit));
  places.forEach((place, i) => place && drawTag(context, place, item.faces[i].label, texts[i], unit));
  if (item.face) drawPanel(context, item, boxes, places, unit);
}

/** A dashed line where the expression is in doubt. */
function drawBox(context, face, unit) {
  const { box, label } = face;
  for (const [line, ink] of [[1.4 * unit, "rgb(13 15 18 / 60%)"], [0.9 * unit, colorsOf(label).fill]]) {
    context.strokeStyle = ink;
    context.lineWidth = line;
    context.beginPath();
    context.roundRect(box.x, box.y, box.width, box.height, 1.5 * unit);
    context.setLineDash(isDoubtful(face) && line < unit ? [3 * unit, 3 * unit] : []);
    context.stroke();
  }
  context.setLineDash([]);
}

function drawTag(context, place, label, text, unit) {
  const { fill, ink } = colorsOf(label);
  rounded(context, place, 1.2 * unit, fill);
  context.fillStyle = ink;
  context.textAlign = "left";
  context.fillText(text, place.x + 1.5 * unit, place.y + place.height / 2);
}

function drawPanel(context, item, boxes, places, unit) {
  const entries = ranked(item.face).slice(0, BARS);
  const size = { width: 52 * unit, height: (entries.length * 6 + 3) * unit };
  const own = item.faces.indexOf(item.face);
  const avoid = [...boxes.filter((_, i) => i !== own), ...places.filter(Boolean)];
  const place = placePanel(item.size, boxes[own], size, avoid, 2 * unit, boxes.length === 1);
  if (!place) return;
  rounded(context, place, 1.5 * unit, color("--veil"));
  context.font = `${3.6 * unit}px ${typeface()}`;
  entries.forEach((entry, i) => drawBar(context, entry, place, place.y + (4.5 + 6 * i) * unit, unit));
}

function drawBar(context, [label, share], place, middle, unit) {
  const track = { x: place.x + 22 * unit, y: middle - unit, width: 17 * unit, height: 2 * unit };
  context.fillStyle = color("--on-veil");
  context.textAlign = "left";
  context.fillText(label, place.x + 2 * unit, middle, 19 * unit);
  context.textAlign = "right";
  context.fillText(percent(share), place.x + place.width - 2 * unit, middle);
  rounded(context, track, unit, "rgb(255 255 255 / 22%)");
  rounded(context, { ...track, width: Math.max(2 * unit, track.width * share) }, unit, colorsOf(label).fill);
}

function rounded(context, { x, y, width, height }, radius, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
  context.fill();
}
