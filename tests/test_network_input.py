"""ONNX models of other programs: layout, size, channels, range and batch size are inferred from their input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from mien.errors import ModelError
from mien.recognition.classifier import Classifier
from mien.workflows.load_model import open_model
from mien.workflows.options import ModelOptions

NAMES = ("a", "b")


def mean_network(path: Path, shape: list[int | str], *, axes: list[int]) -> Path:
    """Write a network that returns the mean pixel m of an image as the probabilities (m, 1 - m)."""
    helper = onnx.helper
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Sub", ["one", "column"], ["rest"]),
        helper.make_node("Concat", ["column", "rest"], ["answer"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "mean",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, [shape[0], 2])],
        [onnx.numpy_helper.from_array(np.array([-1, 1]), "shape"),
         onnx.numpy_helper.from_array(np.float32(1), "one")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize(
    "shape",
    [["n", 64, 64, 1], ["n", 1, 64, 64], ["n", 224, 224, 3], ["n", 3, 224, 224], ["n", 3, 48, 48], [1, 3, 32, 40],
     [4, 48, 48, 1], ["n", "h", "w", 3]],
)  # fmt: skip
def test_crops_are_converted_to_the_input_format_of_the_network(
    tmp_path: Path, shape: list[int | str]
) -> None:
    path = mean_network(tmp_path / "m.onnx", shape, axes=[1, 2, 3])
    crops = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 51, 102, 255, 153)])
    classifier = Classifier(path, class_names=NAMES, pixel_scale=1 / 255)
    given = classifier.probabilities(crops)
    np.testing.assert_allclose(given[:, 0], [0, 0.2, 0.4, 1, 0.6], atol=1e-3)
    assert classifier.card.input.color == ("rgb" if 3 in shape[1:] else "gray")


def test_pixel_range_can_be_given_instead_of_pixel_scale(tmp_path: Path) -> None:
    path = mean_network(tmp_path / "m.onnx", ["n", 1, 48, 48], axes=[1, 2, 3])
    crops = np.full((1, 48, 48), 255, np.uint8)
    half = Classifier(path, class_names=NAMES, pixel_range=(0, 0.5)).probabilities(crops)
    np.testing.assert_allclose(half, [[0.5, 0.5]], atol=1e-6)
    with pytest.raises(ModelError, match="two increasing numbers"):
        Classifier(path, class_names=NAMES, pixel_range=(1, -1))


@pytest.mark.parametrize(
    ("shape", "given", "axis"),
    [
        (["n", "h", "w", 1], (64, 32, 1), 0),
        (["n", 3, "h", "w"], (3, 64, 32), 1),
        (["n", "h", "w", "c"], (64, 32, 3), 0),
        (["n", "c", "h", "w"], (1, 64, 32), 1),
        (["n", 64, 32, "c"], (64, 32, 3), 0),
        ([2, "h", "w", "c"], (64, 32, 1), 0),
        (["n", 64, 32, 1], (64, 32, 1), 0),
    ],
)
def test_input_shape_sets_the_variable_dimensions(
    tmp_path: Path, shape: list[int | str], given: tuple[int, int, int], axis: int
) -> None:
    path = mean_network(tmp_path / "m.onnx", shape, axes=[1, 2, 3])
    classifier = Classifier(path, class_names=NAMES, input_shape=given)
    crops = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 255, 51)])
    np.testing.assert_allclose(classifier.probabilities(crops)[:, 0], [0, 1, 0.2], atol=1e-3)
    assert classifier.input_shape == given
    assert classifier.input_batches(crops)[0].shape[1:] == given
    assert not classifier.assumes_size
    spec, channels = classifier.card.input, given[0] if axis else given[2]
    assert (spec.height, spec.width, spec.color) == (64, 32, "rgb" if channels == 3 else "gray")


@pytest.mark.parametrize(
    ("shape", "given"),
    [(["n", 64, 64, 1], (48, 48, 1)), (["n", "h", "w", 1], (64, 64, 3)), (["n", 3, "h", "w"], (64, 64, 3))],
)
def test_input_shape_that_the_file_contradicts_is_refused(
    tmp_path: Path, shape: list[int | str], given: tuple[int, int, int]
) -> None:
    path = mean_network(tmp_path / "m.onnx", shape, axes=[1, 2, 3])
    with pytest.raises(ModelError, match=r"expected an input of shape .* as `input_shape` says"):
        Classifier(path, class_names=NAMES, input_shape=given)


@pytest.mark.parametrize(
    "given", [(64, 64), (64, 64, 2), (4, 4, 1), (2000, 2000, 1), "3,64,64", (64.5, 64, 1), (64, None, 1), 64]
)
def test_invalid_input_shape_is_refused(tmp_path: Path, given: object) -> None:
    path = mean_network(tmp_path / "m.onnx", ["n", "h", "w", "c"], axes=[1, 2, 3])
    with pytest.raises(ModelError, match="input shape as height, width and channels"):
        Classifier(path, class_names=NAMES, input_shape=given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (["n", 4, "h", "w"], "Export it again"),
        (["n", "h", "w", 5], "Export it again"),
        (["n", "c", 64, 64], "Give its shape"),
        (["n", 64, 64, "c"], "Give its shape"),
    ],
)
def test_remedy_for_an_unknown_input_names_input_shape_only_if_it_helps(
    tmp_path: Path, shape: list[int | str], told: str
) -> None:
    path = mean_network(tmp_path / "m.onnx", shape, axes=[1, 2, 3])
    with pytest.raises(ModelError, match=told):
        Classifier(path, class_names=NAMES)


def test_variable_channels_require_an_input_shape(tmp_path: Path) -> None:
    path = mean_network(tmp_path / "m.onnx", ["n", "h", "w", "c"], axes=[1, 2, 3])
    with pytest.raises(ModelError, match=r"Give its shape, such as `input_shape=\(64, 64, 1\)`"):
        Classifier(path, class_names=NAMES)


def test_input_shape_is_refused_for_a_file_with_a_card() -> None:
    with pytest.raises(ModelError, match=r"class names and input\. Leave out .*`input_shape`"):
        Classifier("small", input_shape=(48, 48, 1))


def test_crops_are_resized_like_opencv(tmp_path: Path) -> None:
    from mien.card import InputSpec
    from mien.network_input import NetworkInput

    crop = np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8)
    found = NetworkInput(64, 64).prepare(crop, InputSpec(64, 64))
    np.testing.assert_array_equal(
        found[0, ..., 0], cv2.resize(crop[0], (64, 64), interpolation=cv2.INTER_LINEAR)
    )


@pytest.mark.parametrize("shape", [["n", 2304], ["n", 48, 48, 2], ["n", 48, 48], ["n", 4000, 4000, 1]])
def test_network_without_an_image_input_is_rejected(tmp_path: Path, shape: list[int | str]) -> None:
    path = mean_network(tmp_path / "m.onnx", shape, axes=list(range(1, len(shape))))
    with pytest.raises(ModelError, match=r"expected one input of shape \(n, height, width, channels\)"):
        Classifier(path, class_names=NAMES)


@pytest.mark.parametrize("scale", ["1", True, 0, -1.0, float("nan"), float("inf"), 10**400, [1]])
def test_invalid_pixel_scales_are_refused(tmp_path: Path, scale: object) -> None:
    path = mean_network(tmp_path / "m.onnx", ["n", 48, 48, 1], axes=[1, 2, 3])
    with pytest.raises(ModelError, match="`pixel_scale` to be a number over 0"):
        Classifier(path, class_names=NAMES, pixel_scale=scale)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="`pixel_scale` to be a number over 0"):
        open_model(path, ModelOptions(class_names=list(NAMES), pixel_scale=scale))  # type: ignore[arg-type]


def test_numpy_numbers_are_pixel_scales(tmp_path: Path) -> None:
    path = mean_network(tmp_path / "m.onnx", ["n", 48, 48, 1], axes=[1, 2, 3])
    assert Classifier(path, class_names=NAMES, pixel_scale=np.float32(1)).card.input.high == 255  # type: ignore[arg-type]


def test_a_pixel_scale_beside_a_pixel_range_is_refused(tmp_path: Path) -> None:
    path = mean_network(tmp_path / "m.onnx", ["n", 48, 48, 1], axes=[1, 2, 3])
    with pytest.raises(ModelError, match="`pixel_scale` or `pixel_range`, got both"):
        Classifier(path, class_names=NAMES, pixel_scale=1, pixel_range=(0, 255))
    with pytest.raises(ModelError, match="`pixel_scale` or `pixel_range`, got both"):
        open_model(path, ModelOptions(class_names=list(NAMES), pixel_scale=1, pixel_range=(0, 255)))


def test_messages_name_the_arguments_of_the_function_that_was_called(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Leave out `class_names`, `pixel_scale`"):
        Classifier("tiny", class_names=NAMES)
    with pytest.raises(ModelError, match="Leave out `model_class_names`, `pixel_scale`"):
        open_model("tiny", ModelOptions(class_names=list(NAMES)))
    path = mean_network(tmp_path / "m.onnx", ["n", 48, 48, 1], axes=[1, 2, 3])
    with pytest.raises(ModelError, match="`model_class_names` to be a list of names, got 7"):
        open_model(path, ModelOptions(class_names=7))  # type: ignore[arg-type]
