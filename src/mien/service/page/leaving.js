/** What leaves the page, by the user's hand: JSON to the clipboard, a picture to the downloads. */

import { Problem } from "./problem.js";

/** @typedef {import("./session.js").Item} Item */

/**
 * An item's answer in the shape of `mien predict --json`; of a film, or of the webcam, with its frames.
 * @param {Item} item
 */
export function documentOf(item) {
  const { model, name: source, series } = item;
  const [width, height] = [item.size.width || null, item.size.height || null];
  const error = item.problem?.text ?? null;
  if (!series) return { model, images: [{ source, width, height, error, faces: item.faces.map(withoutHeat) }] };
  const frames = series.rows.map(({ frame, seconds, faces }) => ({ frame, seconds, faces: faces.map(withoutHeat) }));
  const { rate: fps, tracks } = series;
  return { model, images: [], videos: [{ source, width, height, fps, frames, error, tracks }] };
}

/** @param {import("./types.js").Face} face */
const withoutHeat = ({ heat, ...rest }) => rest;

/** @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyBySelection(text)) {
      throw new Problem("The browser does not let this page copy.", "Open it as http://localhost or over https.");
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
