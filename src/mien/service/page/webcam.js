/** `Webcam`: the webcam on the table. One at most runs, and only while it is looked at. */

import { Camera, frameOf } from "./camera.js";
import { labelOf } from "./doubt.js";
import { thumbnail } from "./images.js";
import { Problem } from "./problem.js";
import { Item } from "./session.js";

export class Webcam {
  /** @type {?Camera} */
  #camera = null;
  /** @type {?Item} */
  #item = null;
  #opening = false;

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./service.js").Service} service
   * @param {import("./stage.js").Stage} stage
   * @param {(item: Item) => void} onRow
   */
  constructor(session, service, stage, onRow) {
    this.session = session;
    this.service = service;
    this.stage = stage;
    this.onRow = onRow;
  }

  get on() {
    return this.#camera !== null;
  }

  /** Turns it on and looks, until it is stopped or something goes wrong, which is raised. */
  async start() {
    if (this.on || this.#opening) return;
    this.#opening = true;
    try {
      this.#camera = await Camera.open();
    } finally {
      this.#opening = false;
    }
    const item = (this.#item = new Item("camera", "webcam"));
    Object.assign(item, { live: true, stream: this.#camera.stream });
    this.session.add(item);
    this.session.select(item);
    try {
      await this.#look(this.#camera, item);
    } finally {
      await this.stop();
    }
  }

  async #look(camera, item) {
    for await (const row of camera.rows(this.stage.video, this.service, () => this.session.options)) {
      if (!item.live) return;
      const { threshold } = this.session.options;
      for (const face of row.faces) face.label = labelOf(face.probabilities, threshold);
      item.series.add(row);
      item.model = row.model;
      item.faces = row.faces;
      item.size = { width: row.width, height: row.height };
      item.status = "done";
      item.thumb ??= thumbnail(this.stage.video, row.width, row.height);
      if (!item.face) item.chosen = item.faces[0]?.track ?? item.chosen;
      this.onRow(item);
      this.session.changed();
    }
  }

  /** Lets the webcam go. Its last image and its course stay on the table. */
  async stop() {
    const [camera, item, { video }] = [this.#camera, this.#item, this.stage];
    if (!camera || !item) return;
    this.#camera = this.#item = null;
    const last = video.videoWidth && item.series?.rows.length ? await frameOf(video).catch(() => null) : null;
    camera.close();
    Object.assign(item, { live: false, stream: null });
    if (last && this.session.items.includes(item)) item.show(last);
    else if (this.session.items.includes(item)) this.session.remove(item);
    this.session.changed();
  }
}

/**
 * The frame on the stage, as an image of its own.
 * @param {HTMLVideoElement} video
 * @param {Item} item
 */
export async function keepFrame(video, item) {
  if (!video.videoWidth) throw new Problem("There is no frame to save yet.", "Wait for the first image.");
  const when = item.kind === "video" ? item.time.toFixed(1) : new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
  return new File([await frameOf(video)], `${item.name.replace(/\.[^.]*$/, "")}-${when}.jpg`, { type: "image/jpeg" });
}
