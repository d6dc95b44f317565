/** Boxes, and faces carried from one size of an image to another. */

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Face} Face */

/**
 * Faces found in a smaller copy, as they lie in the image itself.
 * @param {Face[]} faces
 * @param {number} factor  how many times larger the image is
 * @returns {Face[]}
 */
export function enlarge(faces, factor) {
  if (factor === 1) return faces;
  return faces.map((face) => ({
    ...face,
    box: /** @type {Box} */ (map(face.box, (value) => Math.round(value * factor))),
    landmarks: face.landmarks && map(face.landmarks, (point) => point.map((value) => value * factor)),
    heat: face.heat && { ...face.heat, transform: face.heat.transform.map((row) => enlargeRow(row, factor)) },
  }));
}

/**
 * The map counts from the middle of the first pixel, and the middle moves with the size.
 * @param {number[]} row
 * @param {number} factor
 */
const enlargeRow = ([a, b, c], factor) => {
  const shift = 0.5 / factor - 0.5;
  return [a / factor, b / factor, c + (a + b) * shift];
};

const map = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));

/** @param {Box} one @param {Box} other */
export function common(one, other) {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  return Math.max(0, width) * Math.max(0, height);
}

/** Share of their union that two boxes have in common, 0 to 1. @param {Box} one @param {Box} other */
export function overlap(one, other) {
  const shared = common(one, other);
  return shared / (one.width * one.height + other.width * other.height - shared || 1);
}

/** @param {Box} box @param {{width: number, height: number}} room */
export const within = (box, room) =>
  box.x >= 0 && box.y >= 0 && box.x + box.width <= room.width && box.y + box.height <= room.height;
