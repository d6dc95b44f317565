"""Data sets stored as image sheets, and scores by source with intervals over groups."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.data.image_sheets import is_sheets
from mien.data.synthetic import synthetic_dataset
from mien.errors import DataError
from mien.evaluation.by_source import group_interval, mean_recall, score_sources
from mien.evaluation.scoring import evaluate
from mien.labels import FER2013
from tests.helpers.command import mien as mien_command

NAMES = FER2013.classes


def write_sheets(folder: Path, labels: list[str], side: int = 96, groups: int = 6) -> np.ndarray:
    """Write synthetic faces on sheets of twenty, ten across, each pixel doubled."""
    faces = synthetic_dataset(n=max(21, len(labels)), seed=3).images[: len(labels)]
    folder.mkdir(exist_ok=True)
    rows = []
    for sheet in range(-(-len(labels) // 20)):
        page = np.zeros((2 * side, 10 * side), np.uint8)
        for place, face in enumerate(faces[sheet * 20 : sheet * 20 + 20]):
            y, x = divmod(place, 10)
            page[y * side : y * side + side, x * side : x * side + side] = np.kron(
                face, np.ones((2, 2), np.uint8)
            )
            index = sheet * 20 + place
            source = "press" if index % 2 else "video"
            rows.append([f"{sheet:02}.png", place, labels[index], source, index % groups])
        Image.fromarray(page).save(folder / f"{sheet:02}.png")
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sheet", "place", "label", "source", "group"], *rows])
    return faces


def test_faces_on_sheets_are_read_in_their_order(tmp_path: Path) -> None:
    labels = [NAMES[i % 7] for i in range(26)]
    faces = write_sheets(tmp_path / "faces", labels)
    dataset = mien.load(tmp_path / "faces")
    assert np.array_equal(dataset.images, faces)  # each pixel doubled, then halved by area
    assert [NAMES[i] for i in dataset.labels] == labels
    assert set(dataset.split) == {"PublicTest"}
    assert dataset.sources is not None
    assert list(dataset.sources[:3]) == ["video", "press", "video"]
    assert dataset.groups is not None
    picked = dataset.select(np.array([4, 2]))
    assert picked.groups is not None
    assert list(picked.groups) == ["4", "2"]


def test_each_face_without_a_group_is_a_group_of_its_own(tmp_path: Path) -> None:
    write_sheets(tmp_path, [NAMES[i % 7] for i in range(6)])
    with (tmp_path / "labels.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    rows = [[*row[:4], group] for row, group in zip(rows, ["a", "", " ", "a", "b", ""], strict=True)]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    dataset = mien.load(tmp_path)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == ["a", "row 2", "row 3", "a", "b", "row 6"]
    assert dataset.left_out.notes() == [f"{tmp_path}: 3 rows have no group and are groups of their own."]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["00.png", "20", "happy"], "row 2: expected a place from 0 to 19 on the sheet, got '20'"),
        (["00.png", "x", "happy"], "row 2: expected a place from 0 to 19"),
        (["00.png", "1", "glad"], r"row 2: Expected one of the labels angry, .*'glad'"),
        (["../00.png", "1", "happy"], "row 2: expected the name of a sheet beside the table"),
        (["99.png", "1", "happy"], r"99\.png"),
    ],
)
def test_error_names_the_faulty_row(tmp_path: Path, row: list[str], sentence: str) -> None:
    write_sheets(tmp_path, ["happy"] * 3)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sheet", "place", "label"], row])
    with pytest.raises(DataError, match=sentence):
        mien.load(tmp_path)


def test_labels_csv_without_sheet_columns_is_not_read_as_sheets(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na.png,happy\n")
    assert not is_sheets(tmp_path)


def test_group_intervals_are_wider_when_errors_are_correlated_within_groups() -> None:
    true = np.zeros(200, np.int64)
    predicted = np.repeat(np.arange(10) % 2, 20)  # ten videos, five of them wrong throughout
    videos = np.repeat(np.arange(10), 20).astype(str)

    def accuracy(stack: np.ndarray) -> np.ndarray:
        return np.trace(stack, axis1=-2, axis2=-1) / stack.sum(axis=(-2, -1))

    low, high = group_interval(true, predicted, videos, 2, accuracy)
    alone = group_interval(true, predicted, np.arange(200).astype(str), 2, accuracy)
    assert low <= 0.25
    assert high >= 0.75
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 200), abs=0.02)


def test_mean_recall_averages_only_the_selected_classes() -> None:
    confusion = np.array([[8, 2, 0], [5, 5, 0], [1, 0, 0]])
    assert mean_recall(confusion, np.array([True, True, False])) == pytest.approx(0.65)
    assert mean_recall(confusion, np.array([True, True, True])) == pytest.approx((0.8 + 0.5 + 0) / 3)


def test_scores_by_source_equal_scores_on_each_source_alone() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 300)
    true, sources = rng.integers(0, 3, 300), rng.choice(["a", "b"], 300)
    found = score_sources(p, true, ["x", "y", "z"], sources, rng.integers(0, 40, 300).astype(str))
    here = sources == "b"
    right = p[here].argmax(axis=1) == true[here]
    assert found["b"]["n"] == here.sum()
    assert found["b"]["accuracy"] == pytest.approx(right.mean())
    recalls = [right[true[here] == i].mean() for i in range(3)]
    assert list(found["b"]["recall"].values()) == pytest.approx(recalls)
    assert found["b"]["mean_recall"] == pytest.approx(np.mean(recalls))
    low, high = found["b"]["mean_recall_interval"]
    assert low < found["b"]["mean_recall"] < high
    assert found["a"]["groups"] <= 40


@pytest.mark.slow
def test_evaluate_command_reports_scores_by_source_for_sheets(tmp_path: Path) -> None:
    write_sheets(tmp_path / "faces", [NAMES[i % 7] for i in range(42)])
    done = subprocess.run(
        [sys.executable, "-m", "mien", "evaluate", "tiny", "--data", tmp_path / "faces", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    shown = mien_command("evaluate", "tiny", "--data", tmp_path / "faces")
    assert "mean recall" in shown.stdout
    assert f"{found['by_source']['video']['mean_recall']:.1%}" in shown.stdout
    assert found["split"] == "PublicTest"
    assert set(found["by_source"]) == {"video", "press"}
    classifier = mien.Classifier("tiny")
    assert classifier.card.label_set == "fused"
    again = evaluate(
        classifier.probabilities, mien.load(tmp_path / "faces"), labels=classifier.labels, split="PublicTest"
    )
    assert found["accuracy"] == pytest.approx(again.accuracy)


def test_table_of_sheets_with_an_open_quotation_mark_is_refused(tmp_path: Path) -> None:
    write_sheets(tmp_path / "faces", [NAMES[i % 7] for i in range(21)])
    with (tmp_path / "faces" / "labels.csv").open("a") as file:
        file.write('01.png,1,"' + "x" * 6_000_000)
    with pytest.raises(DataError, match=r"labels\.csv: expected CSV text, .* Is a quotation mark missing\?"):
        mien.load(tmp_path / "faces")


def test_duplicates_of_ferplus_images_are_searched_among_all_rows() -> None:
    from dataclasses import replace

    from mien.data.ferplus import as_ferplus
    from mien.data.inspection import duplicate_free

    dataset = synthetic_dataset(n=30, seed=1)
    split = np.array(["Training"] * 10 + ["PublicTest"] * 10 + ["PrivateTest"] * 10)
    images = dataset.images.copy()
    images[20], images[21] = images[0], images[1]
    votes = np.zeros((30, 10), np.int64)
    votes[:, 1] = 10
    votes[0] = [
        2,
        2,
        2,
        2,
        2,
        0,
        0,
        0,
        0,
        0,
    ]  # no majority: the row is dropped, but its copy still counts as a copy
    full = replace(dataset, images=images, split=split, votes=votes)
    judged = as_ferplus(full)
    assert len(judged) == 29
    assert int((~duplicate_free(judged)).sum()) == 2
