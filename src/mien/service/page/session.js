/** `Session`: what is on the table, what is looked at, and how. Views draw it; they never change it by themselves. */

import { Series } from "./series.js";

/** @typedef {import("./types.js").Face} Face */
/** @typedef {"waiting" | "working" | "done" | "failed"} Status */

const LIVE_ROWS = 1200; // of the webcam: a minute at twenty a second

/** A picture, a film or the webcam. */
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
  model = "";
  question = ""; // what its faces answer: label set, and how many frames
  explained = false; // whether they have heat maps
  /** @type {?number} */
  chosen = 0; // index of a picture's face, track of a film's
  live = false; // a webcam that runs
  time = 0; // seconds, of a film
  duration = 0;
  playable = true;
  /** @type {?AbortController} */
  work = null;

  /**
   * @param {"picture" | "film" | "camera"} kind
   * @param {string} name
   * @param {?File} [file]
   */
  constructor(kind, name, file = null) {
    this.kind = kind;
    this.name = name;
    this.file = file;
    if (kind !== "picture") this.series = new Series(kind === "camera" ? LIVE_ROWS : undefined);
  }

  /** Identity of a face among this item's. @param {Face} face @param {number} index */
  keyOf(face, index) {
    return this.series ? (face.track ?? index) : index;
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
  options = { taxonomy: null, explain: false, every: 3 };

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
    this.changed();
  }

  /** What the service takes. @returns {import("./types.js").Limits} */
  get limits() {
    return this.model?.limits ?? { max_bytes: Infinity, max_pixels: Infinity };
  }

  /** The names that faces can get, in the model's order. */
  get labels() {
    const sets = this.model?.taxonomies ?? {};
    return sets[this.options.taxonomy ?? ""] ?? Object.values(sets)[0] ?? [];
  }
}
