/** Probability bars. */

import { make } from "./dom.js";
import { tint } from "./palette.js";
import { percent } from "./words.js";

/** One bar: a name, its share as a length, and the number. @param {[string, number]} entry */
export function bar([label, share]) {
  const element = make(
    "div",
    { className: "bar-row" },
    make("span", { className: "bar-label", textContent: label }),
    make("span", { className: "bar-track", "aria-hidden": "true" }),
    make("span", { className: "bar-value", textContent: percent(share) }),
  );
  tint(element, label);
  element.style.setProperty("--share", String(share));
  return element;
}
