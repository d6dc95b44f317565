/** Boxes, tags, bars and heat maps over the image: elements placed in shares of it, sharp at every size. */

import { bar } from "./bars.js";
import { find, make } from "./dom.js";
import { isDoubtful } from "./doubt.js";
import { heatCanvas, wayToImage } from "./heat.js";
import { placePanel, placeTags } from "./layout.js";
import { tint } from "./palette.js";
import { ranked, told } from "./words.js";

/** @typedef {import("./session.js").Item} Item */
/** @typedef {import("./types.js").Face} Face */

const GAP = 6; // CSS pixels
const BARS = 4; // of the chosen face, over the image
const SVG = "http://www.w3.org/2000/svg";

export class Overlay {
  #root = find(".overlay");
  #stage = find("#stage");
  #heat = find("svg.heat");
  /** @type {Map<number, {box: HTMLButtonElement, tag: HTMLElement}>} */
  #marks = new Map();
  #bars = make("div", { className: "bars", "aria-hidden": "true" });
  /** @type {?Item} */
  #item = null;
  /** @type {?Face[]} */
  #warm = null; // faces whose heat is drawn

  /** @param {(key: number) => void} choose */
  constructor(choose) {
    this.choose = choose;
    new ResizeObserver(() => this.#item && this.#place(this.#item)).observe(this.#root);
  }

  /** @param {?Item} item @param {boolean} explain */
  draw(item, explain) {
    if (this.#item !== item) this.#clear();
    this.#item = item;
    if (!item) return;
    this.#mark(item);
    this.#place(item);
    this.#drawHeat(item, explain);
  }

  #clear() {
    this.#marks.clear();
    this.#root.replaceChildren();
  }

  /** A box and a tag for each face; those of a face that stays are kept, so that they can glide. */
  #mark(item) {
    const keys = item.faces.map((face, i) => item.keyOf(face, i));
    for (const [key, { box, tag }] of this.#marks) {
      if (keys.includes(key)) continue;
      box.remove();
      tag.remove();
      this.#marks.delete(key);
    }
    item.faces.forEach((face, i) => this.#dress(this.#markOf(keys[i]), item, face, i, keys[i]));
  }

  #markOf(key) {
    let mark = this.#marks.get(key);
    if (!mark) {
      const box = make("button", { type: "button", className: "box" });
      mark = { box, tag: make("span", { className: "tag", "aria-hidden": "true" }) }; // the box is called so already
      mark.tag.append(make("b"), make("i"));
      mark.box.addEventListener("click", () => this.choose(key));
      this.#marks.set(key, mark);
      this.#root.append(mark.box, mark.tag);
    }
    return mark;
  }

  #dress({ box, tag }, item, face, index, key) {
    const chosen = key === item.chosen;
    const number = item.numberOf(face, index);
    const several = item.faces.length > 1 || (item.series?.trackCount ?? 0) > 1;
    box.setAttribute("aria-label", `Face ${number}: ${told(face)}`);
    box.setAttribute("aria-pressed", String(chosen));
    tag.classList.toggle("chosen", chosen);
    tag.style.setProperty("--share", String(face.score));
    box.classList.toggle("doubtful", isDoubtful(face));
    tag.firstChild.textContent = several ? String(number) : "";
    tag.lastChild.textContent = told(face);
    for (const element of [box, tag]) tint(element, face.label);
    put(box, shown(face.box, item), item.size);
  }

  /** Tags and bars, once it is known how much room there is. */
  #place(item) {
    const room = { width: this.#root.clientWidth, height: this.#root.clientHeight };
    if (!room.width || !item.size.width) return;
    const scale = room.width / item.size.width;
    const boxes = item.faces.map((face) => grown(shown(face.box, item), scale));
    const tags = item.faces.map((face, i) => this.#markOf(item.keyOf(face, i)).tag);
    const places = placeTags(room, boxes, tags.map(sizeOf), GAP);
    places.forEach((place, i) => {
      tags[i].classList.toggle("crowded", !place);
      put(tags[i], place ?? { ...boxes[i], ...sizeOf(tags[i]) }, room, false);
    });
    this.#placeBars(item, room, boxes, places);
  }

  /** The bars may stand beside the image too, as long as they are on the stage. */
  #placeBars(item, room, boxes, places) {
    const { face } = item;
    this.#bars.remove();
    if (!face) return;
    this.#bars.replaceChildren(...ranked(face).slice(0, BARS).map(bar));
    this.#root.append(this.#bars);
    const stage = sizeOf(this.#stage);
    const [across, down] = [(stage.width - room.width) / 2, (stage.height - room.height) / 2];
    const onStage = (box) => ({ ...box, x: box.x + across, y: box.y + down });
    const own = item.faces.indexOf(face);
    const avoid = [...boxes.filter((_, i) => i !== own), ...places.filter(Boolean)].map(onStage);
    const place = placePanel(stage, onStage(boxes[own]), sizeOf(this.#bars), avoid, GAP + 2, boxes.length === 1);
    if (place) put(this.#bars, { ...place, x: place.x - across, y: place.y - down }, room, false);
    else this.#bars.remove();
  }

  #drawHeat(item, explain) {
    const faces = explain ? item.faces : null;
    this.#heat.setAttribute("viewBox", `0 0 ${item.size.width || 1} ${item.size.height || 1}`);
    if (this.#warm === faces) return;
    this.#warm = faces;
    const warm = (faces ?? []).filter((face) => face.heat);
    this.#heat.replaceChildren(...warm.map(({ heat }) => heatImage(heat)));
  }
}

/** A box as it is seen: a webcam's image is shown as in a mirror. */
const shown = (box, item) =>
  item.kind === "camera" ? { ...box, x: item.size.width - box.x - box.width } : box;

const grown = (box, scale) => ({
  x: box.x * scale, y: box.y * scale, width: box.width * scale, height: box.height * scale,
});

const sizeOf = (element) => ({ width: element.offsetWidth, height: element.offsetHeight });

function put(element, box, room, sized = true) {
  element.style.left = `${(100 * box.x) / room.width}%`;
  element.style.top = `${(100 * box.y) / room.height}%`;
  if (!sized) return;
  element.style.width = `${(100 * box.width) / room.width}%`;
  element.style.height = `${(100 * box.height) / room.height}%`;
}

function heatImage(heat) {
  const canvas = heatCanvas(heat);
  const image = document.createElementNS(SVG, "image");
  const { a, b, c, d, e, f } = wayToImage(heat);
  image.setAttribute("href", canvas.toDataURL());
  image.setAttribute("width", String(canvas.width));
  image.setAttribute("height", String(canvas.height));
  image.setAttribute("transform", `matrix(${a} ${b} ${c} ${d} ${e} ${f})`);
  return image;
}
