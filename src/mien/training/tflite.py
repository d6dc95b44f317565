"""LiteRT (TensorFlow Lite) files: written from a Keras network, float or int8, and run.

The conversion runs on TensorFlow in a process of its own, as that to ONNX does. The card and the class names are files
in a zip archive at the end of the model, where TensorFlow Lite's metadata keep associated files
(https://ai.google.dev/edge/litert/models/metadata); runtimes ignore them. A model is run by ai-edge-litert where that
is installed, else by TensorFlow.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import ModelCard
from mien.errors import MissingExtra, ModelError
from mien.files import replacing
from mien.images import CROP_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING = 0.05
"""How far the sum of int8 probabilities may be from 1."""

CARD, LABELS = "mien_card.json", "labels.txt"


def export_tflite(
    source: str | Path, target: str | Path, card: ModelCard, crops: NDArray[np.uint8] | None = None
) -> Path:
    """Convert a `.keras` or `.h5` file to LiteRT.

    Args:
        source: the Keras file.
        target: the `.tflite` file to write.
        card: goes into the file.
        crops: gray uint8 (n, 48, 48), some hundreds, that set the ranges of int8; `None` for float32. Input and output
            are float32 either way.

    Returns:
        The target's path.

    Raises:
        MissingExtra: TensorFlow is not installed.
        ModelError: the conversion failed.
    """
    if find_spec("tensorflow") is None:
        raise MissingExtra("TensorFlow, by which networks are converted to LiteRT", "train-cpu")
    target = Path(target)
    with replacing(target) as aside, tempfile.TemporaryDirectory() as folder:
        faces = ""
        if crops is not None:
            faces = str(Path(folder) / "crops.npy")
            np.save(faces, crops)
        command = [sys.executable, "-m", "mien.training.tflite", str(source), str(aside), faces]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ModelError(f"{source}: the conversion to LiteRT failed ({reason[:200]}).")
        with Path(aside).open("ab") as file:
            file.write(_associated(card))
    return target


def _associated(card: ModelCard) -> bytes:
    """The card and the class names as a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(CARD, card.to_json())
        archive.writestr(LABELS, "\n".join(card.labels) + "\n")
    return data.getvalue()


def read_tflite_card(path: str | Path) -> ModelCard | None:
    """The card in a `.tflite` file, `None` where it has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return ModelCard.from_json(archive.read(CARD).decode())
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError):
        return None


class TfliteNetwork:
    """A `.tflite` file as a function from crops to probabilities.

    Args:
        path: the file.
        card: its card, or one that says what is known of it.

    Raises:
        ModelError: it does not load, or takes or gives something else.
        MissingExtra: neither ai-edge-litert nor TensorFlow is installed.
    """

    def __init__(self, path: str | Path, card: ModelCard) -> None:
        self.card = card
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TensorFlow's own advises ai-edge-litert
                self._interpreter = _interpreter_class()(model_path=str(path))
            self._input = self._interpreter.get_input_details()[0]
            outputs = self._interpreter.get_output_details()
        except (ValueError, RuntimeError, IndexError) as error:
            reason = (str(error).splitlines() or ["damaged"])[0]
            raise ModelError(
                f"{path}: expected a LiteRT model, got one that does not load ({reason[:80]})."
            ) from error
        fitting = [output for output in outputs if output["shape"][-1] == len(card.labels)]
        named = [output for output in fitting if card.output in output["name"]]
        if not fitting:
            shapes = [tuple(int(side) for side in output["shape"]) for output in outputs]
            raise ModelError(
                f"{path}: expected an output of {len(card.labels)} classes, one for each class name, got {shapes}."
            )
        self._output = (named or fitting)[0]

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Raw probabilities float32 (n, classes) of gray crops uint8 (n, 48, 48)."""
        import cv2

        shape = [int(side) for side in self._input["shape"]]
        height, width, channels = shape[1:]
        spec = self.card.input
        rows = []
        self._interpreter.resize_tensor_input(self._input["index"], [1, height, width, channels])
        self._interpreter.allocate_tensors()
        for crop in crops:
            pixels = crop if (height, width) == (CROP_SIZE, CROP_SIZE) else cv2.resize(crop, (width, height))
            values = spec.low + pixels.astype(np.float32) * np.float32((spec.high - spec.low) / 255)
            values = np.repeat(values[None, ..., None], channels, axis=3)
            self._interpreter.set_tensor(self._input["index"], _quantized(values, self._input))
            self._interpreter.invoke()
            rows.append(_dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)[0])
        given = np.array(rows, np.float32).reshape(len(crops), -1)
        sums = given.sum(axis=1, keepdims=True)
        rounded = (np.abs(sums - 1) < _ROUNDING).all() and (given >= 0).all()
        return given / sums if rounded else given  # int8 outputs come in steps of 1/256


def _quantized(values: NDArray[np.float32], details: dict[str, Any]) -> NDArray[Any]:
    """Values in the type of a tensor."""
    if details["dtype"] == np.float32:
        return values
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    whole = np.round(values / (scale or 1) + zero)
    return np.asarray(np.clip(whole, limits.min, limits.max), details["dtype"])


def _dequantized(values: NDArray[Any], details: dict[str, Any]) -> NDArray[np.float32]:
    if details["dtype"] == np.float32:
        return values
    scale, zero = details["quantization"]
    return np.asarray((values.astype(np.float32) - zero) * (scale or 1), np.float32)


def _interpreter_class() -> Any:
    if find_spec("ai_edge_litert") is not None:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    if find_spec("tensorflow") is None:
        raise MissingExtra("ai-edge-litert, which runs .tflite files", "litert")
    import tensorflow as tf

    return tf.lite.Interpreter


def _convert(source: str, target: str, faces: str) -> None:
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from mien.training.networks import HEADS

    network = keras.models.load_model(source, compile=False)
    outputs = network.outputs if isinstance(network.outputs, list) else [network.outputs]
    names = HEADS[: len(outputs)]

    signature = [tf.TensorSpec([1, *network.input_shape[1:]], tf.float32, name="image")]

    def serve(image: Any) -> Any:
        given = network(image, training=False)
        given = given if isinstance(given, list | tuple) else [given]
        return dict(zip(names, given, strict=True))

    frozen = convert_variables_to_constants_v2(
        tf.function(serve, input_signature=signature).get_concrete_function()
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], network)
    if faces:
        crops = np.load(faces)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [crop[None, ..., None].astype(np.float32)] for crop in crops
        )
    Path(target).write_bytes(converter.convert())
    sys.stdout.write(json.dumps({"outputs": list(names)}))


if __name__ == "__main__":
    _convert(*sys.argv[1:4])
