"""Custom classes end to end: train, resume, evaluate, cross-validate, export, compare, list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.errors import ModelError
from mien.workflows.compare import compare_models
from mien.workflows.list_runs import list_runs
from mien.workflows.reporter import SilentReporter
from tests.helpers.command import mien as command

NAMES = ("gawping", "idle", "moping")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of synthetic faces with invented class names, 24 each."""
    root = tmp_path_factory.mktemp("data") / "three"
    drawn = mien.load("synthetic:260:3")
    expressions = dict(zip(("surprise", "neutral", "sad"), NAMES, strict=True))
    counts = dict.fromkeys(NAMES, 0)
    for image, label in zip(drawn.images, drawn.labels, strict=True):
        name = expressions.get(drawn.label_set.classes[label])
        if name and counts[name] < 24:
            (root / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name / f"{counts[name]:02}.png"), image)
            counts[name] += 1
    assert set(counts.values()) == {24}
    return root


@pytest.fixture(scope="module")
def run(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> mien.Run:
    folder = tmp_path_factory.mktemp("runs") / "three"
    return mien.train(faces, start="small", epochs=3, out=folder, reporter=SilentReporter())


@pytest.mark.slow
def test_training_on_folders_uses_their_names_as_classes(run: mien.Run, faces: Path) -> None:
    assert run.card.labels == NAMES
    assert run.card.label_set == "custom"
    assert run.recipe.name == "fine-tune"
    evaluation = run.evaluate("PrivateTest")
    assert evaluation.labels == NAMES
    assert evaluation.n == 3 * 4
    again = mien.evaluate(
        run.folder, split="PrivateTest", reporter=SilentReporter()
    )  # its data are divided alike
    assert again.accuracy == evaluation.accuracy
    same = mien.evaluate(run.folder, faces, reporter=SilentReporter())
    assert (same.split, same.n, same.accuracy) == ("PrivateTest", 12, evaluation.accuracy)
    assert run.card.name == "fine-tune-three"
    assert run.card.division["training"] == 3 * 16
    assert run.classifier.labels == NAMES


@pytest.mark.slow
def test_resuming_a_finished_run_on_folders_reports_nothing_to_resume(run: mien.Run, tmp_path: Path) -> None:
    folder = run.copy(tmp_path / "copy")
    state = json.loads((folder / "state.json").read_text())
    assert (state["data"]["training"], state["data"]["validation"]) == (3 * 16, 3 * 4)
    told: list[str] = []

    class Told(SilentReporter):
        def message(self, text: str) -> None:
            told.append(text)

    resumed = mien.train(resume=True, out=folder, reporter=Told())
    assert len(resumed.history) == 3
    assert [text for text in told if "is finished, after 3 epochs: there is nothing left to resume" in text]


@pytest.mark.slow
def test_exports_of_a_run_on_folders_keep_the_class_names(run: mien.Run, faces: Path, tmp_path: Path) -> None:
    int8 = mien.export(
        run.folder, "int8", data=faces, out=tmp_path / "m.int8.onnx", reporter=SilentReporter()
    )
    assert mien.Classifier(int8).labels == NAMES
    for name in ("tflite", "tflite-int8"):
        lite = mien.export(
            run.folder, name, data=faces, out=tmp_path / f"{name}.tflite", reporter=SilentReporter()
        )
        evaluation = mien.evaluate(lite, faces, split="Training", reporter=SilentReporter())
        assert evaluation.labels == NAMES
        assert evaluation.n == 3 * 16  # the card knows the division wherever the file is
    done = compare_models(
        run.folder, tmp_path / "tflite.tflite", faces, split="Training", reporter=SilentReporter()
    )
    assert done.comparison.agreement == 1
    assert done.comparison.mcnemar.p_value == 1


@pytest.mark.slow
def test_predict_command_uses_the_folder_names_as_classes(run: mien.Run, faces: Path) -> None:
    photo = faces / "idle" / "00.png"
    done = command("predict", photo, "--model", run.folder / "model.onnx", "--json")
    face = json.loads(done.stdout)["images"][0]["faces"][0]
    assert set(face["probabilities"]) == set(NAMES)


@pytest.mark.slow
def test_service_uses_the_folder_names_as_classes(run: mien.Run) -> None:
    from mien.service.settings import Settings
    from tests.helpers.service_process import portrait, running

    with running(Settings(model=str(run.folder), threads=1)) as service:
        assert set(service.get("/v1/model").json["labels"]) == set(NAMES)
        (face,) = service.send(("photo.jpg", portrait(side=400))).json["images"][0]["faces"]
        assert set(face["probabilities"]) == set(NAMES)


@pytest.mark.slow
def test_runs_are_listed_with_their_data_and_scores(run: mien.Run) -> None:
    (row,) = list_runs(run.folder.parent)
    assert (row["recipe"], row["start"], row["epochs"], row["of"], row["classes"]) == (
        "fine-tune",
        "small",
        3,
        3,
        3,
    )
    assert row["val_accuracy"] == run.best["val_accuracy"]
    assert 0 <= row["val_macro_f1"] <= 1
    assert row["finished"]
    listed = json.loads(command("runs", run.folder.parent, "--json").stdout)
    assert listed["runs"][0]["run"] == str(run.folder)
    assert "fine-tune" in command("runs", run.folder.parent).stdout


@pytest.mark.slow
def test_cross_validation_tests_every_image_once(faces: Path, tmp_path: Path) -> None:
    done = mien.cross_validate(
        faces, 2, start="small", epochs=1, out=tmp_path / "cv", reporter=SilentReporter()
    )
    assert [row["n"] for row in done.folds] == [36, 36]
    accuracies = [row["accuracy"] for row in done.folds]
    assert done.mean["accuracy"] == pytest.approx(np.mean(accuracies))
    assert done.spread["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert np.allclose(done.probabilities.sum(axis=1), 1, atol=1e-4)
    document = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())
    predicted = done.probabilities.argmax(axis=1)
    assert document["out_of_fold"]["accuracy"] == pytest.approx((predicted == done.true).mean())
    lines = (tmp_path / "cv" / "out_of_fold.csv").read_text().splitlines()
    assert lines[0] == "row,path,fold,label,predicted,gawping,idle,moping"
    assert lines[1].split(",")[:4] == ["0", "gawping/00.png", lines[1].split(",")[2], "gawping"]
    assert len(lines) == 73
    again = mien.cross_validate(
        faces, 2, start="small", epochs=1, out=tmp_path / "cv", reporter=SilentReporter()
    )
    assert np.allclose(again.probabilities, done.probabilities)  # finished folds are reused
    given = ["--from", "small", "--kfold", "2", "--epochs", "1", "--out", tmp_path / "cv"]
    printed = command("train", "--data", faces, *given).stdout
    assert f"Mean accuracy {done.mean['accuracy']:.2%} ± {done.spread['accuracy']:.2%}" in printed
    for fold, row in enumerate(done.folds, 1):
        assert f"{fold:>4}  {row['n']:>6,}  {row['accuracy']:>7.2%}" in printed
    with pytest.raises(ModelError, match="fold-1 was started with another model to start from"):
        mien.cross_validate(faces, 2, start="tiny", epochs=1, out=tmp_path / "cv", reporter=SilentReporter())
    with pytest.raises(ModelError, match="fold-1 was trained on other data"):
        mien.cross_validate(
            faces, 2, start="small", epochs=1, split_seed=5, out=tmp_path / "cv", reporter=SilentReporter()
        )


@pytest.mark.slow
def test_the_learning_rate_search_suggests_a_rate_and_plots(faces: Path, tmp_path: Path) -> None:
    done = command("train", "--data", faces, "--from", "small", "--find-lr", "--out", tmp_path / "lr")
    assert "The loss is lowest at a learning rate of" in done.stdout, done.stderr
    assert "Suggested: --learning-rate" in done.stdout
    assert (tmp_path / "lr" / "learning-rate.png").stat().st_size > 10_000


def search(losses: list[float]) -> Any:
    from mien.training.learning_rate_search import LearningRateSearch

    smoothed = np.array(losses)
    return LearningRateSearch(np.geomspace(1e-5, 1, len(losses)), smoothed, smoothed)


def test_the_suggested_rate_is_a_tenth_of_the_one_with_the_lowest_loss() -> None:
    found = search([2.0, 2.0, 1.9, 1.2, 0.8, 1.5])
    assert found.highest == pytest.approx(0.1)
    assert found.suggested == pytest.approx(0.01)
    assert (found.falls, found.rises) == (True, True)
    assert not search([2.0, 2.0, 1.9, 1.2, 1.0, 0.8]).rises
    assert not search([2.0, 2.0, 1.99, 2.0, 2.1, 3.0]).falls


def test_evaluating_a_model_without_shared_classes_is_refused(tmp_path: Path) -> None:
    for name in ("bored", "tense"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.zeros((48, 48), np.uint8))
    done = command("evaluate", "tiny", "--data", tmp_path)
    assert done.returncode == 2
    assert "two or more of the model's classes" in done.stderr


@pytest.mark.slow
def test_model_is_evaluated_on_the_classes_it_shares_with_the_data(tmp_path: Path) -> None:
    drawn = mien.load("synthetic:70:1")
    for i, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        name = {"happy": "joy", "sad": "sadness", "fear": "bored"}.get(drawn.label_set.classes[label])
        if name:
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), image)
    done = command("evaluate", "tiny", "--data", tmp_path, "--json")
    found = json.loads(done.stdout)
    assert found["label_mapping"]["classes"] == {"bored": None, "joy": "happy", "sadness": "sad"}
    assert found["label_mapping"]["left_out"] == {"bored": 10}
    assert found["n"] == 20
    assert "Left out are the images of classes that the model does not have: bored 10." in done.stderr


def test_detected_faces_are_cropped_and_saved(tmp_path: Path) -> None:
    import matplotlib.cbook

    from mien.errors import DataError
    from mien.images import read_image, write_image
    from mien.workflows.load_data import load_data
    from mien.workflows.options import DataOptions

    photo = read_image(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    for name in ("on", "off"):
        write_image(tmp_path / "photos" / name / "a.png", photo)
    slope = np.linspace(0, 255, 300 * 400 * 3).reshape(300, 400, 3).astype(np.uint8)
    write_image(tmp_path / "photos" / "on" / "none.png", slope)
    options = DataOptions(detect=True, keep_crops=tmp_path / "crops")
    dataset = load_data(tmp_path / "photos", options, SilentReporter())
    assert len(dataset) == 2
    assert dataset.left_out.without_face == (str(tmp_path / "photos" / "on" / "none.png"),)
    kept = cv2.imread(str(tmp_path / "crops" / "on" / "a.png.png"), cv2.IMREAD_GRAYSCALE)
    assert (kept == dataset.images[1]).all()
    with pytest.raises(DataError, match="new or empty folder for the crops"):
        load_data(tmp_path / "photos", options, SilentReporter())


@pytest.mark.parametrize("out", ["", "run", "calm/run"])
def test_a_run_folder_inside_the_data_is_refused(tmp_path: Path, out: str) -> None:
    for name in ("calm", "wild"):
        (tmp_path / "data" / name).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match="expected a run folder outside the data"):
        mien.train(tmp_path / "data", epochs=1, out=tmp_path / "data" / out, reporter=SilentReporter())
    assert sorted(tmp_path.rglob("*")) == before
