"""What a model file is, told by its content and never by its name, and what to do with one that cannot be used as it is.

Nothing here runs, unpickles or loads a model: only the first bytes, the names in a zip archive and the outermost fields
of a protocol buffer are looked at.
"""

from __future__ import annotations

import shlex
import zipfile
from enum import Enum
from pathlib import Path

from mien.labels import FER2013
from mien.quoting import MOST, quoted_path

_HEAD = 4096
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512, 1024, 2048)
"""Where the signature of an HDF5 file may stand (https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html)."""

EXAMPLE_LABELS = ",".join(FER2013.classes)


class ModelKind(Enum):
    """What a file or a folder holds; the value is its name in a sentence."""

    ONNX = "an ONNX model"
    KERAS = "a Keras file (.keras)"
    HDF5 = "a Keras file (HDF5)"
    TFLITE = "a TensorFlow Lite model"
    SAVED_MODEL = "a TensorFlow SavedModel"
    SAVED_MODEL_FILE = "the saved_model.pb of a TensorFlow SavedModel"
    GRAPH = "a frozen TensorFlow graph"
    TORCH = "a PyTorch file"
    TORCHSCRIPT = "a TorchScript model"
    SAFETENSORS = "a file of weights (safetensors)"
    NUMPY = "a file of NumPy arrays"
    PICKLE = "a pickle"
    OPENVINO = "an OpenVINO model"
    COREML = "a Core ML model"
    JSON = "the architecture of a Keras model without its weights (JSON)"
    ZIP = "a zip archive"
    PACKED = "a packed file"
    LFS = "a Git LFS pointer, not the file itself"
    PAGE = "a web page, not the file itself"
    EMPTY = "an empty file"
    RUN = "a run folder"
    FOLDER = "a folder without a model"
    MISSING = "nothing"
    UNKNOWN = "no model"


KERAS_KINDS = frozenset({ModelKind.KERAS, ModelKind.HDF5})


def kind_of(path: str | Path) -> ModelKind:
    """What a file or folder holds.

    Raises:
        OSError: it is there and cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _kind_of_folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return ModelKind.MISSING
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    return _kind_of_head(head) or _kind_of_message(path)


def refusal(path: str | Path, kind: ModelKind) -> str:
    """A sentence on a model that cannot be opened: what it is, and what to do."""
    return f"{shown(path)}: this is {kind.value}. {remedy(path, kind)}"


def shown(path: str | Path) -> str:
    """A path as a message names it: its last 80 characters, on one line."""
    return quoted_path(str(path))


def remedy(path: str | Path, kind: ModelKind) -> str:
    """What to do with a file or folder of that kind to use its model here."""
    text = str(path) if len(str(path)) <= MOST and str(path).isprintable() else "MODEL"
    return _REMEDIES[kind].format(
        path=shlex.quote(text),
        quoted=repr(text),
        folder=shlex.quote(str(Path(text).parent)),
        labels=EXAMPLE_LABELS,
    )


def _kind_of_folder(path: Path) -> ModelKind:
    if (path / "best.keras").is_file() or (path / "model.onnx").is_file():
        return ModelKind.RUN
    if (path / "saved_model.pb").is_file():
        return ModelKind.SAVED_MODEL
    if (path / "Manifest.json").is_file() and path.suffix == ".mlpackage":
        return ModelKind.COREML
    return ModelKind.FOLDER


def _kind_of_zip(path: Path) -> ModelKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return ModelKind.UNKNOWN  # cut off
    last = {name.rpartition("/")[2] for name in names}
    if {"config.json", "metadata.json"} <= names:
        return ModelKind.KERAS
    if "data.pkl" in last:
        return ModelKind.TORCHSCRIPT if "constants.pkl" in last else ModelKind.TORCH
    if names and all(name.endswith(".npy") for name in names):
        return ModelKind.NUMPY
    return ModelKind.ZIP


def _kind_of_head(head: bytes) -> ModelKind | None:
    text = head[:512].lstrip().lower()
    marks = {
        ModelKind.EMPTY: not head,
        ModelKind.HDF5: any(head[place:].startswith(_HDF5) for place in _HDF5_PLACES),
        ModelKind.TFLITE: head[4:8] == b"TFL3",
        ModelKind.NUMPY: head.startswith(b"\x93NUMPY"),
        ModelKind.TORCH: head[:1] == b"\x80"
        and (b"torch" in head or b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19" in head),
        ModelKind.PICKLE: head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"},
        ModelKind.SAFETENSORS: head[8:10] == b'{"' and 0 < int.from_bytes(head[:8], "little") < 2**32,
        ModelKind.PACKED: head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))
        or head[257:262] == b"ustar",
        ModelKind.LFS: text.startswith(b"version https://git-lfs"),
        ModelKind.PAGE: text.startswith((b"<!doctype html", b"<html")),
        ModelKind.OPENVINO: text.startswith((b"<?xml", b"<net")) and b"<net" in text,
        ModelKind.JSON: text.startswith((b"{", b"[")) and b'"class_name"' in head,
    }
    return next((kind for kind, is_it in marks.items() if is_it), None)


_GRAPH, _WHOLE = 7, 2
"""Numbers of the field `graph` of an ONNX model and of `meta_graphs` of a SavedModel."""


def _kind_of_message(path: Path) -> ModelKind:
    """Which protocol buffer a file is, by its outermost fields (onnx.proto, graph.proto, saved_model.proto)."""
    try:
        fields = dict(_outermost(path))
    except (ValueError, OSError):
        return ModelKind.UNKNOWN
    if fields.get(_GRAPH) == 2:
        return ModelKind.ONNX
    if fields.get(1) == 0 and fields.get(_WHOLE) == 2:
        return ModelKind.SAVED_MODEL_FILE
    if fields.get(1) == 2 and set(fields) <= {1, 2, 3, 4}:
        return ModelKind.GRAPH
    return ModelKind.UNKNOWN


def _outermost(path: Path) -> list[tuple[int, int]]:
    """Number and wire type of each outermost field of a protocol buffer, which need not all be read.

    Raises:
        ValueError: it is none.
    """
    size = path.stat().st_size
    found = []
    with path.open("rb") as file:

        def varint() -> int:
            value = shift = 0
            while shift < 64:
                byte = file.read(1)
                if not byte:
                    raise ValueError("a number cut short")
                value |= (byte[0] & 0x7F) << shift
                if byte[0] < 0x80:
                    return value
                shift += 7
            raise ValueError("a number without an end")

        while file.tell() < size:
            key = varint()
            number, wire = key >> 3, key & 7
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 0:
                varint()
            elif wire == 2:
                length = varint()
            elif not length:
                raise ValueError("a field of an unknown kind")
            if not number or file.tell() + length > size:
                raise ValueError("a field that ends past the file")
            file.seek(length, 1)
            found.append((number, wire))
    return found


_EXPORT = "mien export model.onnx --format onnx --model-labels {labels} --out with-card.onnx"
_THEN = f"then give it a model card: {_EXPORT}"
_IN_TORCH = (
    "In PyTorch, where its class is defined: torch.onnx.export(network, torch.zeros(1, 1, 48, 48), 'model.onnx', "
    "dynamic_axes={{'image': {{0: 'n'}}}}, input_names=['image'], dynamo=False), with a softmax at its end; "
    f"{_THEN}"
)
_AGAIN = "Get the file itself"

_REMEDIES = {
    ModelKind.ONNX: "Open it as it is.",
    ModelKind.KERAS: "Export it once with: mien export {path} --format onnx",
    ModelKind.HDF5: "Export it once with: mien export {path} --format onnx",
    ModelKind.TFLITE: f"Convert it: python -m tf2onnx.convert --tflite {{path}} --output model.onnx; {_THEN}",
    ModelKind.SAVED_MODEL: f"Convert it: python -m tf2onnx.convert --saved-model {{path}} --output model.onnx; {_THEN}",
    ModelKind.SAVED_MODEL_FILE: (
        f"Convert its folder: python -m tf2onnx.convert --saved-model {{folder}} --output model.onnx; {_THEN}"
    ),
    ModelKind.GRAPH: (
        "Convert it: python -m tf2onnx.convert --graphdef {path} --inputs INPUT:0 --outputs OUTPUT:0 --output "
        f"model.onnx; {_THEN}"
    ),
    ModelKind.TORCH: f"It holds no network that can be run without its Python code. {_IN_TORCH}",
    ModelKind.TORCHSCRIPT: f"Load it with torch.jit.load and export it. {_IN_TORCH}",
    ModelKind.SAFETENSORS: (
        "It holds weights only. Load them into their network where it is defined, and save that as .keras or .onnx."
    ),
    ModelKind.NUMPY: (
        "It holds numbers only. Load them into their network where it is defined, and save that as .keras or .onnx."
    ),
    ModelKind.PICKLE: (
        "Opening one runs whatever code is in it, so it is not opened. Load it in the program that wrote it, and save "
        "the network as .keras or .onnx there."
    ),
    ModelKind.OPENVINO: "Use the ONNX or Keras file that it was converted from.",
    ModelKind.COREML: "Use the ONNX or Keras file that it was converted from.",
    ModelKind.JSON: (
        "In Keras, join it with its weights: network = keras.models.model_from_json(open({quoted}).read()); "
        "network.load_weights(WEIGHTS); network.save('model.keras')."
    ),
    ModelKind.ZIP: "Unpack it and give the model file in it.",
    ModelKind.PACKED: "Unpack it and give the model file in it.",
    ModelKind.LFS: f"{_AGAIN} with: git lfs pull",
    ModelKind.PAGE: f"{_AGAIN}: where it was downloaded from may want you to sign in or to confirm.",
    ModelKind.EMPTY: f"{_AGAIN} again.",
    ModelKind.RUN: "Make its ONNX file with: mien export {path} --format onnx",
    ModelKind.FOLDER: "Give a run folder with best.keras or model.onnx in it, or a model file.",
    ModelKind.MISSING: "Check the name.",
    ModelKind.UNKNOWN: "Give an ONNX or Keras file. If it is one, it is damaged or cut short: get it again.",
}
