/** `Player`: the time of a video, in step with the video element where the browser can play it. */

import { find } from "./dom.js";
import { thumbnail } from "./images.js";
import { clock } from "./words.js";

/** @typedef {import("./session.js").Item} Item */

export class Player {
  #root = find("#player");
  #button = find("[data-action=play]", this.#root);
  #clock = find(".clock", this.#root);

  /**
   * @param {HTMLVideoElement} video
   * @param {import("./session.js").Session} session
   */
  constructor(video, session) {
    this.video = video;
    this.session = session;
    this.#button.addEventListener("click", () => (video.paused ? video.play().catch(() => {}) : video.pause()));
    video.addEventListener("loadedmetadata", () => this.#begin());
    video.addEventListener("error", () => this.#fail());
    for (const event of ["play", "pause", "ended"]) video.addEventListener(event, () => session.changed());
    for (const event of ["seeked", "timeupdate"]) video.addEventListener(event, () => this.#tick());
    video.addEventListener("play", () => this.#follow());
  }

  /** @returns {?Item} */
  get #item() {
    return this.session.item?.kind === "video" ? this.session.item : null;
  }

  /** The selected video, once the element shows it: from the next drawing on. */
  get #shown() {
    return this.#item && this.video.src === this.#item.url ? this.#item : null;
  }

  /** @param {?Item} item */
  draw(item) {
    this.#root.hidden = item?.kind !== "video" || item.lost;
    if (!item || item.kind !== "video") return;
    item.faces = item.series?.facesAt(item.time) ?? [];
    this.#button.hidden = !item.playable;
    this.#button.textContent = this.video.paused ? "Play" : "Pause";
    const length = Math.max(item.duration, item.series?.end ?? 0);
    this.#clock.textContent = `${clock(item.time)} of ${clock(length)}`;
  }

  /** @param {number} seconds */
  seek(seconds) {
    const item = this.#item;
    if (!item) return;
    item.time = seconds;
    if (item.playable) this.video.currentTime = seconds;
    this.session.changed();
  }

  #begin() {
    const item = this.#shown;
    if (!item) return;
    item.duration = Number.isFinite(this.video.duration) ? this.video.duration : 0;
    if (!item.size.width) item.size = { width: this.video.videoWidth, height: this.video.videoHeight };
    if (item.time) this.video.currentTime = item.time;
    this.#copyFrame();
    this.session.changed();
  }

  /** The strip's small copy, of the first frame that is there to be drawn. */
  #copyFrame() {
    const item = this.#item;
    if (!item || item.thumb) return;
    this.video.requestVideoFrameCallback?.(() => {
      if (item !== this.#item) return;
      item.thumb = thumbnail(this.video, this.video.videoWidth, this.video.videoHeight);
      this.session.changed();
    });
  }

  #fail() {
    const item = this.#shown;
    if (!item) return;
    item.playable = false; // its rows and its course can still be seen
    this.session.changed();
  }

  #tick() {
    const item = this.#shown;
    if (!item || this.video.seeking || this.video.readyState < HTMLMediaElement.HAVE_METADATA) return;
    item.time = this.video.currentTime;
    this.session.changed();
  }

  /** While it plays, boxes go with the frames and not with the four ticks a second of `timeupdate`. */
  #follow() {
    this.#tick();
    if (!this.video.paused && this.#item) requestAnimationFrame(() => this.#follow());
  }
}
