/** `Series`: the rows of a video or of the webcam in order of time, never more than so many. */

import { labelOf } from "./doubt.js";

/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Face} Face */

export class Series {
  /** @type {Row[]} */
  rows = [];
  /** @type {Map<number, number>} */
  #seen = new Map();
  #most;

  /** @param {number} [most]  rows that are kept; older ones go */
  constructor(most = Infinity) {
    this.#most = most;
  }

  /** @param {Row} row */
  add(row) {
    this.rows.push(row);
    this.#count(row, 1);
    if (this.rows.length > this.#most) this.#count(/** @type {Row} */ (this.rows.shift()), -1);
  }

  /** @param {Row} row @param {number} change */
  #count(row, change) {
    for (const { track } of row.faces) {
      if (track == null) continue;
      const times = (this.#seen.get(track) ?? 0) + change;
      if (times > 0) this.#seen.set(track, times);
      else this.#seen.delete(track);
    }
  }

  /** The face that is seen most, or null. */
  get lead() {
    let [lead, most] = [/** @type {?number} */ (null), 0];
    for (const [track, times] of this.#seen) if (times > most) [lead, most] = [track, times];
    return lead;
  }

  /** Seconds of the last row. */
  get end() {
    return this.rows.at(-1)?.seconds ?? 0;
  }

  /** Usual seconds between two rows. */
  get step() {
    const first = this.rows[0]?.seconds ?? 0;
    return this.rows.length > 1 ? (this.end - first) / (this.rows.length - 1) : 0;
  }

  /** Frames a second to a thousandth, from the times of the rows, whose numbers count those between as well; or null. */
  get rate() {
    const [first, last] = [this.rows[0], this.rows.at(-1)];
    if (!first || !last || last.seconds <= first.seconds) return null;
    return Math.round((1000 * (last.frame - first.frame)) / (last.seconds - first.seconds)) / 1000;
  }

  /** How many faces there are over time. */
  get trackCount() {
    return this.#seen.size;
  }

  /** What each face showed, in the order in which they came: see `summary`. @param {number} [threshold] */
  tracks(threshold = 0) {
    /** @type {Map<number, {seconds: number, probabilities: Object<string, number>}[]>} */
    const seen = new Map();
    for (const { seconds, faces } of this.rows) {
      for (const { track, probabilities } of faces) {
        if (track == null) continue;
        if (!seen.has(track)) seen.set(track, []);
        seen.get(track)?.push({ seconds, probabilities });
      }
    }
    return [...seen].map(([track, moments]) => summary(track, moments, threshold));
  }

  /**
   * Index of the row that is shown at a time, or -1.
   * @param {number} seconds
   */
  indexAt(seconds) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].seconds <= seconds + 1e-3) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /**
   * The faces at a time; none where its row has not come yet.
   * @param {number} seconds
   * @returns {Face[]}
   */
  facesAt(seconds) {
    const row = this.rows[this.indexAt(seconds)];
    return row && seconds - row.seconds <= 2 * this.step + 0.05 ? row.faces : [];
  }
}

/**
 * A face's time in the video and its mean probabilities, the highest first; where the label set was changed meanwhile,
 * those of the last one.
 * @param {number} track
 * @param {{seconds: number, probabilities: Object<string, number>}[]} moments
 * @param {number} threshold  mean probability below which its label is `uncertain`
 */
function summary(track, moments, threshold) {
  const [first, last] = [moments[0], moments[moments.length - 1]];
  const labels = Object.keys(last.probabilities);
  const alike = moments.filter(({ probabilities }) => labels.every((label) => label in probabilities));
  const mean = (label) => alike.reduce((sum, { probabilities }) => sum + probabilities[label], 0) / alike.length;
  const means = labels.map((label) => /** @type {[string, number]} */ ([label, mean(label)]));
  means.sort((one, other) => other[1] - one[1]);
  return {
    track,
    first_seconds: first.seconds,
    last_seconds: last.seconds,
    frames: moments.length,
    label: labelOf(Object.fromEntries(means), threshold),
    score: means[0][1],
    probabilities: Object.fromEntries(means),
  };
}
