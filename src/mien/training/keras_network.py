"""Keras files (`.keras`, `.h5`, `.hdf5`, or an architecture in JSON with its weights) as networks.

Loading a Keras file can run code that it contains: load only files that you trust.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.model_kinds import ModelKind, kind_of, shown
from mien.network_formats import Tensor
from mien.training.keras_start import prepare_keras

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def open_network(path: Path, input_shape: tuple[int, int, int] | None = None) -> KerasNetwork:
    """Open a Keras file; see `mien.network_formats.open_network`."""
    return KerasNetwork(path, input_shape)


class KerasNetwork:
    """A Keras file as a `mien.network_formats.Network`.

    For a network without a model card, layers that convert gray crops to its input are added, as in `mien evaluate`.

    Args:
        path: the file.
        input_shape: the shape of an image, which sets variable dimensions of a network without a model card.

    Raises:
        ModelError: If it does not load, or has another input.
        MissingExtra: If Keras is not installed.
    """

    def __init__(self, path: Path, input_shape: tuple[int, int, int] | None = None) -> None:
        prepare_keras()
        from mien.training.keras_io import read_card
        from mien.training.keras_loading import load_architecture, load_network
        from mien.training.network_shapes import check_shapes, for_crops, input_of, rescales
        from mien.training.networks import HEADS

        self._path, self._input_shape, self._lock = Path(path), input_shape, threading.Lock()
        self.name = str(path)
        written = kind_of(path) is not ModelKind.JSON
        self.card = read_card(path) if written else None
        network = load_network(path) if written else load_architecture(path)
        taken = None if self.card else input_of(network, shown(path), input_shape)
        self._network = network if self.card else for_crops(network, taken)
        self.assumed_size = (taken.width, taken.height) if taken is not None and taken.assumed else None
        heads = 1 + len(self.card.heads) if self.card else 1
        check_shapes(self._network, shown(path), heads=heads)
        self.pixel_range = (0.0, 255.0) if rescales(self._network) else None
        self._names = HEADS[:heads]

    def __reduce__(self) -> tuple[Any, ...]:
        return KerasNetwork, (self._path, self._input_shape)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The input."""
        return (Tensor("image", tuple(self._network.input_shape)),)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs, named as in model cards."""
        shapes = self._network.output_shape
        shapes = shapes if isinstance(shapes, list) else [shapes]
        return tuple(Tensor(name, tuple(shape)) for name, shape in zip(self._names, shapes, strict=True))

    def run(self, pixels: NDArray[np.float32], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network; see `mien.network_formats.Network`."""
        with self._lock:  # the first call compiles the network
            given = self._network.predict(pixels, batch_size=256, verbose=0)
        rows = given if isinstance(given, list) else [given]
        return [np.asarray(rows[self._names.index(name)], np.float32) for name in outputs]
