"""Networks in model files of any format, behind one interface, and the modules that open them.

`mien.recognition` runs ONNX files itself. LiteRT, TensorFlow and Keras files need libraries that only `mien.training`
may import. `open_network` imports the module for such a format by its name when a file of that format is opened, so
that recognition with ONNX files loads none of these libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from mien.model_kinds import ModelKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mien.card import ModelCard

_MODULES = {
    ModelKind.TFLITE: "mien.training.litert_network",
    ModelKind.SAVED_MODEL: "mien.training.saved_model_network",
    ModelKind.KERAS: "mien.training.keras_network",
    ModelKind.HDF5: "mien.training.keras_network",
    ModelKind.JSON: "mien.training.keras_network",
}
"""Format -> module with a function `open_network`."""

FORMATS = frozenset(_MODULES)
"""The formats besides ONNX that can be run."""

CROP_FORMATS = frozenset({ModelKind.KERAS, ModelKind.HDF5, ModelKind.JSON})
"""Formats whose networks take gray crops of 48x48 pixels once opened, because layers that convert crops are added."""

CODE_FORMATS = FORMATS - {ModelKind.TFLITE}
"""Formats whose files can contain code or operators that read and write files."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network.

    Args:
        name: its name.
        shape: its shape; `None` for a variable dimension.
        dtype: the type of its values; `float32` for networks that convert from or to float32 themselves.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


class Network(Protocol):
    """A network that is ready to run. Calls from several threads at once are allowed."""

    @property
    def name(self) -> str:
        """The name of the model in error messages."""

    @property
    def card(self) -> ModelCard | None:
        """The model card in the file, if it has one."""

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """Input values of black and white pixels, if the file determines them; else `None`.

        One rule holds for all formats: a network takes 0 to 255 if one of the first operators that use its input,
        after those that only change its type, shape, size or number of channels, is arithmetic (addition, subtraction,
        multiplication, division) or a normalization. A quantized input (LiteRT only) defines its range.
        """

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs."""

    def run(self, pixels: NDArray[np.float32], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network.

        Args:
            pixels: the input, float32 of the shape of the only input.
            outputs: names of the outputs to compute.

        Raises:
            ModelError: If it fails.
        """


def open_network(
    path: Path, kind: ModelKind, threads: int = 0, input_shape: tuple[int, int, int] | None = None
) -> Network:
    """Open a model file in a format other than ONNX.

    Args:
        path: the file or folder.
        kind: its format, one of `FORMATS`.
        threads: number of CPU threads per call; 0 lets the library choose. Keras and TensorFlow ignore it.
        input_shape: the shape of an image, which sets variable dimensions of a Keras network.

    Raises:
        ModelError: If it does not load.
        MissingExtra: If the library for the format is not installed.
    """
    module = import_module(_MODULES[kind])
    if kind in CROP_FORMATS:
        network: Network = module.open_network(path, input_shape)
    else:
        network = module.open_network(path, threads)
    return network
