"""`Classifier`: an ONNX session and its card; crops in, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from mien.card import METADATA_KEY, ModelCard
from mien.errors import DataError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBABILITIES = "probabilities"
"""Name of the output that holds the probabilities."""


class Classifier:
    """An expression classifier in an ONNX file made by mien.

    Args:
        model: path of the file.
        threads: processor threads to use; 0 lets ONNX Runtime choose.

    Raises:
        ModelError: the file is missing, is no ONNX file, has no card or does not take what its card says.
    """

    def __init__(self, model: str | Path, *, threads: int = 0) -> None:
        path = Path(model)
        if not path.is_file():
            raise ModelError(
                f"{path}: expected an ONNX file, found none. Make one with: mien export MODEL --format onnx"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            # From bytes, the runtime has no folder to follow external data into.
            self._session = ort.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(
                f"{path}: expected an ONNX model, got a file that does not load as one."
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise ModelError(
                f"{path}: expected a model card in the file's metadata, found none, so its labels are unknown. "
                "Export it with: mien export MODEL --format onnx"
            )
        self.card = ModelCard.from_json(metadata[METADATA_KEY])
        self._check_shapes(path)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.card.labels

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of each expression.

        Args:
            crops: gray uint8 (n, 48, 48); n may be 0.

        Returns:
            float32 (n, classes), each row summing to 1, calibrated by the card's temperature.

        Raises:
            DataError: the crops have another shape or type.
        """
        spec = self.card.input
        if crops.ndim != 3 or crops.shape[1:] != (spec.height, spec.width) or crops.dtype != np.uint8:
            raise DataError(
                f"Expected crops as uint8 (n, {spec.height}, {spec.width}), got {crops.dtype} {crops.shape}."
            )
        if not len(crops):
            return np.zeros((0, len(self.labels)), np.float32)
        pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
        answer: NDArray[np.float32] = self._session.run([PROBABILITIES], {self._input: pixels})[0]
        return self.card.calibrated(answer)

    def _check_shapes(self, path: Path) -> None:
        inputs = self._session.get_inputs()
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        expected = [self.card.input.height, self.card.input.width, 1]
        if len(inputs) != 1 or list(inputs[0].shape[1:]) != expected:
            raise ModelError(
                f"{path}: expected one input of shape (n, {', '.join(map(str, expected))}), got others."
            )
        if PROBABILITIES not in outputs or outputs[PROBABILITIES][-1] != len(self.labels):
            raise ModelError(
                f"{path}: expected an output {PROBABILITIES} with {len(self.labels)} classes, got {outputs}."
            )
        self._input = inputs[0].name
