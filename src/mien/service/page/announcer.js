/** Tells what is seen to those who hear the page: each change once, and no more often than can be listened to. */

import { find } from "./dom.js";

const PAUSE = 4000; // milliseconds between two announcements of the webcam

export class Announcer {
  #root = find("#live");
  #last = "";
  #when = -Infinity;

  /** @param {string} text */
  tell(text) {
    this.#last = text;
    this.#when = performance.now();
    this.#root.textContent = text;
  }

  /** Only what is new, and only now and then. @param {string} text */
  tellLive(text) {
    if (text !== this.#last && performance.now() - this.#when >= PAUSE) this.tell(text);
  }
}
