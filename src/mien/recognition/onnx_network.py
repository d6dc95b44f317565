"""`OnnxNetwork`: an ONNX file as a network, run by ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.network_formats import Tensor
from mien.recognition.model_origin import ModelOrigin
from mien.recognition.onnx_card import rescales
from mien.recognition.onnx_session import open_session, run_session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mien.card import ModelCard

_TYPES = {"tensor(float)": "float32"}


class OnnxNetwork:
    """An ONNX file as a `mien.network_formats.Network`.

    It can be pickled: the other process receives the file and the settings, and opens it again.

    Args:
        model: the model as the user gave it: the path of a file or a run folder, or the name of a bundled model.
        name: name of the model in error messages.
        data: the bytes of the file.
        card: its model card, if it has one.
        threads: number of CPU threads per call; 0 lets ONNX Runtime choose.

    Raises:
        ModelError: If the model stores data in other files, contains a loop, or cannot be loaded.
    """

    def __init__(
        self, model: str | Path, name: str, data: bytes, card: ModelCard | None, threads: int
    ) -> None:
        self.name, self.card = name, card
        self._session = open_session(name, data, threads)
        self._threads, self._origin = threads, ModelOrigin.of(model, name, data)
        inputs = self._session.get_inputs()
        begins = card is None and len(inputs) == 1 and rescales(data, inputs[0].name)
        self.pixel_range = (0.0, 255.0) if begins else None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling: the bytes of the file (unless it is bundled) in place of the session.

        Raises:
            ModelError: If the file no longer exists or has changed since it was opened.
        """
        state = {name: value for name, value in self.__dict__.items() if name != "_session"}
        return {**state, "_data": None if self._origin.bundled else self._origin.read()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data = state.pop("_data")
        self.__dict__.update(state)
        self._session = open_session(self.name, data or self._origin.read(), self._threads)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs."""
        return tuple(_tensor(one) for one in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs."""
        return tuple(_tensor(one) for one in self._session.get_outputs())

    def run(self, pixels: NDArray[np.float32], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network; see `mien.network_formats.Network`.

        Raises:
            ModelError: If it fails, or needs more memory than the limit.
        """
        found: list[NDArray[np.float32]] = run_session(
            self._session, outputs, {self._session.get_inputs()[0].name: pixels}, self.name
        )
        return found


def _tensor(entry: Any) -> Tensor:
    shape = tuple(side if isinstance(side, int) else None for side in entry.shape)
    return Tensor(entry.name, shape, _TYPES.get(entry.type, entry.type))
