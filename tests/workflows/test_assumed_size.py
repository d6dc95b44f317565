"""What is assumed about a model without a model card, and `input_shape`, which tells its size instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import mien
from mien.cli import run
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


def test_input_shape_replaces_the_assumption(tmp_path: Path) -> None:
    free = str(write_model(tmp_path / "free.onnx", "height", "width"))
    options = ModelOptions(class_names=("calm", "tense"), input_shape=(3, 64, 80))
    for opened in (open_model(free, options), open_classifier(free, options)):
        assert "any size" not in opened.note
        assert opened.classifier.input_shape == (3, 64, 80)


def test_a_copy_with_a_card_has_a_fixed_input_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free, copy = write_model(tmp_path / "free.onnx", "height", "width"), tmp_path / "copy.onnx"
    names = ["--model-class-names", "calm,tense"]
    given = ["--input-shape", "3,64,80", "--out", str(copy)]
    assert run(["export", str(free), "--with-card", *names, *given]) == 0
    capsys.readouterr()
    classifier = mien.Classifier(copy)
    assert classifier.input_shape == (3, 64, 80)
    assert (classifier.card.input.height, classifier.card.input.width) == (64, 80)
    dimensions = onnx.load(copy).graph.input[0].type.tensor_type.shape.dim
    assert [one.dim_value for one in dimensions[1:]] == [3, 64, 80]
    assert run(["predict", str(copy), "--model", str(copy), "--input-shape", "3,64,80"]) == 2
    assert "has a model card with its class names" in capsys.readouterr().err


def test_command_refuses_an_invalid_input_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = str(write_model(tmp_path / "free.onnx", "height", "width"))
    options = ["--model-class-names", "calm,tense", "--input-shape", "64,64"]
    assert run(["evaluate", free, "--data", "synthetic:42", *options]) == 2
    told = capsys.readouterr().err
    assert "input shape as height, width and channels, such as (64, 64, 1)" in told
    assert len(told.strip().splitlines()) == 1
