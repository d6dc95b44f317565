"""Write LiteRT (TensorFlow Lite) files from a Keras network, float or int8.

The conversion runs on TensorFlow in a separate process, like that to ONNX. The model card and the class names are files
in a zip archive at the end of the model, where TensorFlow Lite's metadata store associated files
(https://ai.google.dev/edge/litert/models/metadata); runtimes ignore them. `litert_network` runs the files.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.child_python import module_command
from mien.errors import MissingExtra, ModelError
from mien.files import replacing
from mien.training.litert_network import CARD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.card import ModelCard

LABELS = "labels.txt"


def export_tflite(
    source: str | Path, target: str | Path, card: ModelCard, crops: NDArray[np.uint8] | None = None
) -> Path:
    """Convert a `.keras` or `.h5` file to LiteRT.

    Args:
        source: the Keras file.
        target: the `.tflite` file to write.
        card: the model card to write into the file.
        crops: some hundreds of gray crops, uint8 (n, 48, 48), for int8 calibration; `None` for float32. Input and
            output are float32 either way.

    Returns:
        The target's path.

    Raises:
        MissingExtra: If TensorFlow is not installed.
        ModelError: If the conversion failed.
    """
    if find_spec("tensorflow") is None:
        raise MissingExtra("TensorFlow, by which networks are converted to LiteRT", "train-cpu")
    target = Path(target)
    with replacing(target) as aside, tempfile.TemporaryDirectory() as folder:
        faces = ""
        if crops is not None:
            faces = str(Path(folder) / "crops.npy")
            np.save(faces, crops)
        command = module_command("mien.training.tflite", str(source), str(aside), faces)
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
    """Return the model card and the class names as a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(CARD, card.to_json())
        archive.writestr(LABELS, "\n".join(card.labels) + "\n")
    return data.getvalue()


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
