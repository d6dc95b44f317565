/** The probabilities over time, below a video or the webcam; in a video it seeks, by pointer or by keys. */

import { drawChart, heightOf, secondsAt } from "./chart.js";
import { find } from "./dom.js";
import { clock, summary } from "./words.js";

/** @typedef {import("./session.js").Item} Item */

const WINDOW = 60; // seconds of the webcam that are shown
const LEAP = 5; // seconds, by page keys

export class Timeline {
  #root = find("#timeline");
  #title = find("#timeline-title");
  #chart = find(".chart", this.#root);
  #canvas = find("canvas", this.#root);
  /** @type {?Item} */
  #item = null;
  /** @type {?import("./chart.js").Plot} */
  #plot = null;

  /** @param {(seconds: number) => void} seek */
  constructor(seek) {
    this.seek = seek;
    new ResizeObserver(() => this.redraw()).observe(this.#chart);
    this.#chart.addEventListener("pointerdown", (event) => this.#drag(event));
    this.#chart.addEventListener("pointermove", (event) => event.buttons && this.#drag(event));
    this.#chart.addEventListener("keydown", (event) => this.#step(event));
  }

  /** @param {?Item} item @param {string[]} labels */
  draw(item, labels) {
    this.#item = item;
    this.#root.hidden = !item?.series || item.lost;
    if (this.#root.hidden || !item?.series) return;
    this.#plot = plotOf(item, labels);
    this.#title.textContent = this.#headline(item);
    this.#describe(item);
    this.redraw();
  }

  redraw() {
    if (this.#root.hidden || !this.#plot) return;
    this.#chart.style.height = `${heightOf(this.#plot.labels.length)}px`;
    drawChart(this.#canvas, this.#plot);
  }

  #headline(item) {
    const several = (item.series?.trackCount ?? 0) > 1 && item.chosen !== null;
    const who = several ? `Face ${item.chosen}` : "The face";
    return item.kind === "video" ? `${who} over the video` : `${who} in the last minute`;
  }

  /** A video's chart is a slider; a webcam's is an image. */
  #describe(item) {
    const isVideo = item.kind === "video";
    const roles = isVideo
      ? {
          role: "slider", tabindex: "0", "aria-label": "Time in the video", "aria-valuemin": 0,
          "aria-valuemax": lengthOf(item).toFixed(1), "aria-valuenow": item.time.toFixed(1),
          "aria-valuetext": `${clock(item.time)}: ${summary(item.faces)}`,
        }
      : { role: "img", "aria-label": `Probabilities over time. Now ${summary(item.faces)}` };
    for (const name of ["tabindex", "aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext"]) {
      if (!(name in roles)) this.#chart.removeAttribute(name);
    }
    for (const [name, value] of Object.entries(roles)) this.#chart.setAttribute(name, String(value));
    this.#chart.classList.toggle("seekable", isVideo);
  }

  #drag(event) {
    if (this.#item?.kind !== "video" || !this.#plot) return;
    const { left, width } = this.#chart.getBoundingClientRect();
    this.#chart.setPointerCapture(event.pointerId);
    this.seek(secondsAt(this.#plot, event.clientX - left, width));
  }

  #step(event) {
    const item = this.#item;
    if (item?.kind !== "video" || !item.series) return;
    const { rows } = item.series;
    const at = item.series.indexAt(item.time);
    const row = (i) => rows[Math.min(rows.length - 1, Math.max(0, i))]?.seconds ?? 0;
    const goals = {
      ArrowRight: row(at + 1), ArrowUp: row(at + 1), ArrowLeft: row(at - 1), ArrowDown: row(at - 1),
      PageUp: item.time + LEAP, PageDown: item.time - LEAP, Home: 0, End: item.series.end,
    };
    if (!(event.key in goals)) return;
    event.preventDefault();
    this.seek(Math.min(lengthOf(item), Math.max(0, goals[event.key])));
  }
}

/** @param {Item} item */
const lengthOf = (item) => Math.max(item.duration || 0, item.series?.end ?? 0);

function plotOf(item, labels) {
  const { series } = item;
  const isVideo = item.kind === "video";
  const to = isVideo ? lengthOf(item) || 1 : series.end;
  return {
    rows: series.rows, track: item.chosen, labels, step: series.step,
    from: isVideo ? 0 : to - WINDOW, to, playhead: isVideo ? item.time : null, live: !isVideo,
  };
}
