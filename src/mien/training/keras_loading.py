"""Load Keras files written by any program, detected by content; fields that only Keras 2 supports are removed.

Loading a Keras file can run code that it contains: load only files that you trust.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import shutil
import tempfile
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import keras

from mien.errors import ModelError
from mien.installation import install_line
from mien.model_kinds import KERAS_KINDS, ModelKind, kind_of, refusal, shown
from mien.unpacking import UnpackError, check_sizes, read_member

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIXES = {ModelKind.KERAS: (".keras",), ModelKind.HDF5: (".h5", ".hdf5")}
_REASON = 200
"""Maximum number of characters of Keras's reason in a message: it can contain a whole configuration."""

_ONLY_FOR_TRAINING = re.compile(r".*_(initializer|regularizer|constraint)")
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "groups": (1,),
    "trainable": (True, False),
    "noise_shape": (None,),
    "time_major": (False,),
    "ragged": (False,),
    "sparse": (False,),
}
"""Fields that Keras 2 wrote for layers that lack them in Keras 3, with the values that have no effect."""


def load_network(path: str | Path, *, compiled: bool = False) -> keras.Model:
    """Load a Keras model, with its optimizer if `compiled`.

    Args:
        path: a `.keras` or HDF5 file, with any suffix.
        compiled: whether to load its optimizer too.

    Raises:
        ModelError: If it is not a Keras file, or Keras cannot load it.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind not in KERAS_KINDS:
        raise ModelError(refusal(path, kind))
    if kind is ModelKind.KERAS:
        try:
            check_sizes(path)
        except UnpackError as error:
            raise ModelError(f"{shown(path)}: {error}") from error
    with tempfile.TemporaryDirectory() as folder, without_legacy_warning():
        place = path
        if path.suffix not in _SUFFIXES[kind]:  # Keras chooses the format by the suffix
            place = Path(shutil.copyfile(path, Path(folder) / f"network{_SUFFIXES[kind][0]}"))
        try:
            return keras.models.load_model(place, compile=compiled)
        except Exception as error:
            mended = _mended(path, Path(folder)) if kind is ModelKind.HDF5 else None
            if mended is None:
                raise ModelError(_told(path, kind, error)) from error
        try:
            return keras.models.load_model(mended, compile=compiled)
        except Exception as error:
            raise ModelError(_told(path, kind, error)) from error


def load_architecture(path: str | Path) -> keras.Model:
    """Load a network from the JSON of its architecture and the weights file next to it.

    Args:
        path: the JSON, as written by `network.to_json()`. The weights have the same name and end in `.weights.h5`, `.h5`
            or `.hdf5`, or are the only such file in its folder.

    Raises:
        ModelError: If there are no such weights, or they do not match the architecture.
    """
    path = Path(path)
    named = [path.with_name(path.stem + ending) for ending in (".weights.h5", ".h5", ".hdf5")]
    others = [file for file in sorted(path.parent.iterdir()) if file.suffix in {".h5", ".hdf5"}]
    found = [file for file in named if file.is_file()] or (others if len(others) == 1 else [])
    if not found:
        raise ModelError(
            f"{shown(path)}: this is the architecture of a Keras model. Put its weights beside it as "
            f"{path.stem}.weights.h5, and give the same file again."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        _mend(config)
        with without_legacy_warning():
            network = keras.models.model_from_json(json.dumps(config))
            network.load_weights(found[0])
    except Exception as error:  # Keras raises many exception types for incompatible configurations or weights
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{shown(path)}: Keras {keras.__version__} cannot load this network with the weights {found[0].name} "
            f"({reason[:_REASON]}). Save it where it was made, as .keras."
        ) from error
    return network


def _mended(path: Path, folder: Path) -> Path | None:
    """Return a copy of an HDF5 file without unknown fields that do not affect predictions; `None` if it has none."""
    place = Path(shutil.copyfile(path, folder / "mended.h5"))
    try:
        with h5py.File(place, "a") as file:
            found = file.attrs.get("model_config")
            if found is None:
                return None
            config = json.loads(found if isinstance(found, str) else found.decode())
            if not _mend(config):
                return None
            file.attrs["model_config"] = json.dumps(config)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return place


def _mend(config: Any) -> bool:
    """Remove unknown fields of the layers in a configuration, in place; return whether there were any."""
    if isinstance(config, list):
        return sum([_mend(item) for item in config]) > 0  # a list, so that all layers are processed
    if not isinstance(config, dict):
        return False
    changed = sum([_mend(item) for item in config.values()]) > 0
    layer, fields = getattr(keras.layers, str(config.get("class_name")), None), config.get("config")
    if layer is None or not isinstance(fields, dict):
        return changed
    known = _parameters(layer)
    for name in [name for name in fields if name not in known]:
        if _ONLY_FOR_TRAINING.fullmatch(name) or fields[name] in _NEUTRAL.get(name, ()):
            del fields[name]
            changed = True
    axis = fields.get("axis")
    if config["class_name"] == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        fields["axis"], changed = axis[0], True
    return changed


def _parameters(layer: type) -> set[str]:
    """Return the constructor arguments of a layer, including those passed on to base classes."""
    names = {"batch_input_shape", "batch_shape"}
    for one in layer.__mro__:
        code = getattr(one.__dict__.get("__init__"), "__code__", None)
        if code is None:
            continue
        names |= set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        if not code.co_flags & inspect.CO_VARKEYWORDS:  # does not pass arguments to its base class
            return names
        if issubclass(keras.layers.Layer, one):
            break
    return names | {"name", "trainable", "dtype"}


def _told(path: Path, kind: ModelKind, error: Exception) -> str:
    """Return the error message: what Keras could not load, why, and what to do."""
    text = str(error).strip()
    inner = re.findall(r"(?:Exception encountered|Error message): (.+)", text)
    reason = (inner[-1] if inner else (text.splitlines() or [type(error).__name__])[0]).strip()
    reason = reason if len(reason) <= _REASON else f"{reason[:_REASON]}…"
    begin = f"{shown(path)}: Keras {keras.__version__} cannot load this model"
    if kind is ModelKind.HDF5 and (lacking := without_architecture(path)):
        return f"{begin}, for {lacking}"
    made = _version(path)
    if made and made < "3":
        line = install_line("tf-keras", "tf2onnx")
        return (
            f"{begin}, which Keras {made} wrote ({reason}). Convert it with Keras 2: {line}; TF_USE_LEGACY_KERAS=1 "
            f"python -m tf2onnx.convert --keras {shown(path)} --output model.onnx; then give it a model card: "
            "mien export model.onnx --model-class-names … --out with-card.onnx"
        )
    return (
        f"{begin} ({reason}). Load it where it was made, with the Keras and the layers of its own that it was made "
        "with, and save it there as .keras, or as .onnx with network.export('model.onnx', format='onnx')."
    )


def without_architecture(path: Path) -> str:
    """Return why an HDF5 file contains no network, and what to do; empty if it contains one."""
    try:
        with h5py.File(path, "r") as file:
            if "model_config" in file.attrs:
                return ""
    except OSError:
        return "it is damaged or cut short. Get it again."
    return (
        "it holds weights only. Build its network in Keras, then network.load_weights(FILE) and "
        "network.save('model.keras')."
    )


def _version(path: Path) -> str:
    """Return the version of Keras that wrote a file; empty if it is unknown."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found = json.loads(read_member(archive, "metadata.json")).get("keras_version", "")
        else:
            with h5py.File(path, "r") as file:
                found = file.attrs.get("keras_version", "")
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile):
        return ""
    return found.decode() if isinstance(found, bytes) else str(found)


@contextmanager
def without_legacy_warning() -> Iterator[None]:
    """Suppress Keras's warning about the `.h5` format."""
    logger = logging.getLogger("absl")
    logger.addFilter(_is_not_advice)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*HDF5.*")
            yield
    finally:
        logger.removeFilter(_is_not_advice)


def _is_not_advice(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    return "HDF5" not in text and "compile_metrics" not in text and "compiled metrics" not in text
