/** A chart of one face over time: a lane for each expression, so that names and not colors tell them apart. */

import { color, colorsOf, typeface } from "./palette.js";

/** @typedef {import("./types.js").Row} Row */

export const LANE = 26; // CSS pixels
const NAMES = 84; // for the names at the left
const FOOT = 20; // for the times below

/**
 * @typedef {object} Plot
 * @property {Row[]} rows
 * @property {?number} track  the face
 * @property {string[]} labels
 * @property {number} from  seconds at the left
 * @property {number} to  seconds at the right
 * @property {number} step  usual seconds between rows
 * @property {?number} playhead  seconds
 * @property {boolean} live  whether the right is now
 */

/** @param {number} lanes */
export const heightOf = (lanes) => lanes * LANE + FOOT;

/** Seconds at a place of the chart. @param {Plot} plot @param {number} x @param {number} width */
export const secondsAt = ({ from, to }, x, width) =>
  Math.min(to, Math.max(from, from + ((x - NAMES) / (width - NAMES)) * (to - from)));

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Plot} plot
 */
export function drawChart(canvas, plot) {
  const [width, height] = [canvas.clientWidth, heightOf(plot.labels.length)];
  const context = fit(canvas, width, height);
  const x = (seconds) => NAMES + ((seconds - plot.from) / (plot.to - plot.from || 1)) * (width - NAMES);
  const ink = { line: color("--line"), text: color("--ink"), muted: color("--muted"), edge: color("--edge") };
  context.font = `13px ${typeface()}`;
  const spans = spansOf(plot);
  plot.labels.forEach((label, i) => drawLane(context, plot, label, (i + 1) * LANE, spans, x, ink, width));
  drawTimes(context, plot, x, ink, height, width);
  if (plot.playhead !== null) {
    context.fillStyle = ink.text;
    context.fillRect(Math.round(x(plot.playhead)) - 1, 0, 2, height - FOOT);
  }
}

/** A canvas of the device's own pixels, drawn on in CSS pixels. */
function fit(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  canvas.style.height = `${height}px`;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The stretches in which the face is seen: lists of [seconds, face]. */
function spansOf({ rows, track, labels, from, step }) {
  /** @type {[number, import("./types.js").Face][][]} */
  const spans = [];
  let last = -Infinity;
  for (const { seconds, faces } of rows) {
    if (seconds < from) continue;
    const face = faces.find((one) => one.track === track);
    if (!face || !labels.every((label) => label in face.probabilities)) continue; // not seen, or of another label set
    if (seconds - last > 3 * step + 0.05) spans.push([]);
    spans[spans.length - 1].push([seconds, face]);
    last = seconds;
  }
  return spans;
}

function drawLane(context, { step }, label, bottom, spans, x, ink, width) {
  context.fillStyle = ink.line;
  context.fillRect(NAMES, bottom - 1, width - NAMES, 1);
  context.fillStyle = ink.text;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(label, 0, bottom - 7, NAMES - 8);
  const most = LANE - 5;
  context.fillStyle = colorsOf(label).fill;
  context.strokeStyle = ink.edge;
  context.lineWidth = 1;
  for (const span of spans) {
    const path = new Path2D();
    const end = x(span.at(-1)[0] + step);
    path.moveTo(x(span[0][0]), bottom - 1);
    for (const [seconds, face] of span) path.lineTo(x(seconds), bottom - 1 - most * face.probabilities[label]);
    path.lineTo(end, bottom - 1 - most * span.at(-1)[1].probabilities[label]);
    path.lineTo(end, bottom - 1);
    context.fill(path);
    context.stroke(path);
  }
}

function drawTimes(context, { from, to, live }, x, ink, height, width) {
  context.fillStyle = ink.muted;
  context.textBaseline = "bottom";
  const gap = niceGap((to - from) / Math.max(1, (width - NAMES) / 90));
  for (let seconds = 0; seconds <= to - from + 1e-6; seconds += gap) {
    const place = x(live ? to - seconds : from + seconds);
    context.textAlign = place > width - 20 ? "right" : place < NAMES + 20 ? "left" : "center";
    const ago = seconds ? `−${short(seconds, gap)}` : "now";
    context.fillText(live ? ago : short(seconds, gap), place, height);
  }
}

const niceGap = (least) => [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((gap) => gap >= least) ?? 3600;

function short(seconds, gap) {
  if (gap < 1) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
