/** The buttons and options above the image: which there are, and which can be used now. */

import { find, make } from "./dom.js";
import { storeThreshold, storedThreshold } from "./doubt.js";

/** @typedef {import("./session.js").Session} Session */

const button = (action) => find(`#work [data-action=${action}]`);

const TRUTHS = {
  fused: "Learned from FER2013's labels and FER+'s votes",
  fer2013: "FER2013's labels: many calm faces are sad or angry",
  ferplus: "FER+'s votes, with contempt",
};

/** A label set by size; FER2013's by name. */
function wordsOf(name, labels, all) {
  const text = name === "fer2013" && all.fused ? "FER2013" : `${labels.length} expressions`;
  return { text, title: TRUTHS[name] ?? "" };
}

export class Toolbar {
  #sets = find("#label-sets");
  #every = find("#every");
  #threshold = find("#threshold input");

  /** @param {(options: Partial<import("./types.js").Options>) => void} set */
  constructor(set) {
    this.set = set;
    find("select", this.#every).addEventListener("change", (event) => set({ every: Number(event.target.value) }));
    this.#threshold.value = String(Math.round(100 * storedThreshold()));
    this.#threshold.addEventListener("input", () => this.#setThreshold());
    this.#threshold.addEventListener("change", () => {
      this.#threshold.value = String(this.#setThreshold()); // what is not a number from 0 to 100 becomes one
    });
  }

  /** @returns {number}  percent */
  #setThreshold() {
    const percent = Math.min(100, Math.max(0, Math.round(Number(this.#threshold.value) || 0)));
    storeThreshold(percent / 100);
    this.set({ threshold: percent / 100 });
    return percent;
  }

  /** Offers the label sets, where the model has several. @param {import("./types.js").Model} model */
  offer({ label_sets: labelSets }) {
    const sets = Object.entries(labelSets);
    this.#sets.hidden = sets.length < 2;
    const choices = sets.map(([name, labels], i) => this.#choice(name, wordsOf(name, labels, labelSets), i === 0));
    this.#sets.replaceChildren(this.#sets.firstElementChild, ...choices);
  }

  #choice(name, { text, title }, checked) {
    const input = make("input", { type: "radio", name: "label-set", value: name, checked });
    input.addEventListener("change", () => this.set({ labelSet: name }));
    return make("label", { title }, input, make("span", { textContent: text }));
  }

  /** @param {Session} session */
  draw({ item, options }) {
    if (!item) return;
    const isVideo = item.kind === "video";
    this.#every.hidden = !isVideo;
    button("heat").hidden = isVideo;
    button("heat").setAttribute("aria-pressed", String(options.explain));
    button("camera").textContent = item.live ? "Stop webcam" : "Webcam";
    button("keep").hidden = !(item.live || (isVideo && item.playable));
    button("copy").disabled = !(item.status === "done" || item.series?.rows.length);
    button("download").hidden = isVideo || item.live;
    button("download").disabled = item.status !== "done" || !item.url;
  }
}
