/** Where tags and panels stand, so that they hide neither faces nor one another. Pure geometry. */

import { common, within } from "./geometry.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {{width: number, height: number}} Size */

const MOST_HIDDEN = 0.05; // share of a panel that may lie over what is to be avoided
const MOST_OF_FACE = 0.2; // share of its own face that a panel may hide where there is no other room

/**
 * A place for the tag of each face, the first face first.
 * @param {Size} room
 * @param {Box[]} boxes
 * @param {Size[]} tags
 * @param {number} gap
 * @returns {(?Box)[]}  null where only a place over another tag is left
 */
export function placeTags(room, boxes, tags, gap) {
  /** @type {Box[]} */
  const taken = [];
  return boxes.map((box, i) => {
    const free = (place) => taken.every((other) => !common(place, other));
    const others = boxes.filter((other) => other !== box);
    const places = around(box, tags[i], gap).map((place) => inside(place, room)).filter(free);
    const best = lowest(places, (place) => sum(others, (other) => common(place, other)));
    if (best) taken.push(best);
    return best;
  });
}

/**
 * A place for the panel of one face, or null where it would hide too much.
 * @param {Size} room
 * @param {Box} face
 * @param {Size} panel
 * @param {Box[]} avoid  other faces, and all tags
 * @param {number} gap
 * @param {boolean} alone  whether there is no other face
 * @returns {?Box}
 */
export function placePanel(room, face, panel, avoid, gap, alone) {
  const right = face.x + face.width + gap;
  const left = face.x - gap - panel.width;
  const tops = [face.y, face.y + face.height - panel.height];
  const below = face.y + face.height + gap;
  const places = [
    ...tops.flatMap((y) => [right, left].map((x) => ({ x, y, ...panel }))),
    ...[below, face.y - gap - panel.height].map((y) => ({ x: face.x, y, ...panel })),
  ].map((place) => slide(place, room));
  const clear = places.filter((place) => within(place, room) && !common(place, face));
  const area = panel.width * panel.height;
  const hidden = (place) => sum(avoid, (other) => common(place, other));
  const best = lowest(clear, hidden);
  if (best && hidden(best) <= MOST_HIDDEN * area) return best;
  if (!alone) return null; // away from its face it would seem to be another's
  const own = (place) => common(place, face) / (face.width * face.height);
  const corner = lowest(corners(room, panel, gap).filter((place) => hidden(place) <= MOST_HIDDEN * area), own);
  return corner && own(corner) <= MOST_OF_FACE ? corner : null;
}

function corners(room, panel, gap) {
  const [right, bottom] = [room.width - gap - panel.width, room.height - gap - panel.height];
  const places = [[gap, bottom], [right, bottom], [right, gap], [gap, gap]];
  return places.map(([x, y]) => ({ x, y, ...panel })).filter((place) => within(place, room));
}

/** Above, below, inside: where a tag may stand, the best first. */
function around(box, tag, gap) {
  const lefts = [box.x, box.x + box.width - tag.width];
  const tops = [box.y - gap - tag.height, box.y + box.height + gap, box.y + gap, box.y + box.height - gap - tag.height];
  return tops.flatMap((y) => lefts.map((x) => ({ x, y, ...tag })));
}

/** Moved into the room, both ways. */
const inside = (place, room) => ({
  ...place,
  x: Math.max(0, Math.min(place.x, room.width - place.width)),
  y: Math.max(0, Math.min(place.y, room.height - place.height)),
});

/** Moved up or down, or sideways, but not towards its face. */
function slide(place, room) {
  const moved = inside(place, room);
  const beside = place.x >= 0 && place.x + place.width <= room.width;
  return beside ? { ...place, y: moved.y } : { ...place, x: moved.x };
}

function lowest(places, cost) {
  let best = null;
  let least = Infinity;
  for (const place of places) {
    const now = cost(place);
    if (now < least) [best, least] = [place, now];
  }
  return best;
}

const sum = (list, value) => list.reduce((total, one) => total + value(one), 0);
