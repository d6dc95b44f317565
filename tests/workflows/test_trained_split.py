"""The test split of a training is recovered when a model is evaluated on the data that it was trained on."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.card import ModelCard
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.data.division import divide_alike, record_division
from mien.data.reading_options import parse_shares
from mien.errors import DataError
from mien.evaluation.evaluation import Evaluation
from mien.files import write_text
from mien.labels import FER2013
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig
from mien.workflows.compare import compare_models, run_comparison
from mien.workflows.evaluate_model import EvaluateOptions, run_evaluation
from mien.workflows.list_runs import list_runs
from mien.workflows.options import DataOptions
from mien.workflows.reporter import Reporter
from tests.builders.models import make_onnx

NAMES = ("angry", "happy", "neutral", "sad")


class Told(Reporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def write_faces(folder: Path, names: tuple[str, ...]) -> Path:
    """Write folders of 20 different images each."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(20):
            cv2.imwrite(str(folder / name / f"{i}.png"), rng.integers(0, 255, (48, 48), dtype=np.uint8))
    return folder


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", NAMES)


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """Faces of the classes of FER2013, as the runs of these tests have them."""
    return write_faces(tmp_path / "seven", FER2013.classes)


def model_of(path: Path, data: Path, shares: str = "60,20,20", seed: int = 3, **reading: object) -> Path:
    """An ONNX file whose card says that it was trained on the data, read and divided with these options."""
    trained = mien.load(data, shares=shares, split_seed=seed, **reading)
    parts = [trained.select(trained.split == split) for split in (TRAINING, PUBLIC_TEST)]
    record = record_division(*parts, reading)  # type: ignore[arg-type]
    card = ModelCard("mine", FER2013.classes, "fer2013", division=record)
    return make_onnx(path, card)


def run_of(folder: Path, data: Path, shares: str = "60,20,20", seed: int = 3) -> Path:
    """A run folder with such a model."""
    folder.mkdir()
    model_of(folder / "model.onnx", data, shares, seed)
    config = RunConfig(
        get_recipe("small"), str(data), reading={"shares": parse_shares(shares), "split_seed": seed}
    )
    (folder / "recipe.json").write_text(json.dumps({**config.recipe.to_dict(), "data": config.data()}))
    return folder


def images_of(data: Path, split: str, shares: str = "60,20,20", **reading: object) -> np.ndarray:
    return mien.load(data, shares=shares, split_seed=3, **reading).subset(split).images  # type: ignore[arg-type]


def test_data_with_splits_have_no_division_record() -> None:
    drawn = mien.load("synthetic:70")
    assert record_division(drawn.subset(TRAINING), drawn.subset(PUBLIC_TEST)) == {}
    card = ModelCard("x", ("a", "b"), "custom")
    assert "division" not in card.to_dict()
    kept = replace(card, division={"shares": [0.7, 0.15, 0.15]})
    assert ModelCard.from_json(kept.to_json()) == kept


def test_division_is_reproduced_only_for_the_same_data(faces: Path) -> None:
    trained = mien.load(faces, shares="60,20,20", split_seed=3)
    record = record_division(trained.subset(TRAINING), trained.subset(PUBLIC_TEST))
    plain = mien.load(faces)
    again = divide_alike(plain, record)
    assert again is not None
    assert (again.split == trained.split).all()
    assert divide_alike(plain.select(np.arange(len(plain)) > 0), record) is None
    assert divide_alike(plain, {**record, "split_seed": 4}) is None
    assert divide_alike(plain, {"shares": "nonsense"}) is None


@pytest.mark.slow
def test_model_is_evaluated_on_the_test_split_of_its_training_data(faces: Path, tmp_path: Path) -> None:
    model, told = model_of(tmp_path / "m.onnx", faces), Told()
    trained = mien.load(faces, shares="60,20,20", split_seed=3)
    found = mien.evaluate(model, faces, reporter=told)
    assert (found.split, found.n) == (PRIVATE_TEST, 16)
    assert (found.images == trained.subset(PRIVATE_TEST).images).all()
    assert any("was trained on these images" in text for text in told.warnings)
    assert mien.evaluate(model, faces, split="Training", reporter=Told()).n == 48
    other = tmp_path / "moved"
    faces.rename(other)
    assert mien.evaluate(model, other, reporter=Told()).n == 16  # also after the data were moved


@pytest.mark.slow
def test_other_data_without_splits_are_evaluated_completely_with_a_warning(
    faces: Path, tmp_path: Path
) -> None:
    model, told = model_of(tmp_path / "m.onnx", faces), Told()
    (faces / "sad" / "0.png").unlink()
    found = mien.evaluate(model, faces, reporter=told)
    assert (found.split, found.n) == (TRAINING, 79)
    assert any("all 79 images are evaluated" in text for text in told.warnings)


def test_class_names_and_groups_of_the_training_are_reused_for_evaluation(
    faces: Path, tmp_path: Path
) -> None:
    model = model_of(tmp_path / "m.onnx", faces, class_names=["angry", "happy", "sad"], group=r"(\d+)\.png")
    found = mien.evaluate(model, faces, reporter=Told())
    assert found.split == PRIVATE_TEST
    trained = mien.load(
        faces, shares="60,20,20", split_seed=3, class_names=["angry", "happy", "sad"], group=r"(\d+)\.png"
    )
    assert (found.images == trained.subset(PRIVATE_TEST).images).all()


def test_division_is_reproduced_for_another_label_set(faces: Path, tmp_path: Path) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_models_are_compared_on_the_test_split_of_the_one_trained_on_the_data(
    faces: Path, tmp_path: Path, first: bool
) -> None:
    models = [model_of(tmp_path / "m.onnx", faces), make_onnx(tmp_path / "other.onnx")]
    told = Told()
    done = compare_models(*(models if first else models[::-1]), faces, reporter=told)
    assert (done.first.split, done.first.n, done.second.n) == (PRIVATE_TEST, 16, 16)
    assert len(told.warnings) == len(set(told.warnings))


@pytest.mark.slow
@pytest.mark.parametrize("first_is_grouped", [True, False])
def test_models_with_the_same_shares_but_other_groups_are_compared_on_the_same_images(
    faces: Path, tmp_path: Path, first_is_grouped: bool
) -> None:
    pattern = r"(\d+)\.png"
    models = [model_of(tmp_path / "a.onnx", faces, group=pattern), model_of(tmp_path / "b.onnx", faces)]
    told = Told()
    done = compare_models(*(models if first_is_grouped else models[::-1]), faces, reporter=told)
    expected = images_of(faces, PRIVATE_TEST, **({"group": pattern} if first_is_grouped else {}))
    assert np.array_equal(done.first.images, expected)
    assert np.array_equal(done.second.images, expected)
    assert any("both models were trained on these images, with different splits" in t for t in told.warnings)


@pytest.mark.slow
def test_second_model_trained_without_the_given_groups_emits_a_warning(faces: Path, tmp_path: Path) -> None:
    pattern = r"(\d+)\.png"
    models = [model_of(tmp_path / "a.onnx", faces, group=pattern), model_of(tmp_path / "b.onnx", faces)]
    told = Told()
    options = EvaluateOptions(data=DataOptions(group=pattern))
    done = run_comparison(*models, faces, options, told)
    assert np.array_equal(done.second.images, images_of(faces, PRIVATE_TEST, group=pattern))
    assert any("the second was trained on some of it" in text for text in told.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_comparing_runs_with_different_seeds_emits_a_warning(
    seven: Path, tmp_path: Path, named: bool
) -> None:
    runs = [run_of(tmp_path / "a", seven), run_of(tmp_path / "b", seven, seed=5)]
    told = Told()
    done = compare_models(*runs, seven if named else None, reporter=told)
    for found in (done.first, done.second):
        assert found.split == PRIVATE_TEST
        assert np.array_equal(found.images, images_of(seven, PRIVATE_TEST))
    assert any("so its scores may be too high" in text for text in told.warnings)


@pytest.mark.slow
def test_runs_with_the_same_division_are_compared_without_a_warning(seven: Path, tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "a", seven), run_of(tmp_path / "b", seven)]
    told = Told()
    done = compare_models(*runs, reporter=told)
    assert (done.first.n, done.second.n) == (28, 28)
    assert not any("different splits" in text for text in told.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_a_run_is_compared_with_an_unrelated_model_on_its_validation_images(
    seven: Path, tmp_path: Path, named: bool
) -> None:
    run, other = run_of(tmp_path / "run", seven), make_onnx(tmp_path / "other.onnx")
    data = seven if named else None
    done = compare_models(run, other, data, split="validation", reporter=Told())
    for found in (done.first, done.second):
        assert np.array_equal(found.images, images_of(seven, PUBLIC_TEST))


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_model_trained_without_a_test_split_is_evaluated_on_its_validation_split(
    seven: Path, tmp_path: Path, named: bool
) -> None:
    run, told = run_of(tmp_path / "run", seven, "80,20,0"), Told()
    found = mien.evaluate(run, seven if named else None, reporter=told)
    assert found.split == PUBLIC_TEST
    assert np.array_equal(found.images, images_of(seven, PUBLIC_TEST, "80,20,0"))
    assert any("set no images aside for PrivateTest, so PublicTest is evaluated" in t for t in told.warnings)
    assert not any("has not seen" in text for text in told.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"class_names": "rafdb"}])
def test_omitted_data_options_default_to_those_of_the_training(tmp_path: Path, given: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "numbered"
    for number in range(1, 8):
        for i in range(12):
            place = data / str(number) / f"person{i // 2}"
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{i}.png"), rng.integers(0, 255, (48, 48), dtype=np.uint8))
    reading = {"class_names": "rafdb", "group": "folder"}
    model = model_of(tmp_path / "m.onnx", data, **reading)
    found = mien.evaluate(model, data, **given, reporter=Told())  # type: ignore[arg-type]
    assert found.split == PRIVATE_TEST
    assert np.array_equal(found.images, images_of(data, PRIVATE_TEST, **reading))


def test_numbered_folders_that_a_model_was_not_trained_on_still_need_class_names(
    faces: Path, tmp_path: Path
) -> None:
    (tmp_path / "numbered" / "1").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "numbered" / "1" / "a.png"), np.zeros((48, 48), np.uint8))
    model = model_of(tmp_path / "m.onnx", faces, class_names=["angry", "happy", "sad"])
    with pytest.raises(DataError, match="class_names"):
        mien.evaluate(model, tmp_path / "numbered", reporter=Told())


def test_scores_are_returned_with_a_warning_if_the_files_cannot_be_written(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mien.workflows.evaluate_model.write_evaluation", write)
    model, told = model_of(tmp_path / "m.onnx", faces, class_names=["angry", "happy", "sad"]), Told()
    found = mien.evaluate(model, faces, out=tmp_path / "scores", reporter=told)
    assert found.n > 0
    assert any("scores cannot be written (No space left on device)" in line for line in told.warnings)


@pytest.mark.slow
def test_scores_on_other_data_do_not_replace_the_test_scores_of_a_run(
    seven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(evaluation: Evaluation, model: object, folder: Path, **_: object) -> None:
        write_text(folder / "evaluation.json", json.dumps(evaluation.to_dict()))

    monkeypatch.setattr("mien.workflows.evaluate_model.write_evaluation", write)  # without figures
    run, other = run_of(tmp_path / "run", seven), tmp_path / "other faces"
    shutil.copytree(seven, other)
    (other / "sad" / "0.png").unlink()
    own = run_evaluation(run, seven, EvaluateOptions(force=True), Told())
    assert own.folder == run / PRIVATE_TEST
    done = run_evaluation(run, other, EvaluateOptions(force=True), Told())
    assert done.folder == run / "other-faces-Training"
    assert json.loads((done.folder / "evaluation.json").read_text())["n"] == 139
    assert json.loads((run / PRIVATE_TEST / "evaluation.json").read_text())["n"] == 28
    assert list_runs(tmp_path)[0]["test_accuracy"] == own.evaluation.accuracy
    drawn = run_evaluation(run, "synthetic:70:1", EvaluateOptions(force=True), Told())
    assert drawn.folder == run / "synthetic-70-1-PrivateTest"
    shutil.copy(done.folder / "evaluation.json", run / PRIVATE_TEST)  # as written by an older version
    assert list_runs(tmp_path)[0]["test_accuracy"] is None
