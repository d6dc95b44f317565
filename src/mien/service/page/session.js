/** `Session`: the items, the selected one, and the options. Views draw it; they never change it by themselves. */

import { labelOf, storedThreshold } from "./doubt.js";
import { Series } from "./series.js";

/** @typedef {import("./types.js").Face} Face */
/** @typedef {"waiting" | "working" | "done" | "failed"} Status */

const LIVE_ROWS = 1200; // of the webcam: a minute at twenty a second

/** An image, a video or the webcam. */
export class Item {
  static #count = 0;
  id = (Item.#count += 1);
  /** @type {Status} */
  status = "waiting";
  url = ""; // of what the browser shows
  size = { width: 0, height: 0 };
  /** @type {?HTMLCanvasElement} */
  thumb = null;
  /** @type {?Blob} */
  blob = null; // what is sent
  /** @type {Face[]} */
  faces = [];
  /** @type {?Series} */
  series = null;
  /** @type {?import("./problem.js").Problem} */
  problem = null;
  note = ""; // what was left out of a file that was done
  model = "";
  question = ""; // what its faces answer: label set, and how many frames
  explained = false; // whether they have heat maps
  asked = { question: "", explain: false }; // of the last request, whatever came of it
  /** @type {?number} */
  chosen = 0; // index of a face in an image, track in a video
  live = false; // a webcam that runs
  time = 0; // seconds, of a video
  duration = 0;
  playable = true;
  /** @type {?AbortController} */
  work = null;

  /**
   * @param {"image" | "video" | "camera"} kind
   * @param {string} name
   * @param {?File} [file]
   */
  constructor(kind, name, file = null) {
    this.kind = kind;
    this.name = name;
    this.file = file;
    if (kind !== "image") this.series = new Series(kind === "camera" ? LIVE_ROWS : undefined);
  }

  /** Identity of a face among this item's. @param {Face} face @param {number} index */
  keyOf(face, index) {
    return this.series ? (face.track ?? index) : index;
  }

  /** What a face is called: in a video its track, in an image its place. @param {Face} face @param {number} index */
  numberOf(face, index) {
    return this.series ? (face.track ?? index + 1) : index + 1;
  }

  /** Labels all faces anew. @param {number} threshold  score below which a face is uncertain */
  relabel(threshold) {
    const faces = [...this.faces, ...(this.series?.rows.flatMap((row) => row.faces) ?? [])];
    for (const face of faces) face.label = labelOf(face.probabilities, threshold);
  }

  /** The chosen face, if it is there now. */
  get face() {
    return this.faces.find((face, i) => this.keyOf(face, i) === this.chosen) ?? null;
  }

  /** Whether nothing came of it but a problem. */
  get lost() {
    return this.problem !== null && !this.faces.length && !this.series?.rows.length;
  }

  /** Shows other bytes; the address of those before is given back. @param {?Blob} blob */
  show(blob) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = blob ? URL.createObjectURL(blob) : "";
  }

  /** Lets everything go. */
  release() {
    this.work?.abort();
    this.show(null);
    this.blob = this.file = this.thumb = null;
  }
}

export class Session {
  /** @type {Item[]} */
  items = [];
  /** @type {?Item} */
  item = null;
  /** @type {?import("./types.js").Model} */
  model = null;
  /** @type {import("./types.js").Options} */
  options = { labelSet: null, explain: false, every: 3, threshold: storedThreshold() };

  /** @param {() => void} changed  called after every change */
  constructor(changed) {
    this.changed = changed;
  }

  /** @param {Item} item */
  add(item) {
    this.items.push(item);
    this.changed();
  }

  /** @param {Item} item */
  select(item) {
    this.item = item;
    this.changed();
  }

  /** @param {number} key */
  choose(key) {
    if (this.item) this.item.chosen = key;
    this.changed();
  }

  /** Takes an item off the table; the one beside it is looked at. @param {Item} item */
  remove(item) {
    const place = this.items.indexOf(item);
    this.items.splice(place, 1);
    item.release();
    if (this.item === item) this.item = this.items[Math.min(place, this.items.length - 1)] ?? null;
    this.changed();
  }

  /** @param {Partial<import("./types.js").Options>} options */
  set(options) {
    Object.assign(this.options, options);
    if (options.threshold !== undefined) this.items.forEach((item) => item.relabel(options.threshold ?? 0));
    this.changed();
  }

  /** What the service takes. @returns {import("./types.js").Limits} */
  get limits() {
    return this.model?.limits ?? { max_bytes: Infinity, max_pixels: Infinity };
  }

  /**
   * All class names of the label set in which an item was answered; of the chosen set while there is no answer.
   *
   * The webcam's rows stay in the set in which they came: they cannot be asked for again.
   * @param {?Item} item
   * @returns {string[]}
   */
  labelsOf(item) {
    const sets = this.model?.label_sets ?? {};
    const chosen = sets[this.options.labelSet ?? ""] ?? Object.values(sets)[0] ?? [];
    const face = item?.faces[0] ?? item?.series?.rows.findLast((row) => row.faces.length)?.faces[0];
    if (!face) return chosen;
    const answers = (labels) => labels.length > 0 && labels.every((label) => label in face.probabilities);
    return [chosen, ...Object.values(sets)].find(answers) ?? Object.keys(face.probabilities);
  }
}
