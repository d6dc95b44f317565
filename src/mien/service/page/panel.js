/** The list beside the image: its faces, all probabilities of the selected one; or what went wrong. */

import { bar } from "./bars.js";
import { find, make } from "./dom.js";
import { isDoubtful, isUncertain } from "./doubt.js";
import { tint } from "./palette.js";
import { count, named, percent, told } from "./words.js";

/** @typedef {import("./session.js").Item} Item */

const THUMB = 88; // pixels, twice what is shown
const AIR = 0.15; // share of a face's box that its thumbnail shows around it

export class Panel {
  #title = find("#panel-title");
  #body = find("#panel .panel-body");
  #rows = make("ul", { className: "faces" });
  #warning = find("#panel-warning");
  #again = find("button", this.#warning);
  #note = find("#panel-note");
  /** @type {?Item} */
  #item = null;
  #shown = "";

  /**
   * @param {{choose: (key: number) => void, retry: (item: Item) => void, remove: (item: Item) => void}} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.#again.addEventListener("click", () => this.#item && actions.retry(this.#item));
  }

  /** @param {?Item} item @param {string[]} labels @param {boolean} explain */
  draw(item, labels, explain) {
    if (!item) {
      if (this.#body.contains(document.activeElement)) find("#main").focus({ preventScroll: true });
      return;
    }
    if (item !== this.#item) this.#shown = "";
    this.#item = item;
    this.#title.textContent = titleOf(item);
    if (item.lost) this.#drawProblem(item);
    else if (item.faces.length) this.#drawFaces(item, labels, explain);
    else this.#drawNothing(item);
    this.#warn(item.lost ? null : item.problem, item.status === "failed");
    this.#note.hidden = !item.note || item.lost;
    this.#note.textContent = item.note;
  }

  /** Where the focus was on something that goes, the title takes it: it says what came instead. */
  #swap(what, ...children) {
    if (this.#shown === what) return false;
    this.#shown = what;
    const held = this.#body.contains(document.activeElement);
    this.#body.replaceChildren(...children);
    if (held) this.#title.focus({ preventScroll: true });
    return true;
  }

  #drawProblem(item) {
    const button = (textContent, action) => make("button", { type: "button", textContent, onclick: () => action(item) });
    this.#swap(
      `problem ${item.id} ${item.problem.message}`,
      make("p", { className: "culprit", textContent: item.name }),
      make(
        "div",
        { className: "problem" },
        make("p", { className: "sentence", textContent: item.problem.message }),
        make("p", { textContent: item.problem.remedy }),
        make(
          "div",
          { className: "buttons" },
          button("Try again", this.actions.retry),
          button("Remove", this.actions.remove),
        ),
      ),
    );
  }

  #drawNothing(item) {
    const working = item.status === "waiting" || item.status === "working";
    if (working && item.kind === "image") {
      const ghosts = { className: "ghosts", "aria-hidden": "true" };
      this.#swap("ghosts", make("div", ghosts, make("i"), make("i"), make("i")));
      return;
    }
    const advice = item.series
      ? "No face in this frame."
      : "Detection works best for frontal faces in good light, at least 30 pixels wide.";
    this.#swap(advice, make("p", { className: "hint", textContent: advice }));
  }

  #drawFaces(item, labels, explain) {
    const isImage = item.kind === "image";
    const keys = item.faces.map((face, i) => item.keyOf(face, i));
    if (this.#swap(`faces ${item.id} ${isImage ? item.question : ""} ${keys}`, this.#rows)) {
      this.#rows.replaceChildren(...item.faces.map((face, i) => this.#row(item, face, i)));
    }
    item.faces.forEach((face, i) => this.#fill(this.#rows.children[i], item, face, i, labels, explain));
  }

  /**
   * What went wrong beside what is there.
   * @param {?import("./problem.js").Problem} problem
   * @param {boolean} failed  whether it can be tried again
   */
  #warn(problem, failed) {
    const held = this.#warning.contains(document.activeElement);
    const sentence = find("p", this.#warning);
    this.#warning.hidden = !problem;
    this.#again.parentElement.hidden = !failed;
    if (problem && sentence.textContent !== problem.text) sentence.textContent = problem.text;
    if (held && !(problem && failed)) this.#title.focus({ preventScroll: true });
  }

  #row(item, face, index) {
    const head = make(
      "button",
      { type: "button", className: "face", onclick: () => this.actions.choose(item.keyOf(face, index)) },
      item.kind === "image" ? thumbOf(face) : make("span", { className: "face-thumb blank" }),
      make("span", { className: "face-number", textContent: String(item.numberOf(face, index)) }),
      make("span", { className: "face-label" }),
      make("span", { className: "face-score" }),
    );
    const id = `face-${item.id}-${index}`;
    head.setAttribute("aria-controls", id);
    return make("li", {}, head, make("div", { id, className: "detail" }));
  }

  #fill(row, item, face, index, labels, explain) {
    const [head, detail] = row.children;
    const chosen = item.keyOf(face, index) === item.chosen;
    head.setAttribute("aria-expanded", String(chosen));
    head.setAttribute("aria-label", `Face ${item.numberOf(face, index)}: ${told(face)}`);
    head.querySelector(".face-label").textContent = named(face);
    head.querySelector(".face-score").textContent = percent(face.score);
    tint(head, face.label);
    detail.hidden = !chosen;
    if (chosen) detail.replaceChildren(...details(face, labels, explain));
  }
}

function titleOf(item) {
  if (item.faces.length) return count(item.faces.length, "face");
  if (item.lost) return "Processing failed";
  if (item.status === "done" && item.kind === "image") return "No face found";
  return "Faces";
}

function details(face, labels, explain) {
  const order = labels.filter((label) => label in face.probabilities);
  const names = order.length ? order : Object.keys(face.probabilities);
  const bars = names.map((label) => bar([label, face.probabilities[label]]));
  const notes = [`Face detection confidence: ${percent(face.confidence)}.`];
  if (isUncertain(face)) notes.unshift("Uncertain: no expression reaches the threshold.");
  else if (isDoubtful(face)) notes.unshift("Low probability: treat this expression as a guess.");
  if (explain && face.heat) notes.push(`Heat map: bright areas support “${face.heat.label}” over the others.`);
  return [...bars, ...notes.map((note) => make("p", { className: "hint", textContent: note }))];
}

/** The face cut out of the image on the stage, when that is there. */
function thumbOf({ box }) {
  const canvas = make("canvas", { className: "face-thumb", width: THUMB, height: THUMB });
  const image = find("#stage img");
  const draw = () => {
    const { naturalWidth: width, naturalHeight: height } = image;
    const side = Math.min(width, height, Math.max(box.width, box.height) * (1 + 2 * AIR));
    const left = Math.max(0, Math.min(width - side, box.x + (box.width - side) / 2));
    const top = Math.max(0, Math.min(height - side, box.y + (box.height - side) / 2));
    canvas.getContext("2d").drawImage(image, left, top, side, side, 0, 0, THUMB, THUMB);
  };
  image.decode().then(draw, () => {}); // the image on the stage may be another by now
  return canvas;
}
