/** The strip of thumbnails, to switch between images and videos. */

import { find, make } from "./dom.js";
import { count, summary } from "./words.js";

/** @typedef {import("./session.js").Item} Item */

const STATES = { waiting: "waiting", working: "being processed" };
const AIR = 16; // CSS pixels between an entry that is brought into sight and the strip's end

export class Strip {
  #root = find("#strip");
  /** @type {Map<Item, HTMLElement>} */
  #entries = new Map();

  /** @param {{select: (item: Item) => void, remove: (item: Item) => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.#root.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** @param {Item[]} items @param {?Item} current */
  draw(items, current) {
    this.#root.hidden = !items.length;
    for (const [item, entry] of this.#entries) {
      if (items.includes(item)) continue;
      entry.remove();
      this.#entries.delete(item);
    }
    for (const item of items) this.#fill(this.#entryOf(item), item, item === current);
  }

  /** @param {Item} item @returns {HTMLElement} */
  #entryOf(item) {
    const known = this.#entries.get(item);
    if (known) return known;
    const open = make("button", { type: "button", className: "thumb", onclick: () => this.actions.select(item) });
    const remove = make("button", { type: "button", className: "remove", textContent: "×", title: "Remove" });
    remove.setAttribute("aria-label", `Remove ${item.name}`);
    remove.addEventListener("click", () => this.#remove(item));
    const entry = make("li", {}, open, remove);
    this.#entries.set(item, entry);
    this.#root.append(entry);
    return entry;
  }

  #fill(entry, item, current) {
    const [open] = entry.children;
    const fresh = current && open.getAttribute("aria-current") !== "true";
    if (fresh) this.#bring(entry);
    open.setAttribute("aria-current", String(current));
    const told = `${item.name}: ${stateOf(item)}`;
    if (open.title !== told) {
      open.title = told;
      open.setAttribute("aria-label", told);
    }
    open.dataset.status = item.status;
    const content = item.thumb ?? open.querySelector("span") ?? make("span", { className: "thumb-name" });
    if (!item.thumb) content.textContent = item.status === "failed" ? item.name : nameOf(item);
    if (content.parentNode !== open) open.replaceChildren(content);
  }

  /** Scrolls the strip and nothing else: `scrollIntoView` would move the whole window. @param {HTMLElement} entry */
  #bring(entry) {
    const [strip, place] = [this.#root.getBoundingClientRect(), entry.getBoundingClientRect()];
    const beyond = Math.max(0, place.right + AIR - strip.right);
    this.#root.scrollLeft += beyond || Math.min(0, place.left - AIR - strip.left);
  }

  /** The focus goes on to what takes its place. */
  #remove(item) {
    const entry = this.#entries.get(item);
    const beside = entry?.nextElementSibling ?? entry?.previousElementSibling;
    this.actions.remove(item);
    (beside?.querySelector("button") ?? find("#main")).focus();
  }

  #walk(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.#root.querySelectorAll(".thumb")];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  }
}

/** A video's boxes are those of one moment; all of it is counted. */
function stateOf(item) {
  if (item.status === "failed") return `failed. ${item.problem?.text ?? ""}`.trim();
  if (item.kind === "video" && item.status === "done") return `${count(item.series.rows.length, "frame")} processed`;
  return STATES[item.status] ?? summary(item.faces);
}

const nameOf = (item) => ({ camera: "Webcam", video: "Video", image: "?" })[item.kind];
