/** The notice above the images, and the question for a key. */

import { find } from "./dom.js";

/** @typedef {import("./problem.js").Problem} Problem */

const notice = find("#notice");
find("button", notice).addEventListener("click", dismiss);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !notice.hidden && !find("dialog[open]")) dismiss();
});

/** Where the focus was in the notice, it goes to the images. */
function dismiss() {
  const held = notice.contains(document.activeElement);
  notice.hidden = true;
  if (held) find("#main").focus({ preventScroll: true });
}

/** @param {?Problem} problem  null takes the notice away */
export function notify(problem) {
  notice.hidden = !problem;
  find("p", notice).textContent = problem?.text ?? "";
}

/** @type {?Promise<string>} */
let asking = null;

/**
 * Asks for the service's key, once for all who want it; "" if there is none.
 * @param {boolean} again  whether the last one was wrong
 * @returns {Promise<string>}
 */
export function askKey(again) {
  find("#key p").textContent = again
    ? "That key is not valid. Ask the operator of this service."
    : "Ask the operator of this service. The key is kept until this page is closed.";
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

/** @returns {Promise<string>} */
function ask() {
  const dialog = find("#key");
  const [form, input] = [find("form", dialog), find("input", dialog)];
  const close = () => dialog.close();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      close();
    };
    find("button[value=cancel]", dialog).onclick = () => {
      input.value = "";
      close();
    };
    dialog.oncancel = () => (input.value = "");
    dialog.onclose = () => {
      resolve(input.value.trim());
      input.value = "";
    };
    dialog.showModal();
  });
}
