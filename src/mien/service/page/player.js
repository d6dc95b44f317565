/** `Player`: a film's time, in step with the video element where the browser can play it. */

import { find } from "./dom.js";
import { thumbnail } from "./pictures.js";
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
  get #film() {
    return this.session.item?.kind === "film" ? this.session.item : null;
  }

  /** @param {?Item} item */
  draw(item) {
    this.#root.hidden = item?.kind !== "film" || item.lost;
    if (!item || item.kind !== "film") return;
    item.faces = item.series?.facesAt(item.time) ?? [];
    this.#button.hidden = !item.playable;
    this.#button.textContent = this.video.paused ? "Play" : "Pause";
    const length = Math.max(item.duration, item.series?.end ?? 0);
    this.#clock.textContent = `${clock(item.time)} of ${clock(length)}`;
  }

  /** @param {number} seconds */
  seek(seconds) {
    const film = this.#film;
    if (!film) return;
    film.time = seconds;
    if (film.playable) this.video.currentTime = seconds;
    this.session.changed();
  }

  #begin() {
    const film = this.#film;
    if (!film) return;
    film.duration = Number.isFinite(this.video.duration) ? this.video.duration : 0;
    if (!film.size.width) film.size = { width: this.video.videoWidth, height: this.video.videoHeight };
    if (film.time) this.video.currentTime = film.time;
    this.#picture();
    this.session.changed();
  }

  /** The strip's small copy, of the first frame that is there to be drawn. */
  #picture() {
    const film = this.#film;
    if (!film || film.thumb) return;
    this.video.requestVideoFrameCallback?.(() => {
      if (film !== this.#film) return;
      film.thumb = thumbnail(this.video, this.video.videoWidth, this.video.videoHeight);
      this.session.changed();
    });
  }

  #fail() {
    const film = this.#film;
    if (!film || !this.video.src) return;
    film.playable = false; // its rows and its course can still be seen
    this.session.changed();
  }

  #tick() {
    const film = this.#film;
    if (!film || !this.video.src || this.video.seeking) return;
    film.time = this.video.currentTime;
    this.session.changed();
  }

  /** While it plays, boxes go with the frames and not with the four ticks a second of `timeupdate`. */
  #follow() {
    this.#tick();
    if (!this.video.paused && this.#film) requestAnimationFrame(() => this.#follow());
  }
}
