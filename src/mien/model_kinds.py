"""Detect the format of model files by their content, and suggest how to convert unsupported ones.

No model is loaded, unpickled or run: only the first bytes, the names in a zip archive and the top-level fields of a
protocol buffer are read.
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
"""Offsets of the signature of an HDF5 file (https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html)."""

EXAMPLE_LABELS = ",".join(FER2013.classes)

HAS_CARD = (
    "this model has a model card with its class names and input. Leave out `model_class_names`, `pixel_scale`, "
    "`pixel_range`, `logits` and `input_shape`."
)
"""Error message, after the name of the file, for a description of a file that has a model card."""


class ModelKind(Enum):
    """The content of a file or folder; the value is a description for error messages."""

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
    PACKED = "a compressed file"
    LFS = "a Git LFS pointer, not the file itself"
    PAGE = "a web page, not the file itself"
    EMPTY = "an empty file"
    RUN = "a run folder"
    FOLDER = "a folder without a model"
    MISSING = "nothing"
    UNKNOWN = "not a model"


KERAS_KINDS = frozenset({ModelKind.KERAS, ModelKind.HDF5})


def kind_of(path: str | Path) -> ModelKind:
    """Detect what a file or folder contains.

    Raises:
        OSError: If it exists but cannot be read.
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
    """Return the error message for a model that cannot be opened: what it is, and what to do."""
    what = "there is no such file or folder" if kind is ModelKind.MISSING else f"this is {kind.value}"
    return f"{shown(path)}: {what}. {remedy(path, kind)}"


def shown(path: str | Path) -> str:
    """Return a path as shown in error messages: its last 80 characters, on one line."""
    return quoted_path(str(path))


def remedy(path: str | Path, kind: ModelKind) -> str:
    """Return how to convert a file or folder of that kind to a supported format."""
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
        return ModelKind.UNKNOWN  # truncated
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


_GRAPH, _META_GRAPHS = 7, 2
"""Numbers of the fields `graph` of an ONNX model and `meta_graphs` of a SavedModel."""


def _kind_of_message(path: Path) -> ModelKind:
    """Detect the protocol buffer message of a file by its top-level fields (onnx, graph, saved_model .proto)."""
    try:
        fields = dict(_top_level_fields(path))
    except (ValueError, OSError):
        return ModelKind.UNKNOWN
    if fields.get(_GRAPH) == 2:
        return ModelKind.ONNX
    if fields.get(1) == 0 and fields.get(_META_GRAPHS) == 2:
        return ModelKind.SAVED_MODEL_FILE
    if fields.get(1) == 2 and set(fields) <= {1, 2, 3, 4}:
        return ModelKind.GRAPH
    return ModelKind.UNKNOWN


def _top_level_fields(path: Path) -> list[tuple[int, int]]:
    """Return number and wire type of each top-level field of a protocol buffer, without reading their content.

    Raises:
        ValueError: If the file is not a protocol buffer.
    """
    size = path.stat().st_size
    found = []
    with path.open("rb") as file:

        def varint() -> int:
            value = shift = 0
            while shift < 64:
                byte = file.read(1)
                if not byte:
                    raise ValueError("a truncated number")
                value |= (byte[0] & 0x7F) << shift
                if byte[0] < 0x80:
                    return value
                shift += 7
            raise ValueError("a number with more than 64 bits")

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


_EXPORT = "mien export model.onnx --format onnx --model-class-names {labels} --out with-card.onnx"
_THEN = f"then add a model card: {_EXPORT}"
_IN_TORCH = (
    "In PyTorch, where its class is defined: torch.onnx.export(network, torch.zeros(1, 1, 48, 48), 'model.onnx', "
    "dynamic_axes={{'image': {{0: 'n'}}}}, input_names=['image'], dynamo=False), with a softmax as the last layer; "
    f"{_THEN}"
)
_AGAIN = "Get the file itself"

_REMEDIES = {
    ModelKind.ONNX: "Use it as it is.",
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
    ModelKind.TORCH: f"It contains no network that can run without its Python code. {_IN_TORCH}",
    ModelKind.TORCHSCRIPT: f"Load it with torch.jit.load and export it. {_IN_TORCH}",
    ModelKind.SAFETENSORS: (
        "It contains weights only. Load them into their network where it is defined, and save that as .keras or .onnx."
    ),
    ModelKind.NUMPY: (
        "It contains arrays only. Load them into their network where it is defined, and save that as .keras or .onnx."
    ),
    ModelKind.PICKLE: (
        "Pickles can run any code when opened, so it is not opened. Load it in the program that wrote it, and save the "
        "network as .keras or .onnx."
    ),
    ModelKind.OPENVINO: "Use the ONNX or Keras file that it was converted from.",
    ModelKind.COREML: "Use the ONNX or Keras file that it was converted from.",
    ModelKind.JSON: (
        "In Keras, combine it with its weights: network = keras.models.model_from_json(open({quoted}).read()); "
        "network.load_weights(WEIGHTS); network.save('model.keras')."
    ),
    ModelKind.ZIP: "Unpack it and give the model file in it.",
    ModelKind.PACKED: "Unpack it and give the model file in it.",
    ModelKind.LFS: f"{_AGAIN} with: git lfs pull",
    ModelKind.PAGE: f"{_AGAIN}: the download may require signing in or a confirmation.",
    ModelKind.EMPTY: "Get the file again.",
    ModelKind.RUN: "Make its ONNX file with: mien export {path} --format onnx",
    ModelKind.FOLDER: "Give a run folder with best.keras or model.onnx in it, or a model file.",
    ModelKind.MISSING: "Check the path.",
    ModelKind.UNKNOWN: "Give an ONNX or Keras file. If it is one, it is damaged or truncated: get it again.",
}
