// The expression classifier: gray face crops to probabilities.

import { openModel, readCard, Tensor } from "./model.js";

export class Classifier {
  static async open(name) {
    const { session, bytes } = await openModel(name);
    const classifier = new Classifier(session, readCard(bytes));
    await classifier.#requireCrops(name);
    return classifier;
  }

  /** Try the network on a black crop, because its file can have another input than this page gives. */
  async #requireCrops(name) {
    const { height, width } = this.input;
    try {
      if (height !== width) throw new Error("not square");
      await this.probabilities(new Float32Array(height * width));
    } catch (error) {
      const expected = "expected a network of square crops, two at once, with the channels last";
      const remedy = "Export a Keras network or a run of mien: mien export MODEL --out model.onnx";
      throw new Error(`${name}: ${expected}, got another input (${height}x${width}). ${remedy}`, { cause: error });
    }
  }

  constructor(session, card) {
    this.session = session;
    this.classNames = card.labels;
    this.input = card.input;
    this.temperature = card.temperature;
    this.output = card.output;
  }

  /** Probabilities of a crop, Float32Array (height * width) with values 0 to 255, averaged with its mirror image. */
  async probabilities(crop) {
    const { height, width, colour, low, high } = this.input;
    const channels = colour === "rgb" ? 3 : 1;
    const pixels = new Float32Array(2 * height * width * channels); // (2, height, width, channels)
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const value = low + (crop[y * width + x] * (high - low)) / 255;
        const mirrored = (height + y) * width + (width - 1 - x);
        pixels.fill(value, (y * width + x) * channels, (y * width + x + 1) * channels);
        pixels.fill(value, mirrored * channels, (mirrored + 1) * channels);
      }
    }
    const tensor = new Tensor("float32", pixels, [2, height, width, channels]);
    const answer = await this.session.run({ [this.session.inputNames[0]]: tensor }, [this.output]);
    const rows = answer[this.output].data;
    const classes = this.classNames.length;
    const own = this.#calibrated(rows.slice(0, classes));
    const mirror = this.#calibrated(rows.slice(classes));
    return own.map((value, i) => (value + mirror[i]) / 2);
  }

  /** Divide the logits by the temperature. */
  #calibrated(row) {
    const powers = Array.from(row, (value) => Math.max(value, 1e-38) ** (1 / this.temperature));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((value) => value / sum);
  }
}
