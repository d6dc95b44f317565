/** Images on their way to the service: read, measured, scaled down only where they must be. */

import { lookInto } from "./chunks.js";
import { called, kindOf } from "./kinds.js";
import { Problem } from "./problem.js";

/** @typedef {import("./types.js").Limits} Limits */
/** @typedef {?HTMLCanvasElement} Thumb */
/** @typedef {{blob: Blob, shown: ?Blob, width: number, height: number, thumb: Thumb, note: string}} Prepared */

const TAKEN = new Set(["image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif"]);
const FIRST_FRAME = "Animated image: only the first frame is shown and processed.";
const THUMB = 112;
const ENVELOPE = 4096; // bytes of a form around its one file

/** What a canvas does for each EXIF orientation from 2 on, of an image of that width and height. */
const TURNS = {
  2: (w) => [-1, 0, 0, 1, w, 0], 3: (w, h) => [-1, 0, 0, -1, w, h], 4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0], 6: (w, h) => [0, 1, -1, 0, h, 0], 7: (w, h) => [0, -1, -1, 0, h, w],
  8: (w) => [0, -1, 1, 0, 0, w],
};

/**
 * An image as it is sent, and as it is shown: always the same still, so that boxes lie where the service saw faces.
 *
 * A file is both as it is, where the service takes it and surely sees what the browser shows. Of one that moves or is
 * turned by a tag, the first frame is drawn upright; one of a kind that only the browser knows is drawn as JPEG. What
 * is too large is sent smaller. One that the browser cannot read is sent as it is: the service says best what is wrong.
 *
 * @param {File} file
 * @param {Limits} limits
 * @param {boolean} [redrawn]  whether a file that could be sent as it is is drawn anew too
 * @returns {Promise<Prepared>}
 */
export async function prepare(file, limits, redrawn = false) {
  await expectReadable(file);
  const { type } = await kindOf(file);
  const insight = await lookInto(file, type);
  const bitmap = await decode(insight.untagged ?? called(file, type), insight.orientation);
  if (!bitmap) return { blob: file, shown: null, width: 0, height: 0, thumb: null, note: "" };
  try {
    const { width, height } = bitmap;
    const plain = !redrawn && TAKEN.has(type) && !insight.moves && !insight.untagged;
    const shown = plain ? called(file, type) : await still(bitmap, TAKEN.has(type));
    const fits = shown.size <= limits.max_bytes - ENVELOPE && width * height <= limits.max_pixels;
    const blob = fits ? shown : await shrink(bitmap, limits);
    const note = insight.moves ? FIRST_FRAME : "";
    return { blob, shown, width, height, thumb: thumbnail(bitmap, width, height), note };
  } finally {
    bitmap.close();
  }
}

/**
 * The first frame, upright; null where the browser cannot read it.
 * @param {Blob} blob
 * @param {number} orientation  that the browser does not see
 * @returns {Promise<?ImageBitmap>}
 */
async function decode(blob, orientation) {
  const bitmap = await createImageBitmap(blob).catch(() => null);
  const turn = TURNS[orientation];
  if (!bitmap || !turn) return bitmap;
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = orientation >= 5 ? [height, width] : [width, height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(...turn(width, height));
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return createImageBitmap(canvas).catch(() => Promise.reject(tooLarge()));
}

/**
 * An image as JPEG within the limits.
 * @param {ImageBitmap} bitmap
 * @param {Limits} limits
 * @returns {Promise<Blob>}
 */
async function shrink(bitmap, limits) {
  let scale = Math.min(1, 0.999 * Math.sqrt(limits.max_pixels / (bitmap.width * bitmap.height)));
  for (;;) {
    const blob = await toBlob(draw(bitmap, bitmap.width, bitmap.height, scale), "image/jpeg", 0.92);
    if (blob.size <= limits.max_bytes - ENVELOPE || scale * Math.min(bitmap.width, bitmap.height) < 32) return blob;
    scale *= Math.min(0.9, Math.sqrt((limits.max_bytes - ENVELOPE) / blob.size));
  }
}

/**
 * A small copy, for the strip.
 * @param {CanvasImageSource} source
 * @param {number} width
 * @param {number} height
 */
export const thumbnail = (source, width, height) => draw(source, width, height, THUMB / Math.min(width, height));

/** @param {ImageBitmap} bitmap @param {boolean} exact  to the last bit, see-through parts included */
const still = (bitmap, exact) =>
  toBlob(draw(bitmap, bitmap.width, bitmap.height, 1, !exact), exact ? "image/png" : "image/jpeg", 0.95);

/**
 * @param {CanvasImageSource} source
 * @param {number} width  of the source
 * @param {number} height
 * @param {number} scale  at most 1
 * @param {boolean} [opaque]  what is transparent is laid on white, as the service does
 */
function draw(source, width, height, scale, opaque = true) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(width * Math.min(1, scale)));
  canvas.height = Math.max(1, Math.floor(height * Math.min(1, scale)));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  if (opaque) {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} type
 * @param {number} [quality]
 * @returns {Promise<Blob>}
 */
export const toBlob = (canvas, type, quality) =>
  new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(tooLarge())), type, quality);
  });

const tooLarge = () => new Problem("The image is too large for this browser.", "Scale it down.");

/** @param {File} file */
export async function expectReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem("The file cannot be read.", "It may have been moved or deleted; choose it again.");
  }
}
