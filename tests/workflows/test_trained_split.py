"""The test split of a training, found again when a model is evaluated on the data that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.card import ModelCard
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.data.division import divide_alike, record_division
from mien.errors import ModelError
from mien.labels import FER2013
from mien.workflows.compare import compare_models
from mien.workflows.reporter import Reporter
from tests.conftest import make_onnx

NAMES = ("angry", "happy", "neutral", "sad")


class Told(Reporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Folders of 20 different images each."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / "faces" / name).mkdir(parents=True)
        for i in range(20):
            image = rng.integers(0, 255, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "faces" / name / f"{i}.png"), image)
    return tmp_path / "faces"


def model_of(path: Path, data: Path, **reading: object) -> Path:
    """An ONNX file whose card says that it was trained on the data, read and divided so."""
    trained = mien.load(data, shares="60,20,20", split_seed=3, **reading)
    parts = [trained.select(trained.split == split) for split in (TRAINING, PUBLIC_TEST)]
    record = record_division(*parts, reading)  # type: ignore[arg-type]
    card = ModelCard("mine", FER2013.classes, "fer2013", division=record)
    return make_onnx(path, card)


def test_data_with_splits_leave_no_record() -> None:
    drawn = mien.load("synthetic:70")
    assert record_division(drawn.subset(TRAINING), drawn.subset(PUBLIC_TEST)) == {}
    card = ModelCard("x", ("a", "b"), "custom")
    assert "division" not in card.to_dict()
    kept = replace(card, division={"shares": [0.7, 0.15, 0.15]})
    assert ModelCard.from_json(kept.to_json()) == kept


def test_the_same_data_are_divided_alike_and_others_are_not(faces: Path) -> None:
    trained = mien.load(faces, shares="60,20,20", split_seed=3)
    record = record_division(trained.subset(TRAINING), trained.subset(PUBLIC_TEST))
    plain = mien.load(faces)
    again = divide_alike(plain, record)
    assert again is not None
    assert (again.split == trained.split).all()
    assert divide_alike(plain.select(np.arange(len(plain)) > 0), record) is None
    assert divide_alike(plain, {**record, "split_seed": 4}) is None
    assert divide_alike(plain, {"shares": "nonsense"}) is None


def test_a_model_is_evaluated_on_what_it_has_not_seen_of_its_data(faces: Path, tmp_path: Path) -> None:
    model, told = model_of(tmp_path / "m.onnx", faces), Told()
    trained = mien.load(faces, shares="60,20,20", split_seed=3)
    found = mien.evaluate(model, faces, reporter=told)
    assert (found.split, found.n) == (PRIVATE_TEST, 16)
    assert (found.images == trained.subset(PRIVATE_TEST).images).all()
    assert any("was trained on these images" in text for text in told.warnings)
    assert mien.evaluate(model, faces, split="Training", reporter=Told()).n == 48
    other = tmp_path / "moved"
    faces.rename(other)
    assert mien.evaluate(model, other, reporter=Told()).n == 16  # wherever they are


def test_other_data_without_splits_are_evaluated_whole_and_this_is_told(faces: Path, tmp_path: Path) -> None:
    model, told = model_of(tmp_path / "m.onnx", faces), Told()
    (faces / "sad" / "0.png").unlink()
    found = mien.evaluate(model, faces, reporter=told)
    assert (found.split, found.n) == (TRAINING, 79)
    assert any("all 79 images are evaluated" in text for text in told.warnings)


def test_merged_and_grouped_data_are_read_as_for_the_training(faces: Path, tmp_path: Path) -> None:
    model = model_of(tmp_path / "m.onnx", faces, class_names=["angry", "happy", "sad"], group=r"(\d+)\.png")
    found = mien.evaluate(model, faces, reporter=Told())
    assert found.split == PRIVATE_TEST
    trained = mien.load(
        faces, shares="60,20,20", split_seed=3, class_names=["angry", "happy", "sad"], group=r"(\d+)\.png"
    )
    assert (found.images == trained.subset(PRIVATE_TEST).images).all()


def test_a_training_in_another_label_set_is_divided_alike_too(faces: Path, tmp_path: Path) -> None:
    for name in ("disgust", "fear", "surprise"):
        (faces / name).mkdir()
        for i in range(20):
            image = np.random.default_rng(i).integers(0, 255, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(faces / name / f"{i}.png"), image)
    trained = mien.load(faces, "rafdb", shares="60,20,20", split_seed=3)
    parts = [trained.select(trained.split == split) for split in (TRAINING, PUBLIC_TEST)]
    record = record_division(*parts, {"label_set": "rafdb"})
    card = ModelCard("mine", FER2013.classes, "fer2013", division=record)
    found = mien.evaluate(make_onnx(tmp_path / "m.onnx", card), faces, reporter=Told())
    assert (found.split, found.n) == (PRIVATE_TEST, int((trained.split == PRIVATE_TEST).sum()))


@pytest.mark.parametrize("first", [True, False])
def test_two_models_are_compared_on_what_the_one_that_was_trained_has_not_seen(
    faces: Path, tmp_path: Path, first: bool
) -> None:
    models = [model_of(tmp_path / "m.onnx", faces), make_onnx(tmp_path / "other.onnx")]
    told = Told()
    done = compare_models(*(models if first else models[::-1]), faces, reporter=told)
    assert (done.first.split, done.first.n, done.second.n) == (PRIVATE_TEST, 16, 16)
    assert len(told.warnings) == len(set(told.warnings))


def test_models_of_other_classes_are_told_a_remedy_only_where_there_is_one(
    faces: Path, tmp_path: Path
) -> None:
    def named(name: str, labels: tuple[str, ...], label_set: str) -> Path:
        return make_onnx(tmp_path / name, ModelCard(name, labels, label_set))

    seven = FER2013.classes
    one = named("one.onnx", seven, "fer2013")
    other = named("other.onnx", (*seven[:4], "bored", "calm", "tired"), "custom")
    with pytest.raises(ModelError, match="no label set in common, so each has to be evaluated by itself"):
        compare_models(one, other, faces, reporter=Told())
