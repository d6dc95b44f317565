"""The note on what is assumed about a model without a model card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mien.workflows.load_model import open_classifier, open_model
from mien.workflows.options import ModelOptions


def write_model(path: Path, height: int | str, width: int | str) -> Path:
    helper = onnx.helper
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["mean", "slopes"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "mean",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 3, height, width])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "slopes")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("pixel_range", "told"), [(None, True), ((-1.0, 1.0), False)])
def test_note_tells_the_size_that_is_assumed_for_a_network_of_any_size(
    tmp_path: Path, pixel_range: tuple[float, float] | None, told: bool
) -> None:
    options = ModelOptions(class_names=("calm", "tense"), pixel_range=pixel_range)
    free = str(write_model(tmp_path / "free.onnx", "height", "width"))
    for opened in (open_model(free, options), open_classifier(free, options)):
        assert "free.onnx takes images of any size: it gets crops of 48x48 pixels." in opened.note
        assert ("its pixels go in from 0 to 1" in opened.note) == told
    fixed = open_model(str(write_model(tmp_path / "fixed.onnx", 64, 64)), options)
    assert "any size" not in fixed.note
    assert bool(fixed.note) == told
