/** The stage: the selected image, video or webcam, as large as there is room. */

import { find } from "./dom.js";
import { summary } from "./words.js";

/** @typedef {import("./session.js").Item} Item */

export class Stage {
  #root = find("#stage");
  #frame = find(".frame", this.#root);
  #img = find("img", this.#root);
  #chip = find(".chip", this.#root);
  /** @type {HTMLVideoElement} */
  video = find("video", this.#root);
  #source = ""; // what the media element shows

  /** @param {?Item} item */
  draw(item) {
    const moving = item ? item.live || (item.kind === "video" && item.playable) : false;
    this.#show(item, moving);
    if (!item) return;
    const { width, height } = item.size.width ? item.size : { width: 4, height: 3 };
    this.#frame.style.setProperty("--ratio", String(width / height));
    this.#frame.classList.toggle("mirrored", item.kind === "camera");
    this.#frame.classList.toggle("live", item.live);
    this.#img.alt = `${item.name}. ${item.status === "done" ? summary(item.faces) : ""}`;
    this.#say(item);
  }

  #show(item, moving) {
    const source = item ? `${item.id} ${moving} ${item.url}` : "";
    if (source === this.#source) return;
    this.#source = source;
    this.#img.hidden = moving || !item?.url || item.kind === "video";
    this.video.hidden = !moving;
    if (this.#img.hidden) this.#img.removeAttribute("src");
    else this.#img.src = item.url;
    this.video.pause();
    this.video.srcObject = item?.live ? item.stream : null;
    if (moving && !item.live) this.video.src = item.url;
    else this.video.removeAttribute("src");
    if (item?.live) this.video.play().catch(() => {});
    else if (!moving) this.video.load(); // lets the file before go
  }

  #say(item) {
    const text = this.#status(item);
    this.#chip.hidden = !text;
    this.#chip.textContent = text;
    this.#chip.classList.toggle("busy", item.status === "working" || item.status === "waiting");
  }

  #status(item) {
    if (item.status === "failed") return item.url && item.playable ? "" : `${item.name} cannot be displayed`;
    if (item.status === "waiting") return item.live ? "Waiting for the webcam…" : "Waiting…";
    if (item.kind === "video" && item.status === "working") return `Processing… ${this.#progress(item)}`;
    if (item.kind === "video") return item.playable ? "" : "This browser cannot play the video; its faces are shown";
    if (item.status === "working") return item.live ? "" : "Processing…";
    if (item.status === "done" && !item.faces.length && item.kind === "image") return "No face found";
    return "";
  }

  #progress(item) {
    return item.duration ? `${Math.min(99, Math.round((100 * item.series.end) / item.duration))}%` : "";
  }
}
