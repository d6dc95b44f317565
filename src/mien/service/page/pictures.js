/** Pictures on their way to the service: read, measured, made smaller only where they must be. */

import { Problem } from "./problem.js";

/** @typedef {import("./types.js").Limits} Limits */
/** @typedef {{blob: Blob, shown: ?Blob, width: number, height: number, thumb: ?HTMLCanvasElement}} Prepared */

const TAKEN = new Set(["image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif"]);
const MAY_MOVE = new Set(["image/gif", "image/webp"]);
const THUMB = 112;
const ENVELOPE = 4096; // bytes of a form around its one file

/**
 * A picture as it is sent, and as it is shown.
 *
 * It is sent as it is where the service takes it so. One that is too large, or of a kind that only the browser knows,
 * is drawn anew as JPEG. One that the browser cannot read is sent as it is: the service says best what is wrong.
 *
 * @param {File} file
 * @param {Limits} limits
 * @returns {Promise<Prepared>}
 */
export async function prepare(file, limits) {
  await expectReadable(file);
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return { blob: file, shown: null, width: 0, height: 0, thumb: null };
  try {
    const { width, height } = bitmap;
    const known = TAKEN.has(file.type);
    const fits = file.size <= limits.max_bytes - ENVELOPE && width * height <= limits.max_pixels;
    const blob = known && fits ? file : await shrink(bitmap, limits);
    // The service looks at the first frame; a moving picture would leave its boxes behind.
    const shown = MAY_MOVE.has(file.type) ? await still(bitmap) : file;
    return { blob, shown, width, height, thumb: thumbnail(bitmap, width, height) };
  } finally {
    bitmap.close();
  }
}

/**
 * A picture as JPEG within the limits.
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

/** @param {ImageBitmap} bitmap */
const still = (bitmap) => toBlob(draw(bitmap, bitmap.width, bitmap.height, 1, false), "image/png");

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
    const failed = () => reject(new Problem("The picture is too large for this browser.", "Make it smaller."));
    canvas.toBlob((blob) => (blob ? resolve(blob) : failed()), type, quality);
  });

/** @param {File} file */
async function expectReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem(`${file.name} cannot be read.`, "Was it moved or deleted? Choose it again.");
  }
}
