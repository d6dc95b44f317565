"""Models without a softmax at their end: every command takes the softmax of their logits on request."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest

import mien
from mien.errors import ModelError
from mien.labels import FER2013
from mien.probability_checks import probabilities_of_logits
from mien.workflows.options import ModelOptions
from mien.workflows.reporter import SilentReporter
from tests.builders.models import CARD, make_onnx
from tests.builders.portraits import PORTRAIT
from tests.helpers.command import mien as command

NAMES = ",".join(FER2013.classes)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The same network with and without its softmax, both without a model card."""
    whole = make_onnx(tmp_path / "whole.onnx", None)
    model = onnx.load(whole)
    del model.graph.node[-1]  # the softmax
    model.graph.output[0].name = "logits"
    onnx.save(model, tmp_path / "logits.onnx")
    return whole, tmp_path / "logits.onnx"


def test_classifier_takes_the_softmax_of_logits(files: tuple[Path, Path]) -> None:
    crops = mien.load("synthetic:21").images
    whole, logits = files
    expected = mien.Classifier(whole, class_names=FER2013.classes).probabilities(crops)
    classifier = mien.Classifier(logits, class_names=FER2013.classes, logits=True)
    for one in (classifier, pickle.loads(pickle.dumps(classifier))):  # noqa: S301
        np.testing.assert_allclose(one.probabilities(crops), expected, atol=1e-6)
    assert mien.Recognizer(logits, class_names=FER2013.classes, logits=True).classifier.labels
    with pytest.raises(ModelError, match="give `logits`"):
        mien.Classifier(logits, class_names=FER2013.classes).probabilities(crops)


@pytest.mark.slow
def test_evaluating_and_comparing_take_the_softmax_of_logits(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, logits = files
    described = {"model_class_names": NAMES, "reporter": SilentReporter()}
    expected = mien.evaluate(whole, "synthetic:70", **described)  # type: ignore[arg-type]
    found = mien.evaluate(logits, "synthetic:70", logits=True, **described)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    with_card = make_onnx(tmp_path / "card.onnx", CARD)
    done = mien.compare(with_card, logits, "synthetic:70", logits=True, **described)  # type: ignore[arg-type]
    assert done.second.accuracy == expected.accuracy


@pytest.mark.slow
def test_commands_take_the_softmax_of_logits(files: tuple[Path, Path]) -> None:
    described = ("--model-class-names", NAMES)
    refused = command("predict", PORTRAIT, "--model", files[1], *described)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("that returns logits, give --logits.")
    predicted = command("predict", PORTRAIT, "--model", files[1], *described, "--logits", "--json")
    assert predicted.returncode == 0, predicted.stderr
    evaluated = command("evaluate", files[1], "--data", "synthetic:70", *described, "--logits", "--json")
    assert json.loads(evaluated.stdout)["n"] > 0, evaluated.stderr


def test_softmax_of_probabilities_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    whole = mien.Classifier(files[0], class_names=FER2013.classes, logits=True)
    with pytest.raises(ModelError, match=r"they are probabilities already\. Leave `logits` out"):
        whole.probabilities(mien.load("synthetic:21").images)
    with pytest.raises(ModelError, match="has a model card with its class names"):
        mien.evaluate(
            make_onnx(tmp_path / "card.onnx", CARD), "synthetic:70", logits=True, reporter=SilentReporter()
        )


def test_softmax_of_large_logits_is_finite() -> None:
    given = probabilities_of_logits(np.array([[1e4, 0.0], [-1e4, -1e4]], np.float32))
    assert given.tolist() == [[1.0, 0.0], [0.5, 0.5]]


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["onnx", "keras"])
def test_keras_file_gets_a_softmax_in_its_export(tmp_path: Path, format_: str) -> None:
    import keras

    from mien.workflows.load_model import open_model

    network = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    network.save(tmp_path / "logits.keras")
    path = mien.export(
        tmp_path / "logits.keras", format_, out=tmp_path / f"card.{format_}", model_class_names=NAMES,
        logits=True, reporter=SilentReporter(),
    )  # fmt: skip
    crops = mien.load("synthetic:21").images
    raw = network.predict(crops[..., None] / 255, verbose=0)
    expected = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(open_model(path).probabilities(crops), expected, atol=1e-5)
    opened = open_model(tmp_path / "logits.keras", ModelOptions(class_names=NAMES, logits=True))
    np.testing.assert_allclose(opened.probabilities(crops), expected, atol=1e-5)
    found = mien.Classifier(tmp_path / "logits.keras", class_names=FER2013.classes, logits=True)
    np.testing.assert_allclose(found.probabilities(crops), expected, atol=1e-5)
