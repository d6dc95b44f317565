"""TensorFlow SavedModel folders as networks, written by Keras or another program.

A SavedModel is a program: its operators can read and write files. Load only folders that you trust.
"""

from __future__ import annotations

import re
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import ModelCard
from mien.errors import ModelError
from mien.model_kinds import shown
from mien.network_formats import Tensor
from mien.training.keras_start import load_tensorflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CARD = "mien_card.json"
"""Name of the file with the model card in the folder."""

_PASSING = {
    "Identity",
    "Reshape",
    "Transpose",
    "Cast",
    "ResizeBilinear",
    "ResizeBicubic",
    "ResizeArea",
    "ResizeNearestNeighbor",
    "Pad",
    "PadV2",
    "MirrorPad",
    "Slice",
    "StridedSlice",
    "BroadcastTo",
    "StopGradient",
    "Tile",
    "ConcatV2",
    "ExpandDims",
    "Squeeze",
    "ReverseV2",
    "Select",
    "SelectV2",
    "GatherV2",
    "CropAndResize",
    "ImageProjectiveTransformV3",
}
_RESCALING = {
    "Mul",
    "Div",
    "RealDiv",
    "Sub",
    "Add",
    "AddV2",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
}

_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


def open_network(path: Path, threads: int = 0) -> SavedModelNetwork:
    """Open a SavedModel folder; see `mien.network_formats.open_network`."""
    del threads  # TensorFlow has one thread pool per process
    return SavedModelNetwork(path)


def read_saved_model_card(path: Path) -> ModelCard | None:
    """Read the model card in the folder of a SavedModel; `None` if there is none.

    Raises:
        ModelError: If the card is damaged.
    """
    place = path / CARD
    return ModelCard.from_json(place.read_text(encoding="utf-8")) if place.is_file() else None


class SavedModelNetwork:
    """A SavedModel folder as a `mien.network_formats.Network`.

    Args:
        path: the folder.

    Raises:
        ModelError: If it does not load or has no signature for images.
        MissingExtra: If TensorFlow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self.name = str(path)
        self.card = read_saved_model_card(self._path)
        tf = load_tensorflow("which runs SavedModels")
        try:
            self._model = tf.saved_model.load(str(path))  # kept, because its variables are freed with it
            self._function, self._image = _signature_for_images(self._model)
        except Exception as error:  # TensorFlow raises many exception types for a damaged folder
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{shown(path)}: expected a SavedModel with a signature for images, got: {reason[:120]}."
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return SavedModelNetwork, (self._path,)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The input for the images; `run` converts float32 to integers if it takes integers."""
        return (Tensor(self._image.name, tuple(self._image.shape.as_list())),)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs, named as in the model card if there is one."""
        given = self._function.structured_outputs
        return tuple(
            Tensor(name, tuple(given[key].shape.as_list()), given[key].dtype.name)
            for name, key in self._keys().items()
            if given[key].shape.rank is not None
        )

    @cached_property
    def pixel_range(self) -> tuple[float, float] | None:
        """0 to 255 for an integer input or a network that begins with arithmetic, else `None`."""
        whole = self._image.dtype.is_integer
        return (0.0, 255.0) if whole or self._first_operators() & _RESCALING else None

    def run(self, pixels: NDArray[np.float32], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network; see `mien.network_formats.Network`.

        Raises:
            ModelError: If it fails.
        """
        tf = load_tensorflow("which runs SavedModels")
        keys = self._keys()
        try:
            values = tf.cast(tf.constant(pixels), self._image.dtype)
            given = self._function(**{self._image.name: values})
        except Exception as error:  # TensorFlow raises exceptions of many types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{shown(self.name)}: TensorFlow cannot run this model ({reason[:120]})."
            ) from error
        return [np.asarray(given[keys[name]], np.float32) for name in outputs]

    def _keys(self) -> dict[str, str]:
        """Return the signature key of each output by name; the keys of Keras are output_0, output_1, and so on."""
        keys = sorted(self._function.structured_outputs, key=_natural)
        if self.card is None:
            return {key: key for key in keys}
        names = sorted(head.output for head in self.card.all_heads)
        return (
            {name: name for name in names}
            if set(names) <= set(keys)
            else dict(zip(names, keys, strict=False))
        )

    def _first_operators(self) -> set[str]:
        """Return the names of the first operators that use the images, skipping those that keep the value range."""
        graph = self._function.graph.as_graph_def()
        functions = {one.signature.name: one for one in attrgetter("library.function")(graph)}
        images = {tensor.op.name for tensor in self._function.inputs if tensor.dtype.name != "resource"}
        found, _ = _follow(list(graph.node), images, functions)
        return found


def _follow(nodes: list[Any], reached: set[str], functions: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Follow values through the nodes of a graph and the functions that it calls.

    Args:
        nodes: nodes in any order.
        reached: names of the nodes or arguments whose values are followed.
        functions: the functions by name.

    Returns:
        Names of the first operators that use the values, and of all nodes that pass them on.
    """
    found: set[str] = set()
    reached, rest = set(reached), nodes
    while True:
        sources = {node.name: [name.split(":")[0] for name in node.input] for node in rest}
        users = [node for node in rest if not reached.isdisjoint(sources[node.name])]
        if not users:
            return found, reached
        rest = [node for node in rest if reached.isdisjoint(sources[node.name])]
        for node in users:
            called = functions.get(node.attr["f"].func.name) if node.op in _CALLS else None
            if node.op in _PASSING:
                reached.add(node.name)
            elif called is None:
                found.add(node.op)
            else:
                pairs = zip(called.signature.input_arg, sources[node.name], strict=False)
                inner = {argument.name for argument, source in pairs if source in reached}
                first, passed = _follow(list(called.node_def), inner, functions)
                found |= first
                if any(value.split(":")[0] in passed for value in called.ret.values()):
                    reached.add(node.name)


def _signature_for_images(model: Any) -> tuple[Any, Any]:
    """Return the signature that takes one tensor of images, and the specification of that tensor.

    Raises:
        ValueError: If there is none.
    """
    signatures = dict(model.signatures)
    for name in sorted(signatures, key=lambda one: one != "serving_default"):
        specs = list(signatures[name].structured_input_signature[1].values())
        images = [spec for spec in specs if spec.shape.rank == 4 and spec.dtype.name != "string"]
        if len(specs) == len(images) == 1:
            return signatures[name], images[0]
    taken = {
        name: [str(spec.shape) for spec in one.structured_input_signature[1].values()]
        for name, one in signatures.items()
    }
    raise ValueError(f"signatures with other inputs ({taken})" if taken else "one without signatures")


def _natural(name: str) -> tuple[Any, ...]:
    """Return a sort key that orders `output_10` after `output_9`."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))
