/** `Camera`: the webcam, and its images one by one to the service: the next is taken when the last is answered. */

import { toBlob } from "./images.js";
import { Problem, isAbort } from "./problem.js";
import { Tracker } from "./tracking.js";

const SIDE = 640; // pixels that are sent, at the longer side
const PAUSE = 50; // milliseconds at least between two images
const QUALITY = 0.85;

/** What went wrong, by the browser's name for it. */
const FAULTS = {
  NotAllowedError: ["Access to the webcam was denied.", "Allow it in the address bar of the browser, then try again."],
  NotFoundError: ["No webcam found.", "Connect one and try again, or choose a file."],
  NotReadableError: ["The webcam is in use.", "Close the program that uses it, then try again."],
};

export class Camera {
  #stop = new AbortController();
  #canvas = document.createElement("canvas");
  #tracker = new Tracker();
  #begin = performance.now();

  /**
   * Turns the webcam on.
   * @returns {Promise<Camera>}
   */
  static async open() {
    if (!navigator.mediaDevices) {
      const remedy = "Open this page as http://localhost or over https.";
      throw new Problem("Browsers allow the webcam on secure addresses only.", remedy);
    }
    try {
      const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
      return new Camera(await navigator.mediaDevices.getUserMedia({ video: size, audio: false }));
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      const [sentence, remedy] = FAULTS[name] ?? ["The webcam cannot be started.", message];
      throw new Problem(sentence, remedy);
    }
  }

  /** @param {MediaStream} stream */
  constructor(stream) {
    this.stream = stream;
  }

  /** Lets the webcam go; its light goes out. */
  close() {
    this.#stop.abort();
    for (const track of this.stream.getTracks()) track.stop();
  }

  /**
   * Rows as they are answered, until the webcam is let go or unplugged.
   * @param {HTMLVideoElement} video  that shows the stream
   * @param {import("./service.js").Service} service
   * @param {() => import("./types.js").Options} options
   * @returns {AsyncGenerator<import("./types.js").Row & {model: string}>}
   */
  async *rows(video, service, options) {
    const { signal } = this.#stop;
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.#stop.abort());
    for (let frame = 0; !signal.aborted; ) {
      await Promise.all([frameReady(video, signal), new Promise((resolve) => setTimeout(resolve, PAUSE))]);
      if (signal.aborted) return;
      if (!video.videoWidth || document.hidden) continue;
      const answer = await this.#ask(video, service, options(), signal);
      if (!answer) return;
      yield { frame, ...answer };
      frame += 1;
    }
  }

  async #ask(video, service, options, signal) {
    try {
      const seconds = (performance.now() - this.#begin) / 1000;
      const { model, image } = await service.recognize(await this.#grab(video), "webcam.jpg", options, signal);
      const faces = this.#tracker.follow(image.faces, seconds);
      return { seconds, width: image.width, height: image.height, faces, model };
    } catch (error) {
      if (isAbort(error)) return null;
      throw error;
    }
  }

  /** @param {HTMLVideoElement} video */
  #grab(video) {
    const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    return frameOf(video, scale, this.#canvas, QUALITY);
  }
}

/**
 * The image that a video shows, as JPEG.
 * @param {HTMLVideoElement} video
 * @param {number} [scale]
 * @param {HTMLCanvasElement} [canvas]  used again and again, so that memory stays flat
 * @param {number} [quality]
 */
export function frameOf(video, scale = 1, canvas = document.createElement("canvas"), quality = 0.95) {
  const [width, height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(video, 0, 0, width, height);
  return toBlob(canvas, "image/jpeg", quality);
}

/**
 * Resolves at the video's next image, or when the webcam is let go.
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} signal
 */
const frameReady = (video, signal) =>
  new Promise((resolve) => {
    const ready = () => {
      signal.removeEventListener("abort", ready);
      resolve(undefined);
    };
    signal.addEventListener("abort", ready);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(ready);
    else setTimeout(ready, PAUSE);
  });
