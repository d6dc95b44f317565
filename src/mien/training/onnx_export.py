"""Export a Keras network to ONNX, with the model card in its metadata.

The conversion runs on TensorFlow for every training backend, because Keras files do not depend on the backend. If Keras
runs on another one in this process, a separate process converts: Keras cannot change its backend.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import METADATA_KEY, ModelCard
from mien.child_python import module_command
from mien.errors import MissingExtra, ModelError
from mien.files import replacing
from mien.training.onnx_rewriting import simplified, with_named_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OPSET = 17
"""ONNX operator set: read by ONNX Runtime from 1.12 on."""

_QUANTIZED = ["Conv", "Add", "Relu", "GlobalAveragePool"]
"""Operators that compute in int8; as a chain, so that values are not converted to float and back between them."""


def export_onnx(source: str | Path, target: str | Path, card: ModelCard) -> Path:
    """Convert a `.keras` or `.h5` file to ONNX.

    A network with layers of the caller's own is converted if Keras runs on TensorFlow in this process, where they are
    registered (`keras.saving.register_keras_serializable`).

    The outputs are `probabilities` (n, classes), for a network with two heads `probabilities_2` as well, and, for
    networks that end in global average pooling and dense heads, `features` (n, h, w, channels), the last feature
    map, and for each head its class activation maps, `maps` and `maps_2` (n, h, w, classes): the contribution of
    each position to the logits, which are the mean over all positions (Zhou et al. 2016, https://arxiv.org/abs/1512.04150).

    Args:
        source: the Keras file.
        target: the ONNX file to write.
        card: model card, written to its metadata.

    Returns:
        The path of the ONNX file.

    Raises:
        MissingExtra: If TensorFlow or tf2onnx is not installed.
        ModelError: If the conversion failed.
    """
    if find_spec("tensorflow") is None:
        raise MissingExtra(
            "TensorFlow, by which networks of every backend are converted to ONNX", "train-cpu"
        )
    if find_spec("tf2onnx") is None:
        raise MissingExtra("tf2onnx", "train")
    target = Path(target)
    convert = _convert_here if keras_runs_on_tensorflow() else _convert_in_another_process
    with replacing(target) as aside:
        convert(str(source), str(aside), card)
    return target


def keras_runs_on_tensorflow() -> bool:
    """Whether Keras is loaded in this process, with TensorFlow as its backend."""
    if "keras" not in sys.modules:
        return False
    import keras

    return bool(keras.backend.backend() == "tensorflow")


def _convert_here(source: str, target: str, card: ModelCard) -> None:
    """Convert a Keras file in this process, whatever its default precision."""
    import keras

    precision = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf2onnx and the protobuf of TensorFlow use deprecated functions
            _convert(source, target, card)
    except Exception as error:  # Keras, TensorFlow and tf2onnx raise exceptions of many types
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{source}: the conversion to ONNX failed ({reason}).") from error
    finally:
        keras.config.set_dtype_policy(precision)


def _convert_in_another_process(source: str, target: str, card: ModelCard) -> None:
    """Convert a Keras file in a process of its own, where Keras runs on TensorFlow."""
    command = module_command("mien.training.onnx_export", source, target)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        command, input=card.to_json(), capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"{source}: the conversion to ONNX failed ({reason}).")


@dataclass(frozen=True)
class Calibration:
    """The input that sets the ranges of int8.

    Args:
        batches: float32 batches of some hundreds of typical faces, as the network takes them.
        input: name of the network's input.
        pixel_range: input values of black and white pixels.
    """

    batches: Sequence[NDArray[np.float32]]
    input: str = "image"
    pixel_range: tuple[float, float] = (0.0, 255.0)

    @classmethod
    def of_crops(cls, crops: NDArray[np.uint8], batch: int = 64) -> Calibration:
        """Create the calibration of networks that `export_onnx` writes, from gray crops uint8 (n, 48, 48)."""
        pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
        return cls([pixels[i : i + batch] for i in range(0, len(pixels), batch)])


def quantize(
    source: str | Path, target: str | Path, crops: NDArray[np.uint8] | Calibration, *, name: str = ""
) -> Path:
    """Quantize an ONNX file to int8: weights per channel, activations by their range on calibration crops.

    Args:
        source: a float32 ONNX file.
        target: the file to write.
        crops: the input that sets the ranges; gray crops uint8 (n, 48, 48) for a file made by `export_onnx`.
        name: the model in error messages, the source by default.

    Returns:
        The target's path.

    Raises:
        MissingExtra: If onnx is not installed.
        ModelError: If the file is already int8, or ONNX Runtime cannot quantize it.
    """
    if find_spec("onnx") is None:
        raise MissingExtra("onnx", "train")
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if any(node.op_type == "DequantizeLinear" for node in onnx.load(str(source)).graph.node):
        raise ModelError(
            f"{name or source}: expected a float32 ONNX file, got one that is int8 already. Use it as it is."
        )
    calibration = crops if isinstance(crops, Calibration) else Calibration.of_crops(crops)
    with replacing(target) as aside, tempfile.TemporaryDirectory() as folder:
        prepared = str(Path(folder) / "prepared.onnx")
        try:
            quant_pre_process(str(source), prepared, skip_symbolic_shape=True)
            _name_nodes(prepared)
            quantize_static(
                prepared,
                str(aside),
                _Reader(calibration),
                per_channel=True,
                op_types_to_quantize=_QUANTIZED,
                nodes_to_exclude=_heads_of(prepared),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"TensorQuantOverrides": _as_bytes(prepared, calibration)},
            )
        except Exception as error:  # the quantizer raises exceptions of many types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{name or source}: ONNX Runtime cannot quantize this network ({reason[:120]}). Use it as float32."
            ) from error
        model = onnx.load(str(aside))
        metadata = {entry.key: entry.value for entry in onnx.load(str(source)).metadata_props}
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, str(aside))
    return Path(target)


def _name_nodes(path: str) -> None:
    """Name the nodes that have no name, because the quantizer excludes nodes by their names."""
    import onnx

    model = onnx.load(path)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"mien_node_{number}"
    onnx.save(model, path)


def _heads_of(path: str) -> list[str]:
    """Return the nodes that stay in float32: the heads, where rounding costs the most accuracy, and their biases."""
    import onnx

    nodes = onnx.load(path).graph.node
    products = [node for node in nodes if node.op_type in {"MatMul", "Gemm"}]
    logits = {output for node in products for output in node.output}
    biases = [node for node in nodes if node.op_type == "Add" and logits & set(node.input)]
    return [node.name for node in products + biases]


def _as_bytes(path: str, calibration: Calibration) -> dict[str, list[dict[str, Any]]]:
    """Return the input of the first convolution if it is the image itself: integers from 0 to 255, kept exactly."""
    import onnx

    if calibration.pixel_range != (0, 255):
        return {}
    pixels = calibration.input
    for node in onnx.load(path).graph.node:
        if pixels in node.input and node.op_type in {"Reshape", "Transpose"}:
            pixels = node.output[0]
        elif pixels in node.input and node.op_type == "Conv":
            return {pixels: [{"scale": np.array(1, np.float32), "zero_point": np.array(0, np.uint8)}]}
    return {}


class _Reader:
    """The batches of a calibration, with the interface that the quantizer reads."""

    def __init__(self, calibration: Calibration) -> None:
        self._name, self._batches = calibration.input, iter(calibration.batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch by input name; `None` at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def _convert(source: str, target: str, card: ModelCard) -> None:
    """Convert a Keras file on TensorFlow, which Keras must run on in this process."""
    import keras
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    network = keras.models.load_model(source, compile=False)
    network = with_named_outputs(simplified(network))
    signature = [tf.TensorSpec([None, *network.input_shape[1:]], tf.float32, name="image")]
    function = tf.function(lambda image: network(image, training=False), input_signature=signature)
    model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    model.producer_name = "mien"
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


if __name__ == "__main__":
    _convert(sys.argv[1], sys.argv[2], ModelCard.from_json(sys.stdin.read()))
