"""Models that are made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from mien.card import ModelCard
from mien.labels import FER2013

CARD = ModelCard(name="test", labels=FER2013.classes, label_set="fer2013")


def make_onnx(
    path: Path,
    card: ModelCard | None = CARD,
    *,
    side: int = 48,
    batch: int | str = "n",
    kind: int = onnx.TensorProto.FLOAT,
) -> Path:
    """Write a linear ONNX model without Keras: random weights, then softmax."""
    helper = onnx.helper
    weights = np.random.default_rng(0).normal(0, 1e-4, (side * side, 7))
    weights = weights.astype(helper.tensor_dtype_to_np_dtype(kind))
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "linear",
        [helper.make_tensor_value_info("image", kind, [batch, side, side, 1])],
        [helper.make_tensor_value_info("probabilities", kind, [batch, 7])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if card:
        helper.set_model_props(model, {"mien.card": card.to_json()})
    onnx.save(model, path)
    return path
