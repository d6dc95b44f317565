/** Faces whose expression is in doubt: below the threshold that the user sets they are `uncertain`. */

import { learnLabels } from "./palette.js";

/** @typedef {import("./types.js").Face} Face */

/** The label of a face whose score is below the threshold, as in the API. */
export const UNCERTAIN = "uncertain";

/** The same where a class of the model is called `uncertain`. */
const LOW_CONFIDENCE = "low confidence";

/** @param {Object<string, number>} probabilities */
export const uncertainLabel = (probabilities) => (UNCERTAIN in probabilities ? LOW_CONFIDENCE : UNCERTAIN);

/** Whether no expression of a face reaches the threshold. @param {Face} face */
export const isUncertain = ({ label, probabilities }) => label === uncertainLabel(probabilities ?? {});

/** A score below this is shown as a guess, as in annotated copies: see mien.recognition.drawing. */
export const UNSURE_BELOW = 0.4;

const KEY = "mien-min-confidence";

/** @param {Face} face */
export const isDoubtful = (face) => isUncertain(face) || face.score < UNSURE_BELOW;

/**
 * Labels of probabilities: the highest, or `uncertain` where it is below a threshold.
 * @param {Object<string, number>} probabilities
 * @param {number} threshold
 */
export function labelOf(probabilities, threshold) {
  const [label, share] = Object.entries(probabilities).reduce((best, one) => (one[1] > best[1] ? one : best));
  learnLabels(Object.keys(probabilities));
  return share < threshold ? uncertainLabel(probabilities) : label;
}

/**
 * The threshold at which the user left it, 0 to 1; 0 where there is none.
 *
 * Storage may be forbidden; then a choice lasts as long as the page.
 */
export function storedThreshold() {
  try {
    const value = Number(localStorage.getItem(KEY));
    return value > 0 && value <= 1 ? value : 0;
  } catch {
    return 0;
  }
}

/** @param {number} threshold */
export function storeThreshold(threshold) {
  try {
    localStorage.setItem(KEY, String(threshold));
  } catch {
    // Told above.
  }
}
