/** What the user takes from the page: JSON on the clipboard, an image in the downloads. */

import { Problem } from "./problem.js";

/** @typedef {import("./session.js").Item} Item */

/**
 * An item's answer in the shape of `mien predict --json`; of a video, or of the webcam, with its frames.
 * @param {Item} item
 * @param {number} threshold  score below which a face is `uncertain`
 */
export function documentOf(item, threshold) {
  const { model, name: source, series } = item;
  const note = item.note ? { note: item.note } : {};
  const [width, height] = [item.size.width || null, item.size.height || null];
  const error = item.problem?.text ?? null;
  if (!series) return { model, images: [{ source, width, height, error, ...note, faces: item.faces.map(withoutHeat) }] };
  const frames = series.rows.map(({ frame, seconds, faces }) => ({ frame, seconds, faces: faces.map(withoutHeat) }));
  const videos = [{ source, width, height, fps: series.rate, frames, error, tracks: series.tracks(threshold) }];
  return { model, images: [], videos };
}

/** @param {import("./types.js").Face} face */
const withoutHeat = ({ heat, ...rest }) => rest;

/** @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyBySelection(text)) {
      throw new Problem("The browser does not allow this page to copy.", "Open it as http://localhost or over https.");
    }
  }
}

/** For addresses that browsers do not count as safe. @param {string} text */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** "holiday.jpg" as "holiday-mien.png". @param {string} name */
export const annotatedName = (name) => `${name.replace(/\.[^.]*$/, "")}-mien.png`;
