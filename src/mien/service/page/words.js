/** What the page says about results, in one place, for eyes and for screen readers alike. */

import { isDoubtful, isUncertain } from "./doubt.js";

/** @typedef {import("./types.js").Face} Face */

const MOST_TOLD = 5;

/** @param {number} share  from 0 to 1 */
export const percent = (share) => `${Math.round(100 * share)}%`;

/** "happy", or "happy?" where it is only a guess. @param {Face} face */
export const named = (face) => `${face.label}${isDoubtful(face) && !isUncertain(face) ? "?" : ""}`;

/** @param {Face} face */
export const told = (face) => `${named(face)} ${percent(face.score)}`;

/** @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/**
 * "2 faces: happy 93%, neutral 71%".
 * @param {Face[]} faces
 */
export function summary(faces) {
  if (!faces.length) return "No face found";
  const more = faces.length > MOST_TOLD ? `, and ${faces.length - MOST_TOLD} more` : "";
  return `${count(faces.length, "face")}: ${faces.slice(0, MOST_TOLD).map(told).join(", ")}${more}`;
}

/**
 * "1:05.2".
 * @param {number} seconds
 */
export function clock(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return `${Math.floor(tenths / 600)}:${rest}`;
}

/**
 * The probabilities of a face, the highest first.
 * @param {Face} face
 * @returns {[string, number][]}
 */
export const ranked = (face) => Object.entries(face.probabilities).sort((one, other) => other[1] - one[1]);
