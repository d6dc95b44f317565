"""Folds, scores and rows of a cross-validation against scikit-learn, without training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

import mien
from mien.data import ferplus, loading
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, Dataset
from mien.data.division import folds_of
from mien.errors import DataError, ModelError
from mien.evaluation.scoring import evaluate as score
from mien.labels import LabelSet
from mien.workflows import cross_validate, find_learning_rate
from mien.workflows.cross_validation_files import require_replaceable, write_results
from mien.workflows.options import TrainOptions
from mien.workflows.reporter import Reporter, SilentReporter
from tests.builders.datasets import make_dataset
from tests.helpers.command import is_one_sentence
from tests.helpers.command import mien as command

OWN = LabelSet("custom", ("bored", "happy", "tense"))


def faces(counts: tuple[int, ...], groups: np.ndarray[Any, Any] | None = None, seed: int = 0) -> Dataset:
    """Different images with these counts of each class, mixed, without splits."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    images = rng.integers(0, 255, (len(labels), 48, 48), dtype=np.uint8)
    files = np.array([f"{OWN.classes[label]}/{i}.png" for i, label in enumerate(labels)])
    return Dataset(
        images, np.eye(len(counts), dtype=np.float32)[labels], np.full(len(labels), TRAINING), OWN, source="three",
        groups=groups, files=files, divided=False,
    )  # fmt: skip


def class_counts(labels: Any, folds: Any, count: int) -> list[list[int]]:
    """How many images of each class each fold has, the folds of a class in ascending order."""
    table = [np.bincount(labels[folds == fold], minlength=len(OWN)) for fold in range(count)]
    return np.sort(np.array(table), axis=0).tolist()  # type: ignore[no-any-return]


def sklearn_folds(splits: Iterator[Any], n: int) -> Any:
    folds = np.zeros(n, int)
    for fold, (_, tested) in enumerate(splits):
        folds[tested] = fold
    return folds


@pytest.mark.parametrize("counts", [(20, 20, 20), (50, 11, 7), (33, 34, 35), (5, 5, 90)])
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("seed", [7])
def test_folds_are_stratified_like_scikit_learn(counts: tuple[int, ...], count: int, seed: int) -> None:
    dataset = faces(counts)
    folds = folds_of(dataset, count, seed)
    theirs = StratifiedKFold(count, shuffle=True, random_state=seed)
    expected = sklearn_folds(theirs.split(dataset.images[:, 0], dataset.labels), len(dataset))
    assert class_counts(dataset.labels, folds, count) == class_counts(dataset.labels, expected, count)
    assert np.ptp(np.bincount(folds)) <= len(OWN)  # what StratifiedKFold promises of the sizes
    assert (folds == folds_of(dataset, count, seed)).all()
    assert (folds != folds_of(dataset, count, seed + 1)).any()


@pytest.mark.parametrize("seed", range(2))
def test_group_folds_keep_groups_and_are_about_as_balanced_as_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 25, 300).astype(str)
    dataset = faces((150, 100, 50), groups, seed)
    folds = folds_of(dataset, 5, seed)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    theirs = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    expected = sklearn_folds(theirs.split(dataset.images[:, 0], dataset.labels, groups), len(dataset))

    def unevenness(which: Any) -> float:
        table = np.array(class_counts(dataset.labels, which, 5))
        return float((table.std(axis=0) / table.mean(axis=0)).mean())

    assert unevenness(folds) <= 1.5 * unevenness(expected) + 0.05


def test_too_few_images_for_the_folds_are_reported_with_remedies() -> None:
    with pytest.raises(
        DataError, match=r"3 or more different images .* found fewer of tense\. .*give fewer folds"
    ):
        folds_of(faces((9, 9, 2)), 3)
    with pytest.raises(DataError, match=r"found fewer of tense\. Add images of it or merge it") as told:
        folds_of(faces((9, 9, 1)), 3)
    assert "fewer folds" not in str(told.value)


class Told(Reporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cross_validate.CrossValidation:
    """A cross-validation with simulated predictions that are right more often than not."""
    parts: list[Dataset] = []

    def train_fold(part: Dataset, config: Any, folder: Path, *_: Any) -> Any:
        folder.mkdir(parents=True)
        tested = part.subset(PRIVATE_TEST)
        rng = np.random.default_rng(len(parts))
        parts.append(part)
        raw = rng.random((len(tested), 3)) + 0.5 * np.eye(3)[tested.labels]
        given = raw / raw.sum(axis=1, keepdims=True)
        evaluation = score(
            lambda _: given, part, labels=OWN.classes, split=PRIVATE_TEST, batch_size=len(given)
        )
        kept = {"n": evaluation.n, "accuracy": evaluation.accuracy, "macro_f1": evaluation.macro_f1}
        return kept, evaluation.probabilities

    monkeypatch.setattr(cross_validate, "_train_fold", train_fold)
    options = TrainOptions.of("classic", out=tmp_path / "cv", epochs=1)
    found = cross_validate.run_cross_validation(faces((40, 31, 20)), options, 4, SilentReporter())
    for part in parts:  # the test images of a fold are not used for model selection
        assert {split: (part.split == split).sum() > 0 for split in (TRAINING, PUBLIC_TEST, PRIVATE_TEST)} == {
            TRAINING: True, PUBLIC_TEST: True, PRIVATE_TEST: True,
        }  # fmt: skip
    return found


@pytest.mark.parametrize("divided", [True, False])
def test_images_without_a_label_are_left_out_with_a_note(divided: bool) -> None:
    dataset = faces((4, 4, 4))
    targets, split = dataset.targets.copy(), dataset.split.copy().astype("<U11")
    targets[[1, 5, 7]] = 0
    split[[7, 8]] = PRIVATE_TEST
    told = Told()
    given = replace(dataset, targets=targets, split=split, divided=divided)
    whole = cross_validate._usable(given, told)
    left_out = {1, 5, 7, 8} if divided else {1, 5, 7}
    assert whole.rows.tolist() == [row for row in range(12) if row not in left_out]
    count = 2 if divided else 3
    assert told.warnings == [f"Note: {count} images without a label are left out of the cross-validation."]
    assert cross_validate._usable(dataset, told) is dataset
    with pytest.raises(DataError, match=r"expected images with labels outside of PrivateTest .* found none"):
        cross_validate._usable(replace(dataset, targets=np.zeros_like(targets)), Told())


@pytest.mark.parametrize(
    ("option", "value"), [("devices", "all"), ("hosts", "a:1,b"), ("host_index", 0), ("shares", "60,20,20")]
)
def test_options_that_do_not_apply_to_folds_are_refused(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(ModelError, match=rf"to which `{option}` does not apply\. Leave `{option}` out"):
        mien.cross_validate(
            faces((9, 9, 9)), 3, out=tmp_path / "cv", reporter=SilentReporter(), **{option: value}
        )
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("devices", 2), ("hosts", ["a:1", "b"]), ("host_index", 0), ("resume", True)]
)
def test_options_that_do_not_apply_to_a_learning_rate_search_are_refused(
    tmp_path: Path, option: str, value: Any
) -> None:
    with pytest.raises(ModelError, match=rf"A learning rate search .* to which `{option}` does not apply"):
        mien.find_learning_rate(
            faces((9, 9, 9)), out=tmp_path / "lr", reporter=SilentReporter(), **{option: value}
        )
    assert not (tmp_path / "lr").exists()


def test_votes_next_to_the_table_are_used_as_in_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class End(Exception):
        pass

    def end(part: Dataset, *_: object) -> None:
        assert part.votes is not None
        raise End

    table = tmp_path / "table.csv"
    table.touch()
    monkeypatch.setattr(cross_validate, "load_data", lambda *_: make_dataset())
    monkeypatch.setattr(loading, "find_votes", lambda folder: folder / "fer2013new.csv")
    monkeypatch.setattr(
        ferplus, "attach_votes", lambda given, _: replace(given, votes=np.ones((len(given), 10), np.int64))
    )
    monkeypatch.setattr(cross_validate, "_train_fold", end)
    with pytest.raises(End):
        mien.cross_validate(table, 2, "small-alone", out=tmp_path / "cv", reporter=SilentReporter())


def test_teachers_of_a_learning_rate_search_are_reported() -> None:
    told = Told()
    find_learning_rate._refuse_unused(TrainOptions.of(teachers="small"), told)
    assert told.warnings == [
        "Note: a learning rate search learns the labels only, so `teachers` has no effect."
    ]


@pytest.mark.parametrize(
    ("mode", "given", "refused"),
    [
        (
            ["--kfold", "3"],
            ["--devices", "2", "--host-index", "1"],
            "--devices and --host-index do not apply",
        ),
        (["--kfold", "3"], ["--split-shares", "60,20,20"], "--split-shares does not apply"),
        (["--find-lr"], ["--hosts", "a:1,b", "--host-index", "0"], "--hosts and --host-index do not apply"),
        (["--find-lr"], ["--resume"], "--resume does not apply"),
    ],
)
def test_command_refuses_these_options_by_name(
    tmp_path: Path, mode: list[str], given: list[str], refused: str
) -> None:
    is_one_sentence(command("train", "--data", "synthetic:70", *mode, *given, cwd=tmp_path), refused)


@pytest.mark.parametrize("name", ["cross_validation.json", "out_of_fold.csv"])
def test_a_file_of_the_user_with_the_name_of_a_result_is_reported_before_any_training(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    told = command("train", "--data", "synthetic:70", "--kfold", "3", "--out", tmp_path, cwd=tmp_path)
    is_one_sentence(told, rf"{name}: this file exists, and mien did not write it .* another folder with")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_results_are_replaced_unless_they_were_changed(done: cross_validate.CrossValidation) -> None:
    write_results(done)
    require_replaceable(done.folder)
    (done.folder / ".mien-files.jsonl").rename(done.folder / "kept")  # as an older version left it
    require_replaceable(done.folder)
    (done.folder / "kept").rename(done.folder / ".mien-files.jsonl")
    table = done.folder / "out_of_fold.csv"
    before = table.read_bytes()
    table.write_bytes(before + b"a note\n")
    try:
        with pytest.raises(DataError, match=r"out_of_fold\.csv: this file exists"):
            write_results(done)
        assert table.read_bytes() == before + b"a note\n"
    finally:
        table.write_bytes(before)


@pytest.mark.slow
def test_the_plot_of_a_learning_rate_search_replaces_no_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "learning-rate.png").write_text("mine")
    plots = [
        mien.find_learning_rate(
            faces((40, 40, 40)), "compact", out=tmp_path, batch_size=16, reporter=SilentReporter()
        ).plot
        for _ in range(2)
    ]
    assert plots == [tmp_path / "learning-rate-2.png"] * 2
    assert (tmp_path / "learning-rate.png").read_text() == "mine"


def test_out_of_fold_rows_list_each_image_once_with_its_prediction(
    done: cross_validate.CrossValidation,
) -> None:
    table = pd.read_csv(done.folder / "out_of_fold.csv")
    whole = faces((40, 31, 20))
    assert list(table.columns) == ["row", "path", "fold", "label", "predicted", *OWN.classes]
    assert table["row"].tolist() == list(range(91))
    assert whole.files is not None
    assert table["path"].tolist() == whole.files.tolist()
    assert table["label"].tolist() == [OWN.classes[label] for label in whole.labels]
    shares = table[list(OWN.classes)].to_numpy()
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert table["predicted"].tolist() == [OWN.classes[i] for i in shares.argmax(axis=1)]
    assert (table["fold"] - 1).tolist() == folds_of(whole, 4, 0).tolist()


def test_file_names_that_are_not_utf_8_are_escaped(done: cross_validate.CrossValidation) -> None:
    files = np.array([os.fsdecode(b"caf\xe9.png")] * len(done.rows))
    folder = done.folder.with_name("escaped")
    write_results(replace(done, files=files, folder=folder))
    assert set(pd.read_csv(folder / "out_of_fold.csv")["path"]) == {"caf\\udce9.png"}


def test_scores_match_scikit_learn(done: cross_validate.CrossValidation) -> None:
    import json

    table = pd.read_csv(done.folder / "out_of_fold.csv")
    document = json.loads((done.folder / "cross_validation.json").read_text())
    whole = document["out_of_fold"]
    assert whole["n"] == len(table) == 91
    assert whole["accuracy"] == pytest.approx(accuracy_score(table["label"], table["predicted"]))
    assert whole["macro_f1"] == pytest.approx(f1_score(table["label"], table["predicted"], average="macro"))
    theirs = confusion_matrix(table["label"], table["predicted"], labels=list(OWN.classes))
    assert whole["confusion"] == theirs.tolist()
    for name, metric in (
        ("accuracy", accuracy_score),
        ("macro_f1", lambda true, predicted: f1_score(true, predicted, average="macro")),
    ):
        folds = [metric(part["label"], part["predicted"]) for _, part in table.groupby("fold")]
        assert [row[name] for row in document["folds"]] == pytest.approx(folds)
        assert document["mean"][name] == pytest.approx(np.mean(folds))
        assert document["spread"][name] == pytest.approx(pd.Series(folds).std())


def test_names_with_any_bytes_are_written_to_the_predictions(
    done: cross_validate.CrossValidation, tmp_path: Path
) -> None:
    files = np.array([f"bored/{i}.png" for i in range(len(done.true))])
    files[:3] = ["a\udcff.png", "b\rc.png", "d\ne,f.png"]
    write_results(replace(done, folder=tmp_path, files=files))
    table = pd.read_csv(tmp_path / "out_of_fold.csv")
    assert list(table["path"]) == ["a\\udcff.png", *files[1:]]
    assert list(table["fold"]) == [*(done.fold + 1)]


def test_a_cross_validation_is_short_text_and_a_table(done: cross_validate.CrossValidation) -> None:
    text, html = repr(done), done._repr_html_()
    assert len(text) < 300
    assert text.startswith(
        f"<CrossValidation {done.folder}: 4 folds, 91 images, accuracy {done.mean['accuracy']:.2%} ±"
    )
    assert html.count("<tr>") == 5
    assert f"{done.folds[3]['accuracy']:.2%}" in html
