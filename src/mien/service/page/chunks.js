/**
 * PNG, WebP and GIF by their chunks: whether they are animated, and which way is up.
 *
 * Browsers differ in what they make of an EXIF tag in these formats, so it is taken out and obeyed here.
 */

/** @typedef {{name: string, begin: number, end: number, data: [number, number]}} Chunk  places in the file, in bytes */
/** @typedef {{moves: boolean, orientation: number, untagged: ?Blob}} Insight  untagged: the file without its EXIF */

const MOVES = new Set(["acTL", "ANIM", "ANMF"]);
const TAGS = new Set(["eXIf", "EXIF"]);
const ORIENTATION = 0x0112;
/** @type {Insight} */
const PLAIN = { moves: false, orientation: 1, untagged: null };
const EXIF_FLAG = 0x08; // in the first byte of VP8X

/**
 * @param {Blob} file
 * @param {string} type
 * @returns {Promise<Insight>}
 */
export async function lookInto(file, type) {
  if (type !== "image/png" && type !== "image/webp" && type !== "image/gif") return PLAIN;
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (type === "image/gif") return { ...PLAIN, moves: gifMoves(bytes) };
  const chunks = [...(type === "image/png" ? pngChunks(bytes) : webpChunks(bytes))];
  const tag = chunks.find(({ name }) => TAGS.has(name));
  return {
    moves: chunks.some(({ name }) => MOVES.has(name)),
    orientation: tag ? orientationOf(bytes.subarray(...tag.data)) : 1,
    untagged: tag ? without(bytes, chunks, type) : null,
  };
}

/** @param {Uint8Array} bytes @returns {Generator<Chunk>} */
function* pngChunks(bytes) {
  const view = viewOf(bytes);
  for (let begin = 8; begin + 12 <= bytes.length; ) {
    const data = begin + 8;
    const length = view.getUint32(begin);
    const end = data + length + 4; // a checksum stands behind
    yield { name: nameAt(bytes, begin + 4), begin, end, data: [data, data + length] };
    begin = end;
  }
}

/** @param {Uint8Array} bytes @returns {Generator<Chunk>} */
function* webpChunks(bytes) {
  const view = viewOf(bytes);
  for (let begin = 12; begin + 8 <= bytes.length; ) {
    const data = begin + 8;
    const length = view.getUint32(begin + 4, true);
    const end = data + length + (length % 2);
    yield { name: nameAt(bytes, begin), begin, end, data: [data, data + length] };
    begin = end;
  }
}

/** Whether a GIF has a second frame. @param {Uint8Array} bytes */
function gifMoves(bytes) {
  const table = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0); // bytes of a color table
  let frames = 0;
  for (let at = 13 + table(bytes[10]); at < bytes.length && bytes[at] !== 0x3b; ) {
    if (bytes[at] === 0x2c) {
      frames += 1;
      at += 11 + table(bytes[at + 9]);
    } else if (bytes[at] === 0x21) at += 2;
    else break; // damaged
    while (bytes[at]) at += bytes[at] + 1; // blocks of data
    at += 1;
    if (frames > 1) return true;
  }
  return false;
}

/** A WebP also tells its length and its tags at its beginning. */
function without(bytes, chunks, type) {
  const kept = chunks.filter(({ name }) => !TAGS.has(name)).map(({ begin, end }) => bytes.slice(begin, end));
  const head = bytes.slice(0, chunks[0].begin);
  if (type === "image/webp") {
    viewOf(head).setUint32(4, kept.reduce((sum, part) => sum + part.length, 4), true);
    if (chunks[0].name === "VP8X") kept[0][8] &= ~EXIF_FLAG;
  }
  return new Blob([head, ...kept], { type });
}

/**
 * The EXIF orientation, 1 to 8; 1 (upright) where there is none that makes sense.
 * @param {Uint8Array} exif
 */
function orientationOf(exif) {
  const tiff = nameAt(exif, 0) === "Exif" ? exif.subarray(6) : exif;
  const order = String.fromCharCode(...tiff.subarray(0, 2));
  if (order !== "II" && order !== "MM") return 1;
  const [view, little] = [viewOf(tiff), order === "II"];
  try {
    const start = view.getUint32(4, little);
    const count = view.getUint16(start, little);
    for (let i = 0; i < count; i += 1) {
      const place = start + 2 + 12 * i;
      const value = view.getUint16(place + 8, little);
      if (view.getUint16(place, little) === ORIENTATION) return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // cut short
  }
  return 1;
}

/** @param {Uint8Array} bytes */
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const nameAt = (bytes, place) => String.fromCharCode(...bytes.subarray(place, place + 4));
