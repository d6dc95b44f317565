"""Add the fused output to a network that predicts FER2013's and FER+'s labels; it becomes the default.

FER2013's labels call calm faces sad or angry, and FER+'s votes miss disgust and fear in posed faces. The fused output
averages the log-probabilities of both heads, with those of the FER+ head divided by a power of its training class
shares (logit adjustment, Menon et al. 2021, https://arxiv.org/abs/2007.07314):

    log p = (1 - weight) * log p_fer2013 + weight * (log p_ferplus - prior_exponent * log share) + constant

Both heads are dense layers on the same pooled features, so the fused output is another dense layer, and its class
activation maps are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.labels import FER2013, FERPLUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import NDArray

FUSED_OUTPUT = "probabilities_3"
FUSED_MAPS = "maps_3"

_COLUMNS = [
    FERPLUS.map_to(FER2013).index(i) for i in range(len(FER2013))
]  # column of FER+ for each of the seven classes


@dataclass(frozen=True)
class Fusion:
    """Parameters of the fusion of two heads.

    Args:
        weight: weight of the FER+ head, in [0, 1].
        prior_exponent: power of the class shares by which the FER+ head's probabilities are divided.
    """

    weight: float = 0.65
    prior_exponent: float = 0.75


DEFAULT_FUSION = Fusion()
"""Chosen on FER2013's PublicTest and on faces of other sources (docs/results/model.md), once for all networks."""


def add_fused_answer(
    data: bytes, shares: NDArray[np.floating[Any]], fusion: Fusion = DEFAULT_FUSION
) -> bytes:
    """Return an ONNX file with the additional outputs `probabilities_3` and `maps_3`.

    Args:
        data: an ONNX file of a network with two heads, as written by `mien export`.
        shares: class shares of the FER+ votes of the training images, (8,), positive; contempt is not part of the
            fused output.
        fusion: parameters of the fusion.

    Raises:
        ModelError: If the network does not end in two dense heads on one feature vector.
    """
    import onnx

    model = onnx.load_from_string(data)
    heads = [_find_head(model.graph, name) for name in ("probabilities", "probabilities_2")]
    (pooled, kernel, bias), (_, kernel_2, bias_2) = heads
    prior = fusion.prior_exponent * np.log(np.asarray(shares, np.float64)[_COLUMNS])
    weight = fusion.weight
    fused_kernel = (1 - weight) * kernel + weight * kernel_2[:, _COLUMNS]
    fused_bias = (1 - weight) * bias + weight * (bias_2[_COLUMNS] - prior)
    _add_dense(model.graph, pooled, fused_kernel, fused_bias)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def remove_biases(data: bytes, biases: Mapping[str, NDArray[np.floating[Any]]]) -> bytes:
    """Return an ONNX file without the biases that were added to its heads.

    Args:
        data: an ONNX file, as written by `mien export`.
        biases: for each output name, the values (classes,) to subtract from the bias of its dense layer.
    """
    import onnx

    model = onnx.load_from_string(data)
    initializers = {item.name: item for item in model.graph.initializer}
    for output, added in biases.items():
        item = initializers[_dense_of(model.graph, output)[2]]
        value = onnx.numpy_helper.to_array(item) - np.asarray(added, np.float32)
        item.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), item.name))
    return bytes(model.SerializeToString())


def _dense_of(graph: onnx.GraphProto, output: str) -> tuple[str, str, str]:
    """Return the names of features, kernel and bias of the dense layer before the softmax of an output."""
    makers = {name: node for node in graph.node for name in node.output}

    def maker(node: onnx.NodeProto | None) -> onnx.NodeProto | None:
        return makers.get(node.input[0]) if node is not None and node.input else None

    softmax = makers.get(output)
    last = maker(softmax)
    if softmax is not None and softmax.op_type == "Softmax" and last is not None:
        if last.op_type == "Gemm" and not any(
            item.name in {"transA", "transB"} and item.i for item in last.attribute
        ):
            return last.input[0], last.input[1], last.input[2]
        product = maker(last)
        if last.op_type == "Add" and product is not None and product.op_type == "MatMul":
            return product.input[0], product.input[1], last.input[1]
    raise ModelError(
        f"Expected a network with the output {output}, a softmax over a dense layer. "
        "The fused output needs two heads, as in the recipe small."
    )


def _find_head(graph: onnx.GraphProto, output: str) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    import onnx

    features, kernel, bias = _dense_of(graph, output)
    arrays = {item.name: item for item in graph.initializer if item.name in {kernel, bias}}
    if len(arrays) != 2:
        raise ModelError(f"Expected the weights of the output {output} inside the file, found none.")
    found = (onnx.numpy_helper.to_array(arrays[name]).astype(np.float64) for name in (kernel, bias))
    return features, *found


def _add_dense(
    graph: onnx.GraphProto, pooled: str, kernel: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    """Append the dense layer, its softmax, and its maps over the features."""
    import onnx

    helper, classes = onnx.helper, kernel.shape[1]
    for name, value in (("fused_kernel", kernel), ("fused_bias", bias)):
        graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
    graph.node.extend([
        helper.make_node("MatMul", [pooled, "fused_kernel"], ["fused_product"]),
        helper.make_node("Add", ["fused_product", "fused_bias"], ["fused_logits"]),
        helper.make_node("Softmax", ["fused_logits"], [FUSED_OUTPUT], axis=-1),
    ])  # fmt: skip
    free = onnx.TensorProto.FLOAT
    graph.output.append(helper.make_tensor_value_info(FUSED_OUTPUT, free, ["n", classes]))
    features = next((output for output in graph.output if output.name == "features"), None)
    if features is None:
        return
    graph.node.extend([
        helper.make_node("MatMul", ["features", "fused_kernel"], ["fused_map_product"]),
        helper.make_node("Add", ["fused_map_product", "fused_bias"], [FUSED_MAPS]),
    ])  # fmt: skip
    sides = [dim.dim_value or dim.dim_param for dim in features.type.tensor_type.shape.dim[:3]]
    graph.output.append(helper.make_tensor_value_info(FUSED_MAPS, free, [*sides, classes]))
