/** What a file is, told by its first bytes; its name and its type are asked only where these say nothing. */

/** @typedef {{video: boolean, type: string}} Kind  type: the media type, "" of what is not known here */

const HEAD = 32; // bytes

/** What begins so is an image. HEIC and AVIF are built as videos are, and have to be asked for first. */
const IMAGES = {
  "image/jpeg": /^\xff\xd8\xff/,
  "image/png": /^\x89PNG\r\n\x1a\n/,
  "image/webp": /^RIFF....WEBP/s,
  "image/bmp": /^BM.{13}\0\0\0/s,
  "image/gif": /^GIF8[79]a/,
  "image/avif": /^....ftypavi[fs]/s,
  "image/heic": /^....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)/s,
};
const VIDEOS = {
  "video/quicktime": /^....ftypqt/s,
  "video/mp4": /^....ftyp/s,
  "video/webm": /^\x1aE\xdf\xa3/,
  "video/x-msvideo": /^RIFF....AVI /s,
};
const VIDEO_NAMES = /\.(mp4|m4v|mov|webm|mkv|avi)$/i;

/**
 * @param {File} file
 * @returns {Promise<Kind>}
 */
export async function kindOf(file) {
  const begin = await headOf(file);
  const found = (kinds) => Object.keys(kinds).find((type) => kinds[type].test(begin));
  const image = found(IMAGES);
  if (image) return { video: false, type: image };
  const video = found(VIDEOS);
  if (video) return { video: true, type: video };
  return { video: file.type.startsWith("video/") || VIDEO_NAMES.test(file.name), type: "" };
}

/** The first bytes, a letter each; none where the file cannot be read, which is told when it is looked at. */
async function headOf(file) {
  const bytes = await file.slice(0, HEAD).arrayBuffer().catch(() => new ArrayBuffer(0));
  return String.fromCharCode(...new Uint8Array(bytes));
}

/**
 * The same bytes under their own media type: browsers ask it before they play a video or decode an image.
 * @param {File} file
 * @param {string} type
 * @returns {Blob}
 */
export const called = (file, type) => (!type || file.type === type ? file : file.slice(0, file.size, type));
