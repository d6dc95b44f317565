/** `Recognizing`: sends images and videos to the service, a few at a time, and their answers to the session. */

import { labelOf } from "./doubt.js";
import { enlarge } from "./geometry.js";
import { expectReadable, prepare } from "./images.js";
import { Problem, isAbort } from "./problem.js";
import { Series } from "./series.js";

/** @typedef {import("./session.js").Item} Item */

const AT_ONCE = 2;

export class Recognizing {
  /** @type {Item[]} */
  #queue = [];
  #running = 0;
  #videoRuns = false;

  /**
   * @param {import("./service.js").Service} service
   * @param {import("./session.js").Session} session
   * @param {(item: Item) => void} onDone
   * @param {(problem: Problem) => void} onTrouble  told where an answer that was there already is kept
   */
  constructor(service, session, onDone, onTrouble) {
    this.service = service;
    this.session = session;
    this.onDone = onDone;
    this.onTrouble = onTrouble;
  }

  /** Has an item looked at, if it was not yet or if the last request was another one. @param {Item} item */
  ensure(item) {
    if (item.kind === "camera" || !this.#isStale(item) || this.#queue.includes(item)) return;
    item.work?.abort();
    item.status = "waiting";
    this.#queue.push(item);
    this.#next();
  }

  #isStale(item) {
    if (item.status === "waiting") return true;
    const { options } = this.session;
    const cold = options.explain && item.kind === "image" && !item.asked.explain;
    return item.asked.question !== questionOf(item, options) || cold;
  }

  #next() {
    const at = this.#queue.findIndex((item) => item.kind !== "video" || !this.#videoRuns);
    if (at < 0 || this.#running >= AT_ONCE) return;
    const [item] = this.#queue.splice(at, 1);
    if (this.session.items.includes(item)) this.#run(item);
    this.#next();
  }

  async #run(item) {
    const options = { ...this.session.options };
    const isVideo = item.kind === "video";
    const work = (item.work = new AbortController());
    this.#running += 1;
    this.#videoRuns ||= isVideo;
    item.status = "working";
    const asked = (item.asked = { question: questionOf(item, options), explain: options.explain && !isVideo });
    item.problem = null;
    this.session.changed();
    try {
      const { signal } = work;
      await (isVideo ? this.#recognizeVideo(item, options, signal) : this.#recognizeImage(item, options, signal));
      Object.assign(item, { status: "done", question: asked.question, explained: asked.explain });
    } catch (error) {
      if (!isAbort(error)) this.#fail(item, asked, Problem.from(error));
    }
    if (isVideo) this.#videoRuns = false;
    this.#running -= 1;
    if (!work.signal.aborted) this.onDone(item);
    this.session.changed();
    this.#next();
  }

  /** Where only the heat map cannot be had, the faces stay, and it can be asked for again. */
  #fail(item, asked, problem) {
    const { question, explained } = item;
    const known = asked.explain && asked.question === question && item.faces.length > 0;
    item.status = known ? "done" : "failed";
    item.problem = known ? null : problem;
    if (!known) return;
    item.asked = { question, explain: explained };
    this.session.set({ explain: false });
    this.onTrouble(problem.of(item.name));
  }

  async #recognizeImage(item, options, signal) {
    if (!item.blob) await this.#prepare(item);
    signal.throwIfAborted();
    let { model, image } = await this.service.recognize(item.blob, item.name, options, signal);
    if (liesOtherwise(image, item.size)) {
      await this.#prepare(item, true);
      signal.throwIfAborted();
      ({ model, image } = await this.service.recognize(item.blob, item.name, options, signal));
    }
    if (image.error) throw new Problem(image.error);
    if (!item.size.width) item.size = { width: image.width, height: image.height };
    item.faces = enlarge(image.faces, item.size.width / image.width);
    item.note ||= image.note ?? "";
    item.relabel(this.session.options.threshold);
    item.model = model;
  }

  async #prepare(item, redrawn = false) {
    const { blob, shown, width, height, thumb, note } = await prepare(item.file, this.session.limits, redrawn);
    if (!this.session.items.includes(item)) return;
    item.show(shown);
    Object.assign(item, { blob, thumb, note, size: { width, height } });
    this.session.changed();
  }

  async #recognizeVideo(item, options, signal) {
    await expectReadable(item.file);
    const most = this.session.limits.max_video_bytes ?? Infinity;
    if (item.file.size > most) throw tooLong(item.file.size, most);
    item.series = new Series();
    item.question = "";
    item.faces = [];
    item.chosen = null;
    for await (const row of this.service.recognizeVideo(item.file, item.name, options, signal)) {
      signal.throwIfAborted();
      if (row.done) item.problem = ending(item, row);
      else take(item, row, this.session.options.threshold);
      this.session.changed();
    }
    item.model = this.session.model?.name ?? "";
  }
}

/** Whether the service turned an image that the browser did not, or the other way round, for an odd tag in it. */
const liesOtherwise = (image, { width, height }) => (image.width - image.height) * (width - height) < 0;

/** What a video's last line tells: why no more frames came. Where none came at all, it was no success. */
function ending(item, { error }) {
  if (item.series.rows.length) return error ? new Problem(error) : null;
  if (error) throw new Problem(error);
  throw new Problem("No frame of the video can be decoded.", "Convert it to MP4 (H.264).");
}

/** What changes an item's answer. */
const questionOf = (item, { labelSet, every }) => `${labelSet} ${item.kind === "video" ? every : ""}`;

function take(item, row, threshold) {
  for (const face of row.faces) face.label = labelOf(face.probabilities, threshold);
  item.series.add(row);
  item.size = { width: row.width, height: row.height };
  item.chosen ??= item.series.lead;
}

const megabytes = (bytes) => `${Math.ceil(bytes / 2 ** 20)} MB`;
const tooLong = (size, most) =>
  new Problem(
    `The video has ${megabytes(size)}; this service accepts at most ${megabytes(most)}.`,
    "Shorten it, or save it at a lower resolution.",
  );
