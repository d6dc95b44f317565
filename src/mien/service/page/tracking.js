/** `Tracker`: the same face from one webcam image to the next, its probabilities steadied. */

import { labelOf } from "./doubt.js";
import { overlap } from "./geometry.js";

/** @typedef {import("./types.js").Face} Face */

const SAME = 0.3; // overlap of two boxes of one face
const FORGET = 1; // seconds
const SETTLE = 0.35; // seconds in which probabilities follow most of a change

export class Tracker {
  #count = 0;
  /** @type {{face: Face, seconds: number}[]} */
  #known = [];

  /**
   * The faces of the next image, with their tracks.
   * @param {Face[]} faces
   * @param {number} seconds
   * @returns {Face[]}
   */
  follow(faces, seconds) {
    const left = this.#known.filter((one) => seconds - one.seconds <= FORGET);
    const followed = faces.map((face) => {
      const before = take(left, face);
      if (!before) return { ...face, track: (this.#count += 1) };
      return { ...steady(face, before.face, seconds - before.seconds), track: before.face.track };
    });
    this.#known = [...followed.map((face) => ({ face, seconds })), ...left];
    return followed;
  }
}

/** The known face that lies most where this one does, taken out of those that are left. */
function take(left, face) {
  const overlaps = left.map((one) => overlap(one.face.box, face.box));
  const best = overlaps.indexOf(Math.max(...overlaps));
  return overlaps[best] >= SAME ? left.splice(best, 1)[0] : null;
}

/** @param {Face} face @param {Face} before @param {number} seconds @returns {Face} */
function steady(face, before, seconds) {
  const labels = Object.keys(face.probabilities);
  if (labels.some((label) => !(label in before.probabilities))) return face; // another label set
  const share = 1 - Math.exp(-seconds / SETTLE);
  const mixed = labels.map((label) => {
    const old = before.probabilities[label];
    return /** @type {[string, number]} */ ([label, old + share * (face.probabilities[label] - old)]);
  });
  const probabilities = Object.fromEntries(mixed);
  return { ...face, label: labelOf(probabilities, 0), score: Math.max(...Object.values(probabilities)), probabilities };
}
