"""Load the weights of an exported ONNX file into a Keras network, to fine-tune a bundled model.

In the file, each batch normalization is folded into the convolution before it, and the rescaling of the pixels into the
first convolution. They are separated again, so that the network makes the same predictions and can be trained: all
filters of a convolution get the same norm, and each normalization gets the mean and variance of its input on sample
images. Weights of an int8 file are dequantized.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mien.errors import ModelError
from mien.training.fine_tuning import OldHead, assign_head, card_of_start
from mien.training.networks import HEADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mien.card import ModelCard

_CONVOLUTION = re.compile(r"/conv2d(?:_(\d+))?_\d+/")
"""Keras's name of a convolution in the name of its filters, before the suffix that the conversion adds."""

_LENGTH = 2.0
"""Euclidean norm of each filter. The file does not contain it and predictions do not depend on it, but the smaller the
norm, the more a step changes the direction: with norm 1, a usual learning rate destroys what was learned."""


def assign_onnx(
    network: keras.Model,
    data: bytes,
    crops: NDArray[np.uint8],
    classes: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Assign the weights of an ONNX file to the Keras network that it was exported from.

    A head with another number of classes than in the file keeps its weights, so a trunk can be used for another label
    set; heads that the network does not have are ignored.

    Args:
        network: a network at 48 pixels whose convolutions are each followed by a batch normalization, with dense heads.
        data: the bytes of the file.
        crops: gray uint8 (n, 48, 48), some hundreds, for the statistics of the normalizations.
        classes: class names of each head by layer name: a head with other classes than in the file gets the weights of
            the classes with the same meaning. Without it, heads of the same shape are copied.

    Raises:
        ModelError: If the file cannot be read or contains a network with another trunk.
    """
    convolutions, heads = _folded_weights(data)
    pairs = _normalised_convolutions(network)
    if len(pairs) < sum(isinstance(layer, keras.layers.Conv2D) for layer in network.layers):
        raise ModelError(
            "Expected a network whose convolutions are all normalized to begin with an ONNX file, got one with squeeze "
            "and excitation. Begin with its .keras file or run folder."
        )
    ours = [tuple(conv.kernel.shape) for conv, _ in pairs]
    if not ours or ours != [kernel.shape for kernel, _ in convolutions]:
        raise ModelError(
            "Expected an ONNX file that holds the network of this recipe to begin with, got another one. "
            "Give the recipe that it was trained with."
        )
    card = card_of_start(data) if classes else None
    old = _old_heads(card, heads) if card else []
    for layer in network.layers:
        if old and classes and layer.name in classes:
            assign_head(layer, classes[layer.name], old)
        elif layer.name in heads and tuple(layer.kernel.shape) == heads[layer.name][0].shape:
            layer.set_weights(heads[layer.name])
    rescaling = next(layer for layer in network.layers if isinstance(layer, keras.layers.Rescaling))
    for i, ((conv, norm), (kernel, bias)) in enumerate(zip(pairs, convolutions, strict=True)):
        unfolded = kernel / (rescaling.scale if i == 0 else 1)
        gain = np.maximum(np.sqrt((unfolded**2).sum(axis=(0, 1, 2))), 1e-12) / _LENGTH  # (filters,)
        conv.set_weights([unfolded / gain])
        norm.set_weights([gain, bias, np.zeros_like(bias), np.full_like(bias, 1 - norm.epsilon)])
    probe = keras.Model(network.input, [conv.output for conv, _ in pairs])
    pixels = crops[..., np.newaxis].astype(np.float32)
    for (_, norm), found in zip(pairs, probe.predict(pixels, batch_size=64, verbose=0), strict=True):
        gain, bias = norm.get_weights()[:2]
        responses = found.astype(np.float32)  # sums in bfloat16 would be too inaccurate
        mean, variance = responses.mean(axis=(0, 1, 2)), responses.var(axis=(0, 1, 2))
        spread = np.sqrt(variance + norm.epsilon)
        norm.set_weights([gain * spread, bias + gain * mean, mean, variance])


def _old_heads(card: ModelCard, heads: Mapping[str, Weights]) -> list[OldHead]:
    """Return the heads of a file with their classes.

    Raises:
        ModelError: If the file does not have the weights of one.
    """
    named = [head for head in card.all_heads if head.output in HEADS]  # another is computed from these
    if missing := [head.output for head in named if head.output not in heads]:
        raise ModelError(
            f"Expected an ONNX file with a dense layer before {' and '.join(missing)} to begin with, found none. Begin "
            "with its .keras file or run folder."
        )
    return [OldHead(head.labels, *heads[head.output]) for head in named]


def _normalised_convolutions(network: keras.Model) -> Sequence[tuple[Any, Any]]:
    """Return each convolution and its batch normalization, in the order in which they were created."""
    norms = {
        id(layer.input): layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    convolutions.sort(key=lambda layer: _number(layer.name))
    return [(layer, norms[id(layer.output)]) for layer in convolutions if id(layer.output) in norms]


def _number(name: str) -> int:
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdecimal() else 0


Weights = tuple["NDArray[np.float32]", "NDArray[np.float32]"]
"""Kernel and bias."""


def _folded_weights(data: bytes) -> tuple[list[Weights], dict[str, Weights]]:
    """Return kernels and biases of the convolutions, in the order of Keras, and of the heads by name."""
    import onnx

    try:
        graph = onnx.load_from_string(data).graph
    except Exception as error:  # protobuf raises many exception types for invalid bytes
        raise ModelError(
            f"Expected an ONNX file to begin with, got one that cannot be read ({error})."
        ) from error
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values:
            whole, scale, zero = (values[x] for x in node.input)
            shape = (-1, *(1,) * (whole.ndim - 1)) if scale.ndim else ()
            shifted = whole.astype(np.float32) - zero.astype(np.float32).reshape(shape)
            values[node.output[0]] = shifted * scale.reshape(shape)
    convolutions: dict[int, Any] = {}
    for node in graph.node:
        named = _CONVOLUTION.search(node.input[1]) if node.op_type == "Conv" else None
        if named and len(node.input) == 3 and all(x in values for x in node.input[1:]):
            kernel, bias = (values[x].astype(np.float32) for x in node.input[1:])
            convolutions[int(named[1] or 0)] = (kernel.transpose(2, 3, 1, 0), bias)  # to (h, w, in, out)
    found = {name: _head(graph, values, name) for name in HEADS}
    heads = {name: weights for name, weights in found.items() if weights}
    return [convolutions[i] for i in sorted(convolutions)], heads


def _head(graph: Any, values: dict[str, Any], name: str) -> Weights | None:
    """Return kernel and bias of the dense layer before the softmax of an output."""
    makers = {output: node for node in graph.node for output in node.output}
    kernel = bias = None
    node = makers.get(name)
    while node is not None and (kernel is None or bias is None):
        constants = [values[x] for x in node.input if x in values]
        if node.op_type == "Add" and constants:
            bias = constants[0].astype(np.float32)
        elif node.op_type == "MatMul" and constants:
            kernel = constants[0].astype(np.float32)
        elif node.op_type == "Gemm":
            return _of_gemm(node, constants)
        node = next((makers[x] for x in node.input if x in makers and x not in values), None)
    return None if kernel is None or bias is None else (kernel, bias)


def _of_gemm(node: Any, constants: list[Any]) -> Weights | None:
    """Return kernel and bias of a Gemm node, `alpha * x @ kernel + beta * bias`; `None` if one is not constant."""
    settings = {attribute.name: attribute for attribute in node.attribute}
    if len(constants) != 2 or ("transA" in settings and settings["transA"].i):
        return None
    kernel, bias = (part.astype(np.float32) for part in constants)
    if "transB" in settings and settings["transB"].i:
        kernel = kernel.T
    scales = [settings[name].f if name in settings else 1.0 for name in ("alpha", "beta")]
    return kernel * np.float32(scales[0]), bias * np.float32(scales[1])
