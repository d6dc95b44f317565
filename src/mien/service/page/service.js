/** `Service`: the HTTP API of mien, as this page uses it. */

import { readLines } from "./ndjson.js";
import { Problem, isAbort, refusal, unreachable } from "./problem.js";

/** @typedef {import("./types.js").Options} Options */

const HOME = new URL("../", import.meta.url); // wherever the service stands, under a path as well
const TRIES = 5;
const cutShort = () => new Problem("The service stopped before the video was finished.", "Add the video again.");

export class Service {
  #key = "";
  #askKey;

  /** @param {(again: boolean) => Promise<string>} askKey  called where the service wants one; gives "" to give up */
  constructor(askKey) {
    this.#askKey = askKey;
  }

  /** @returns {Promise<import("./types.js").Model>} */
  async model() {
    return (await this.#fetch("v1/model")).json();
  }

  /**
   * The answer for one image.
   * @param {Blob} image
   * @param {string} name
   * @param {Options} options
   * @param {AbortSignal} [signal]
   * @returns {Promise<{model: string, image: any}>}
   */
  async recognize(image, name, options, signal) {
    const response = await this.#post("v1/recognize", "image", image, name, query(options), signal);
    const { model, images } = await response.json();
    return { model, image: images[0] };
  }

  /**
   * The rows of a video as they come.
   * @param {Blob} video
   * @param {string} name
   * @param {Options} options
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<any>}
   */
  async *recognizeVideo(video, name, options, signal) {
    const asked = query({ ...options, explain: false });
    asked.set("every", String(options.every));
    const response = await this.#post("v1/recognize/video", "video", video, name, asked, signal);
    try {
      for await (const row of readLines(/** @type {ReadableStream<any>} */ (response.body))) {
        yield row;
        if (row.done) return;
      }
    } catch (error) {
      throw isAbort(error) ? error : cutShort();
    }
    throw cutShort();
  }

  async #post(path, field, blob, name, asked, signal) {
    const body = new FormData();
    body.append(field, blob, name);
    return this.#fetch(`${path}?${asked}`, { method: "POST", body, signal });
  }

  /** Waits where the service is busy, asks for a key where it wants one. */
  async #fetch(path, request = {}, tries = TRIES) {
    const response = await this.#send(path, request);
    if (response.ok) return response;
    const problem = await refusal(response);
    if (response.status === 503 && tries > 1) {
      await pause(1000 * Math.min(10, Number(response.headers.get("Retry-After")) || 1), request.signal);
      return this.#fetch(path, request, tries - 1);
    }
    if (response.status === 401 && (this.#key = await this.#newKey())) return this.#fetch(path, request, tries);
    throw problem;
  }

  /** Keys are ASCII; with any other character in a header, the browser would send no request at all. */
  async #newKey() {
    let key = await this.#askKey(this.#key !== "");
    while (/[^ -~]/.test(key)) key = await this.#askKey(true);
    return key;
  }

  async #send(path, request) {
    const headers = this.#key ? { Authorization: `Bearer ${this.#key}` } : {};
    try {
      return await fetch(new URL(path, HOME), { ...request, headers, cache: "no-store" });
    } catch (error) {
      throw isAbort(error) ? error : unreachable();
    }
  }
}

/** @param {Options} options */
function query({ labelSet, explain }) {
  const asked = new URLSearchParams();
  if (labelSet) asked.set("label_set", labelSet);
  if (explain) asked.set("explain", "true");
  return asked;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
const pause = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
