/** How files come in: dropped, pasted, or picked. */

import { find } from "./dom.js";
import { Problem } from "./problem.js";

/**
 * Listens everywhere on the page.
 * @param {(files: File[]) => void} take
 * @param {(problem: Problem) => void} tell
 */
export function installIntake(take, tell) {
  const picker = find("#picker");
  picker.addEventListener("change", () => {
    take([...picker.files]);
    picker.value = ""; // so that the same file may be picked again
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files);
  });
  installDrop(take, tell);
  return () => picker.click();
}

function installDrop(take, tell) {
  const veil = find("#dropping");
  let depth = 0; // dragenter comes for each element that is entered
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  const hover = (change) => (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + change);
    veil.hidden = depth === 0;
  };
  document.addEventListener("dragenter", hover(1));
  document.addEventListener("dragleave", hover(-1));
  document.addEventListener("dragover", hover(0));
  document.addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    const files = filesOf(/** @type {DataTransfer} */ (event.dataTransfer));
    if (files.length) take(files);
    else tell(new Problem("Folders cannot be dropped here.", "Open the folder and drop the files in it."));
  });
}

/** Folders come as files that cannot be read; they are left out. @param {DataTransfer} dropped */
function filesOf(dropped) {
  const entries = [...dropped.items].filter((entry) => entry.kind === "file");
  const plain = entries.filter((entry) => !entry.webkitGetAsEntry?.()?.isDirectory);
  return plain.map((entry) => entry.getAsFile()).filter((file) => file !== null);
}
