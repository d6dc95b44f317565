// Gray crops of faces, positioned as in FER2013 (mien.recognition.alignment).

const FRAMING = { x: 0.5, y: 0.513, width: 0.812, height: 0.955, maxRoll: Math.PI / 4 };
const MOST_SAMPLES = 16; // per side of a pixel of the crop

/** The luma of an image (ITU-R BT.601), with its size. */
export function toGray(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const values = new Float32Array(width * height);
  for (let i = 0; i < values.length; i++) {
    values[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
  }
  return { values, width, height };
}

/** Crop a detected face: the box gives position and size, the landmarks the rotation. */
export function cropFace(gray, face, size) {
  const scale = (size * Math.sqrt(FRAMING.width * FRAMING.height)) / Math.sqrt(face.width * face.height);
  const roll = Math.max(-FRAMING.maxRoll, Math.min(FRAMING.maxRoll, rollAngle(face.points)));
  const center = { x: face.x + face.width / 2, y: face.y + face.height / 2 };
  const [cos, sin] = [Math.cos(roll) / scale, Math.sin(roll) / scale];
  return sampled(gray, size, scale, (u, v) => {
    const [x, y] = [u - FRAMING.x * size, v - FRAMING.y * size];
    return [center.x + cos * x - sin * y, center.y + sin * x + cos * y];
  });
}

/** Crop the center square of a box, as it is. */
export function cropSquare(gray, box, size) {
  const side = Math.min(box.width, box.height);
  const [left, top] = [box.x + (box.width - side) / 2, box.y + (box.height - side) / 2];
  const step = side / size;
  return sampled(gray, size, 1 / step, (u, v) => [left + u * step, top + v * step]);
}

/** Clockwise, from the lines between the eyes and the corners of the mouth, and from the eyes to the mouth. */
function rollAngle([leftEye, rightEye, , leftMouth, rightMouth]) {
  const level = {
    x: rightEye.x - leftEye.x + rightMouth.x - leftMouth.x,
    y: rightEye.y - leftEye.y + rightMouth.y - leftMouth.y,
  };
  const plumb = {
    x: leftMouth.x + rightMouth.x - leftEye.x - rightEye.x,
    y: leftMouth.y + rightMouth.y - leftEye.y - rightEye.y,
  };
  return Math.atan2(level.y - plumb.x, level.x + plumb.y);
}

/** Float32Array (size * size): each pixel is the mean of samples; the edge of the image is repeated outside of it. */
function sampled(gray, size, scale, toImage) {
  const samples = Math.max(1, Math.min(MOST_SAMPLES, Math.ceil(1 / scale)));
  const crop = new Float32Array(size * size);
  for (let i = 0; i < crop.length; i++) {
    let sum = 0;
    for (let sample = 0; sample < samples * samples; sample++) {
      const u = (i % size) + ((sample % samples) + 0.5) / samples;
      const v = Math.floor(i / size) + (Math.floor(sample / samples) + 0.5) / samples;
      sum += interpolated(gray, ...toImage(u, v));
    }
    crop[i] = Math.round(sum / (samples * samples));
  }
  return crop;
}

function interpolated({ values, width, height }, x, y) {
  const inside = (value, length) => Math.max(0, Math.min(length - 1, value));
  const [left, top] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
  const [dx, dy] = [x - 0.5 - left, y - 0.5 - top];
  const at = (column, row) => values[inside(row, height) * width + inside(column, width)];
  const upper = at(left, top) * (1 - dx) + at(left + 1, top) * dx;
  const lower = at(left, top + 1) * (1 - dx) + at(left + 1, top + 1) * dx;
  return upper * (1 - dy) + lower * dy;
}
