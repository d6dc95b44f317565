// Model files of mien in the browser: ONNX Runtime sessions and the model card in the metadata of the file.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need a page that is cross-origin isolated

export const Tensor = ort.Tensor;

/** Download a model file from the folder of this page: its session and the bytes of the file. */
export async function openModel(name) {
  const answer = await fetch(name);
  if (!answer.ok) {
    throw new Error(`${name} is missing (HTTP ${answer.status}). README.md lists the command that creates it.`);
  }
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  return { session, bytes };
}

/** The model card of an ONNX file: class names, input and temperature. */
export function readCard(bytes) {
  const card = metadata(bytes).get("mien.card");
  if (card === undefined) {
    throw new Error("The model has no model card. Add one: mien export MODEL --with-card --model-labels A,B,…");
  }
  return JSON.parse(card);
}

const METADATA_PROPS = 14; // https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

function metadata(bytes) {
  const text = new TextDecoder();
  const found = new Map();
  for (const [number, value] of fields(bytes)) {
    if (number === METADATA_PROPS) {
      const entry = new Map(fields(value));
      found.set(text.decode(entry.get(1)), text.decode(entry.get(2)));
    }
  }
  return found;
}

/** The fields of a protocol buffer message that have a length, as pairs of number and bytes. */
function* fields(bytes) {
  let place = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[place++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (place < bytes.length) {
    const key = varint();
    const wire = key % 8;
    if (wire === 0) varint();
    else if (wire === 2) {
      const length = varint();
      yield [Math.floor(key / 8), bytes.subarray(place, place + length)];
      place += length;
    } else place += wire === 1 ? 8 : 4;
  }
}
