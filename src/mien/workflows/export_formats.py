"""The file formats of an export: names and endings of their files, and which model can be written in which format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.card import METADATA_KEY
from mien.errors import DataError, ModelError
from mien.model_kinds import ModelKind, kind_of, remedy

if TYPE_CHECKING:
    from mien.workflows.loaded_model import LoadedModel


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        file: the name of the file or folder in a run folder.
        ending: the suffix outside of run folders, after the stem of the model's file.
        needs_network: whether it can only be exported from a Keras network, not from an ONNX file.
        is_folder: whether it is a folder.
        is_foreign: whether it is for another runtime; its predictions are then compared with those of the original.
        is_of_training: whether a training writes it, so that an export may replace it in a run folder.
    """

    file: str
    ending: str
    needs_network: bool = True
    is_folder: bool = False
    is_foreign: bool = False
    is_of_training: bool = False


FORMATS = {
    "onnx": Format("model.onnx", ".onnx", needs_network=False, is_of_training=True),
    "int8": Format("model.int8.onnx", ".int8.onnx", needs_network=False),
    "h5": Format("facial_emotions_model.h5", ".h5", is_of_training=True),
    "keras": Format("model.keras", ".keras"),
    "tflite": Format("model.tflite", ".tflite", is_foreign=True),
    "tflite-int8": Format("model.int8.tflite", ".int8.tflite", is_foreign=True),
    "saved-model": Format("saved_model", "_saved_model", is_folder=True, is_foreign=True),
    "tfjs": Format("tfjs_model", "_tfjs", is_folder=True, is_foreign=True),
    "coreml": Format("model.mlpackage", ".mlpackage", is_folder=True, is_foreign=True),
    "openvino": Format("model.xml", ".xml", needs_network=False, is_foreign=True),
}
"""The formats by their names."""

ALIASES = {
    "savedmodel": "saved-model",
    "saved_model": "saved-model",
    "tensorflowjs": "tfjs",
    "tensorflow.js": "tfjs",
    "mlmodel": "coreml",
    "mlpackage": "coreml",
    "litert": "tflite",
}

CARD_FILE = "mien_card.json"
"""Name of the model card's file in folders of formats without their own metadata."""

REMEDY = "Choose another file with `out`, or replace it with `force=True`."


def find_format(name: object, out: Path | None = None) -> str:
    """Return the canonical name of a format.

    Args:
        name: the name or an alias.
        out: the output file, whose suffix must match the format.

    Raises:
        ModelError: If there is no such format, or the suffix does not match.
    """
    known = ALIASES.get(name.lower(), name.lower()) if isinstance(name, str) else ""
    if known not in FORMATS:
        raise ModelError(f"Expected the format to be one of {', '.join(FORMATS)}, got {str(name)[:80]!r}.")
    suffix = Path(FORMATS[known].file).suffix
    if out and out.suffix.lower() != suffix:
        ending = f"a name that ends in {suffix}" if suffix else "the name of a folder, without an ending"
        raise ModelError(f"{out}: expected {ending} for the format {known}.")
    return known


def default_path(loaded: LoadedModel, name: str) -> Path:
    """Return the default path of an export: in the run folder, or next to the model's file."""
    if loaded.folder:
        return loaded.folder / FORMATS[name].file
    return loaded.path.with_name(loaded.path.stem + FORMATS[name].ending)


def require_possible(loaded: LoadedModel, name: str) -> None:
    """Check that a model can be exported to a format; not every format can be made from an ONNX file.

    Raises:
        ModelError: If it cannot.
    """
    from mien.recognition.model_files import BUNDLED

    if loaded.network is not None:
        return
    kind = kind_of(loaded.path) if loaded.path.exists() else ModelKind.ONNX
    if kind in {ModelKind.TFLITE, ModelKind.SAVED_MODEL}:
        raise ModelError(
            f"{loaded.path}: expected a Keras or ONNX file or a run folder to export, got {kind.value}. "
            f"{remedy(loaded.path, kind)}"
        )
    if FORMATS[name].needs_network:
        raise ModelError(
            f"{loaded.path}: expected a Keras file or a run folder for the format {name}, got an ONNX model, "
            "which cannot be turned back. Export the Keras file that it was made from."
        )
    if name == "int8" and str(loaded.path) in BUNDLED:
        raise ModelError(
            f"{loaded.path}: expected a float32 model for the format int8, got a bundled one, which is int8 already. "
            "Use it as it is, or copy it with `format=onnx`."
        )


def require_folder_of_ours(target: Path, *, force: bool) -> None:
    """Refuse to write a model to a folder with other content, unless `force` is set.

    Raises:
        DataError: If the folder has other content, or is a file.
    """
    if target.exists() and not target.is_dir():
        raise DataError(
            f"{target}: expected a new or empty folder, found a file. Choose another name with `out`."
        )
    if not force and target.is_dir() and any(target.iterdir()) and not _is_ours(target):
        raise DataError(f"{target}: expected a new or empty folder, found one with files. {REMEDY}")


def _is_ours(folder: Path) -> bool:
    """Return whether a folder contains a model with a card of mien."""
    if (folder / CARD_FILE).is_file():
        return True
    specifications = folder.glob("Data/*/*.mlmodel")  # in a Core ML package
    return any(METADATA_KEY.encode() in path.read_bytes() for path in specifications)
