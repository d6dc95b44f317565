/** Heat maps: what in a face spoke for its expression, as a small image and the way it lies over the large one. */

/** @typedef {import("./types.js").Heat} Heat */

const CROP = 48; // side of the crop that the transform leads to
const SIDE = 96; // pixels of the image that is made
const EDGE = 12; // over which it fades out
const OPACITY = 0.62;

/** Matplotlib's inferno, at equal steps. */
const INFERNO = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];

/**
 * A heat map in colors, transparent where it is cold.
 * @param {Heat} heat
 * @returns {HTMLCanvasElement}
 */
export function heatCanvas({ values }) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = context.createImageData(SIDE, SIDE);
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      const level = Math.min(1, Math.max(0, smooth(values, x, y)));
      const cover = OPACITY * fade(x) * fade(y) * (0.2 + 0.8 * level);
      pixels.data.set([...inferno(level), Math.round(255 * cover)], 4 * (y * SIDE + x));
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * The way from that image's pixels to those of the image with the face, as `DOMMatrix` takes it.
 *
 * The service's transform leads from image to crop and counts from the middle of the first pixel; a canvas counts
 * from its corner.
 * @param {Heat} heat
 * @returns {DOMMatrix}
 */
export function wayToImage({ transform: [[a, c, e], [b, d, f]] }) {
  return new DOMMatrix()
    .translate(0.5, 0.5)
    .multiply(new DOMMatrix([a, b, c, d, e, f]).inverse())
    .translate(-0.5, -0.5)
    .scale(CROP / SIDE);
}

/** The value at a pixel, by cubic interpolation (Catmull-Rom) along both axes. */
function smooth(values, x, y) {
  const down = ((y + 0.5) * values.length) / SIDE - 0.5;
  const across = ((x + 0.5) * values[0].length) / SIDE - 0.5;
  const row = (i) => cubic((j) => at(at(values, i), j), across);
  return cubic(row, down);
}

const at = (list, i) => list[Math.min(list.length - 1, Math.max(0, i))];

function cubic(value, place) {
  const i = Math.floor(place);
  const t = place - i;
  const [p, q, r, s] = [value(i - 1), value(i), value(i + 1), value(i + 2)];
  return q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)));
}

function fade(i) {
  const t = Math.min(1, Math.min(i, SIDE - 1 - i) / EDGE);
  return t * t * (3 - 2 * t);
}

function inferno(level) {
  const place = level * (INFERNO.length - 1);
  const i = Math.min(INFERNO.length - 2, Math.floor(place));
  return INFERNO[i].map((low, k) => Math.round(low + (place - i) * (INFERNO[i + 1][k] - low)));
}
