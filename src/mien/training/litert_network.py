"""LiteRT (TensorFlow Lite) files as networks, run by ai-edge-litert if it is installed, else by TensorFlow.

The model card is a file in the zip archive at the end of a model, where TensorFlow Lite's metadata keep associated files
(https://ai.google.dev/edge/litert/models/metadata).
"""

from __future__ import annotations

import threading
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import ModelCard
from mien.errors import MissingExtra, ModelError
from mien.model_kinds import shown
from mien.network_formats import Tensor
from mien.training.keras_start import load_tensorflow, silent_standard_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CARD = "mien_card.json"

_ROUNDING = 0.05
"""Maximum deviation of a sum of int8 probabilities from 1; they come in steps of 1/256."""

_PASSING = {
    "QUANTIZE",
    "DEQUANTIZE",
    "RESHAPE",
    "TRANSPOSE",
    "CAST",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "TILE",
    "BROADCAST_TO",
    "CONCATENATION",
    "EXPAND_DIMS",
    "SQUEEZE",
    "PAD",
    "PADV2",
    "MIRROR_PAD",
    "SLICE",
    "STRIDED_SLICE",
}
_RESCALING = {"MUL", "DIV", "SUB", "ADD"}
_PIXELS = (0.0, 255.0)


def open_network(path: Path, threads: int = 0) -> LiteRtNetwork:
    """Open a `.tflite` file; see `mien.network_formats.open_network`."""
    return LiteRtNetwork(path, threads)


def read_litert_card(path: str | Path) -> ModelCard | None:
    """Read the model card in a `.tflite` file; `None` if there is none.

    Raises:
        ModelError: If the card is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(CARD).decode()
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError):
        return None
    return ModelCard.from_json(text)


class LiteRtNetwork:
    """A `.tflite` file as a `mien.network_formats.Network`.

    Images are processed one at a time, because some models cannot change their batch size. Values are converted to the
    types of quantized inputs and outputs.

    Args:
        path: the file.
        threads: number of CPU threads; 0 lets the runtime choose.

    Raises:
        ModelError: If it does not load or takes something else than images.
        MissingExtra: If neither ai-edge-litert nor TensorFlow is installed.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._path, self._threads = Path(path), threads
        self._lock = threading.Lock()  # an interpreter stores the values of one call
        self.name = str(path)
        interpreter = _interpreter_class()
        try:
            with warnings.catch_warnings(), silent_standard_error():  # it prints a message about XNNPACK
                warnings.simplefilter("ignore")  # TensorFlow recommends ai-edge-litert
                self._interpreter = interpreter(model_path=str(path), num_threads=threads or None)
                self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()
            self._outputs = {entry["name"]: entry for entry in self._interpreter.get_output_details()}
        except (ValueError, RuntimeError, IndexError) as error:
            reason = (str(error).splitlines() or ["damaged"])[0]
            raise ModelError(
                f"{shown(path)}: expected a LiteRT model, got one that does not load ({reason[:80]})."
            ) from error
        self.card = read_litert_card(path)
        self._ready: tuple[int, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return LiteRtNetwork, (self._path, self._threads)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs; their batch size is variable."""
        return tuple(Tensor(entry["name"], (None, *_shape(entry)[1:])) for entry in self._input)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs, named as in the model card if there is one."""
        return tuple(Tensor(name, (None, *_shape(entry)[1:])) for name, entry in self._named().items())

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """What quantized inputs represent, or 0 to 255 for a network that begins with arithmetic."""
        details = self._input[0]
        if details["dtype"] == np.float32:
            return _PIXELS if self._first_operators() & _RESCALING else None
        limits, (scale, zero) = np.iinfo(details["dtype"]), details["quantization"]
        if not scale:  # integers without quantization
            return float(limits.min), float(limits.max)
        return float((limits.min - zero) * scale), float((limits.max - zero) * scale)

    def run(self, pixels: NDArray[np.float32], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network; see `mien.network_formats.Network`.

        Raises:
            ModelError: If it fails.
        """
        named = self._named()
        wanted, entry = [named[name] for name in outputs], self._input[0]
        rows: list[list[NDArray[np.float32]]] = [[] for _ in wanted]
        with self._lock:
            try:
                self._prepare(pixels.shape[1:])
                for image in pixels:
                    self._interpreter.set_tensor(entry["index"], _quantized(image[None], entry))
                    self._interpreter.invoke()
                    for row, details in zip(rows, wanted, strict=True):
                        value = self._interpreter.get_tensor(details["index"])
                        row.append(_dequantized(value, details)[0].copy())
            except (ValueError, RuntimeError) as error:
                raise ModelError(
                    f"{shown(self.name)}: LiteRT cannot run this model ({str(error).splitlines()[0][:80]})."
                ) from error
        return [_normalized(np.array(row, np.float32).reshape(len(pixels), -1)) for row in rows]

    def _prepare(self, shape: tuple[int, ...]) -> None:
        """Allocate the tensors for one image of this shape."""
        if self._ready != shape:
            self._interpreter.resize_tensor_input(self._input[0]["index"], [1, *shape])
            self._interpreter.allocate_tensors()
            self._ready = shape

    def _named(self) -> dict[str, Any]:
        """Return the outputs by name: with a card, those that it lists, under its names instead of LiteRT's."""
        if self.card is None:
            return self._outputs
        found: dict[str, Any] = {}
        taken: set[int] = set()
        for head in sorted(self.card.all_heads, key=lambda one: one.output):
            fitting = [
                entry
                for entry in self._outputs.values()
                if _shape(entry)[-1] == len(head.labels) and entry["index"] not in taken
            ]
            exact = [entry for entry in fitting if _is_named(entry["name"], head.output)]
            if fitting:
                found[head.output] = (exact or fitting)[0]
                taken.add(found[head.output]["index"])
        return found

    def _first_operators(self) -> set[str]:
        """Return the names of the first operators that use the input, skipping those in `_PASSING`."""
        details = getattr(self._interpreter, "_get_ops_details", None)  # not part of the public API
        if details is None:
            return set()
        found, reached = set(), {int(self._input[0]["index"])}
        for operator in details():
            if not reached & {int(index) for index in operator["inputs"]}:
                continue
            if operator["op_name"] in _PASSING:
                reached |= {int(index) for index in operator["outputs"]}
            else:
                found.add(str(operator["op_name"]))
        return found


def _shape(details: dict[str, Any]) -> tuple[int | None, ...]:
    """Return the shape of a tensor, with `None` for variable dimensions, which are 1 in `shape`."""
    sides = details.get("shape_signature")
    sides = details["shape"] if sides is None or not len(sides) else sides
    return tuple(int(side) if side >= 0 else None for side in sides)


def _is_named(tensor: str, output: str) -> bool:
    """Return whether a LiteRT name, such as `StatefulPartitionedCall:0` or `serve_probabilities`, is of an output."""
    return (
        tensor == output or tensor.endswith((f"_{output}", f"/{output}")) or tensor.startswith(f"{output}:")
    )


def _normalized(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide probabilities by their sum if it differs from 1 only by int8 rounding."""
    sums = rows.sum(axis=1, keepdims=True)
    rounded = len(rows) and (np.abs(sums - 1) < _ROUNDING).all() and (rows >= 0).all()
    return rows / sums if rounded else rows


def _quantized(values: NDArray[np.float32], details: dict[str, Any]) -> NDArray[Any]:
    """Convert float32 values to the type of a tensor."""
    if details["dtype"] == np.float32:
        return values
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    whole = np.round(values / (scale or 1) + zero)
    return np.asarray(np.clip(whole, limits.min, limits.max), details["dtype"])


def _dequantized(values: NDArray[Any], details: dict[str, Any]) -> NDArray[np.float32]:
    if details["dtype"] == np.float32:
        return np.asarray(values, np.float32)
    scale, zero = details["quantization"]
    return np.asarray((values.astype(np.float32) - zero) * (scale or 1), np.float32)


def _interpreter_class() -> Any:
    if find_spec("ai_edge_litert") is not None:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    if find_spec("tensorflow") is None:
        raise MissingExtra("ai-edge-litert, which runs .tflite files", "litert")
    return load_tensorflow("which runs .tflite files").lite.Interpreter
