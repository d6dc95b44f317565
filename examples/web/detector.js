// The face detector of mien, CenterFace (Xu et al., arXiv:1911.03599).

import { openModel, Tensor } from "./model.js";

const STEP = 32; // width and height of the input are multiples of this
const STRIDE = 4; // input pixels per cell of the outputs
const SIDES = [320, 960]; // longer side of the input: first for large faces, then for small ones
const CONFIDENCE = 0.3;
const IOU_THRESHOLD = 0.3;

export class Detector {
  static async open(name) {
    return new Detector((await openModel(name)).session);
  }

  constructor(session) {
    this.session = session;
  }

  /** The faces of an image, the largest first: box in pixels, score and five landmarks. */
  async detect(bitmap) {
    let found = await this.#pass(bitmap, SIDES[0]);
    const longer = Math.max(bitmap.width, bitmap.height);
    const smallest = Math.min(...found.map((face) => face.height)) / (longer / SIDES[0]);
    if (longer > 1.5 * SIDES[0] && (!found.length || smallest < 40)) {
      found = found.concat(await this.#pass(bitmap, Math.min(SIDES[1], longer)));
    }
    return suppress(found).sort((a, b) => b.width * b.height - a.width * a.height);
  }

  async #pass(bitmap, side) {
    const scale = side / Math.max(bitmap.width, bitmap.height);
    const width = Math.max(1, Math.round(bitmap.width * scale));
    const height = Math.max(1, Math.round(bitmap.height * scale));
    const [wide, high] = [width, height].map((length) => Math.ceil(length / STEP) * STEP);
    const canvas = new OffscreenCanvas(wide, high);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillRect(0, 0, wide, high); // black padding
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, wide, high);
    const area = wide * high;
    const pixels = new Float32Array(3 * area); // (1, 3, high, wide)
    for (let i = 0; i < area; i++) {
      for (let channel = 0; channel < 3; channel++) pixels[channel * area + i] = data[4 * i + channel];
    }
    const maps = await this.session.run({ pixels: new Tensor("float32", pixels, [1, 3, high, wide]) });
    return decode(maps, bitmap.width / width, bitmap.height / height);
  }
}

/** Faces in pixels of the image. In offset, log_size and landmarks, y comes before x. */
function decode(maps, scaleX, scaleY) {
  const { heatmap, log_size: logSize, offset, landmarks } = maps;
  const [, , rows, columns] = heatmap.dims;
  const area = rows * columns;
  const faces = [];
  for (let i = 0; i < area; i++) {
    if (heatmap.data[i] < CONFIDENCE) continue;
    const width = STRIDE * Math.exp(logSize.data[area + i]);
    const height = STRIDE * Math.exp(logSize.data[i]);
    const x = STRIDE * ((i % columns) + offset.data[area + i] + 0.5) - width / 2;
    const y = STRIDE * (Math.floor(i / columns) + offset.data[i] + 0.5) - height / 2;
    const points = Array.from({ length: 5 }, (_, n) => ({
      x: (x + landmarks.data[(2 * n + 1) * area + i] * width) * scaleX,
      y: (y + landmarks.data[2 * n * area + i] * height) * scaleY,
    }));
    faces.push({
      x: x * scaleX, y: y * scaleY, width: width * scaleX, height: height * scaleY, score: heatmap.data[i], points,
    });
  }
  return suppress(faces);
}

/** Non-maximum suppression. */
function suppress(faces) {
  const kept = [];
  for (const face of [...faces].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => iou(face, other) <= IOU_THRESHOLD)) kept.push(face);
  }
  return kept;
}

function iou(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const common = Math.max(0, width) * Math.max(0, height);
  return common / (a.width * a.height + b.width * b.height - common);
}
