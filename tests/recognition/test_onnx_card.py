"""ONNX files of other programs, without a model card: evaluated, used and exported with given class names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien import Classifier
from mien.errors import ModelError
from mien.labels import FER2013
from tests.builders.models import CARD, make_onnx
from tests.builders.portraits import PORTRAIT
from tests.helpers.command import is_one_sentence, mien

NAMES = FER2013.classes
LABELS = ("--model-class-names", ",".join(NAMES))


def foreign(path: Path, *, channels_first: bool = False, operator: str = "") -> Path:
    """Write a model as PyTorch or Keras exports it: no card, other names, optional arithmetic on its input."""
    model = onnx.load(make_onnx(path, None))
    graph = model.graph
    graph.node[-1].output[0] = graph.output[0].name = "output"
    graph.node[0].input[0] = graph.input[0].name = "pixels"
    if channels_first:
        dims = graph.input[0].type.tensor_type.shape.dim
        dims[1].dim_value, dims[3].dim_value = 1, 48
    if operator:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([255.0], np.float32), "white"))
        graph.node.insert(0, onnx.helper.make_node(operator, ["pixels", "white"], ["scaled"]))
        graph.node.insert(0, onnx.helper.make_node("Identity", ["pixels"], ["same"]))
        graph.node[1].input[0], graph.node[2].input[0] = "same", "scaled"
    onnx.save(model, path)
    return path


def crops(n: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def expected(scale: float) -> np.ndarray:
    weights = np.random.default_rng(0).normal(0, 1e-4, (48 * 48, 7))
    powers = np.exp(crops().reshape(8, -1) * scale @ weights)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("channels_first", [False, True])
def test_pixels_are_scaled_and_arranged_for_either_channel_order(
    tmp_path: Path, channels_first: bool
) -> None:
    path = foreign(tmp_path / "m.onnx", channels_first=channels_first)
    theirs = Classifier(path, class_names=NAMES)
    np.testing.assert_allclose(theirs.probabilities(crops()), expected(1 / 255), atol=1e-5)
    np.testing.assert_allclose(theirs.all_probabilities(crops())["fer2013"], expected(1 / 255), atol=1e-5)
    whole = Classifier(path, class_names=list(NAMES), pixel_scale=1)
    np.testing.assert_allclose(whole.probabilities(crops()), expected(1), atol=1e-5)
    assert (theirs.labels, theirs.card.license, theirs.card.training_data) == (
        NAMES,
        "not stated",
        "not stated",
    )


def test_network_with_its_own_rescaling_gets_unscaled_pixels(tmp_path: Path) -> None:
    path = foreign(tmp_path / "m.onnx", operator="Div")
    np.testing.assert_allclose(
        Classifier(path, class_names=NAMES).probabilities(crops()), expected(1 / 255), atol=1e-5
    )


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (NAMES[:5], "expected an output with 5 classes"),
        (("happy",), "two or more different strings"),
        (("happy",) * 7, "two or more different strings"),
        ("angry,happy", "two or more different strings.*got str"),
        ((1, 2, 3), "two or more different strings"),
    ],
)
def test_invalid_class_names_are_rejected(tmp_path: Path, names: object, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Classifier(foreign(tmp_path / "m.onnx"), class_names=names)  # type: ignore[arg-type]


def test_class_names_and_pixel_scale_are_rejected_for_a_file_with_a_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has a model card with its class names"):
        Classifier(make_onnx(tmp_path / "m.onnx"), class_names=NAMES)
    with pytest.raises(ModelError, match="has a model card with its class names"):
        Classifier(make_onnx(tmp_path / "m.onnx"), pixel_scale=1)


@pytest.mark.slow
def test_file_without_a_card_can_be_evaluated_used_and_exported_with_a_card(tmp_path: Path) -> None:
    path, carded = foreign(tmp_path / "m.onnx", channels_first=True), tmp_path / "with-card.onnx"
    is_one_sentence(
        mien("evaluate", path, "--data", "synthetic:70"), "Give them in index order, .*--model-class-names"
    )
    is_one_sentence(mien("model", path), "mien export .* --model-class-names .* --out with-card.onnx")
    judged = mien("evaluate", path, "--data", "synthetic:70", "--json", *LABELS)
    assert judged.returncode == 0, judged.stderr
    used = mien("predict", PORTRAIT, "--model", path, "--json", *LABELS)
    assert used.returncode == 0, used.stderr
    made = mien("export", path, *LABELS, "--license", "CC-BY-4.0", "--out", carded)
    assert made.returncode == 0, made.stderr
    card = json.loads(mien("model", carded, "--json").stdout)["card"]
    assert (card["labels"], card["licence"]) == (list(NAMES), "CC-BY-4.0")
    again = json.loads(mien("evaluate", carded, "--data", "synthetic:70", "--json").stdout)
    assert again["confusion"] == json.loads(judged.stdout)["confusion"]
    np.testing.assert_allclose(Classifier(carded).probabilities(crops()), expected(1 / 255), atol=1e-5)


def test_export_replaces_a_damaged_card(tmp_path: Path) -> None:
    model = onnx.load(make_onnx(tmp_path / "m.onnx", CARD))
    onnx.helper.set_model_props(model, {"mien.card": "{"})
    onnx.save(model, tmp_path / "m.onnx")
    is_one_sentence(mien("model", tmp_path / "m.onnx"), "mien export .* --model-class-names")
    made = mien("export", tmp_path / "m.onnx", *LABELS, "--out", tmp_path / "new.onnx")
    assert made.returncode == 0, made.stderr
    assert Classifier(tmp_path / "new.onnx").labels == NAMES


@pytest.mark.slow
def test_export_overwrites_only_files_written_by_mien_without_force(tmp_path: Path) -> None:
    target = tmp_path / "mine.onnx"
    for content in (b"my letter", foreign(tmp_path / "theirs.onnx").read_bytes()):
        target.write_bytes(content)
        is_one_sentence(mien("export", "small", "--out", target), "mien did not write.*--out.*--force")
        assert target.read_bytes() == content
    assert mien("export", "small", "--out", target, "--force").returncode == 0
    assert mien("export", "large", "--out", target).returncode == 0  # overwrites a file that mien wrote
    assert Classifier(target).card.name == "large"
