"""The label set and split of an evaluation if none is given: the same for a path and what `mien.load` reads from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mien
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS
from mien.data.synthetic.drawn_faces import synthetic_dataset, write_csv
from mien.images import write_image
from mien.workflows.evaluation_classes import own_label_set
from tests.builders.datasets import make_dataset

WORDS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def folders(place: Path) -> Path:
    for i, word in enumerate(WORDS):
        (place / word).mkdir(parents=True)
        write_image(place / word / "a.png", np.full((48, 48, 3), 20 * i, np.uint8))
    return place


def table_of_paths(place: Path) -> Path:
    folders(place)
    rows = [f"{word}/a.png,{word}" for word in WORDS]
    (place / "faces.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    return place / "faces.csv"


def fer2013(place: Path) -> Path:
    place.mkdir()
    write_csv(synthetic_dataset(70), place / "fer2013.csv")
    return place / "fer2013.csv"


@pytest.mark.parametrize(
    ("make", "expected"),
    [(folders, None), (table_of_paths, None), (fer2013, "fer2013")],
    ids=["folders", "table", "fer2013"],
)
def test_a_path_and_the_data_set_read_from_it_have_the_same_label_set(
    tmp_path: Path, make: Any, expected: str | None
) -> None:
    place = make(tmp_path / "data")
    assert own_label_set(place) == expected
    assert own_label_set(mien.load(place)) == expected


def test_the_folder_of_the_fer2013_table_has_its_label_set(tmp_path: Path) -> None:
    place = fer2013(tmp_path / "archive").parent  # also in a folder around it, as in unpacked archives
    assert own_label_set(place) == own_label_set(tmp_path) == own_label_set(mien.load(tmp_path)) == "fer2013"


def test_only_data_in_memory_with_the_labels_of_fer2013_have_its_label_set() -> None:
    images, numbers = make_dataset(7).images[:7], np.arange(7)
    frame = pd.DataFrame({"emotion": numbers, "pixels": [" ".join(["7"] * 2304)] * 7})
    for data in ((images, numbers), (images, np.eye(7, dtype=np.float32)), frame):
        assert own_label_set(data) == own_label_set(mien.load(data)) == "fer2013"
    words = pd.DataFrame({"label": list(WORDS), "image": list(images)})
    for data in ((images, list(WORDS)), words, {"images": images, "labels": np.array(WORDS)}):
        assert own_label_set(data) is None
        assert own_label_set(mien.load(data)) is None
    assert own_label_set((images, numbers), list(WORDS)) is None
    assert own_label_set(make_dataset(7)) is None
    assert own_label_set(synthetic_dataset(21)) == own_label_set("synthetic:21") == "fer2013"


def test_an_evaluation_of_a_data_set_gives_the_scores_of_its_path(tmp_path: Path) -> None:
    place = folders(tmp_path / "data")
    by_path = mien.evaluate("tiny", place)
    by_data = mien.evaluate("tiny", mien.load(place))
    np.testing.assert_array_equal(by_data.probabilities, by_path.probabilities)
    assert by_data.labels == by_path.labels


def test_data_with_sources_are_evaluated_on_their_test_split() -> None:
    dataset = make_dataset(7, 7, 14)
    named = replace(dataset, sources=np.full(len(dataset), "lab"))
    assert mien.evaluate("tiny", named).split == mien.evaluate("tiny", dataset).split == PRIVATE_TEST
    selection = replace(named, split=np.full(len(named), PUBLIC_TEST, f"<U{max(map(len, SPLITS))}"))
    assert mien.evaluate("tiny", selection).split == PUBLIC_TEST


def test_predictions_that_a_classifier_averages_are_told_and_not_averaged_again() -> None:
    dataset = make_dataset(7, 7, 14)
    averaged = mien.evaluate(mien.Classifier("tiny", flip_tta=True), dataset)
    assert averaged.to_dict()["flip_tta"] is True
    for again in (
        mien.evaluate("tiny", dataset, flip_tta=True),
        mien.evaluate(mien.Classifier("tiny", flip_tta=True), dataset, flip_tta=True),
    ):
        np.testing.assert_allclose(again.probabilities, averaged.probabilities, atol=1e-6)
    assert mien.evaluate("tiny", dataset).to_dict()["flip_tta"] is False


@pytest.mark.parametrize("options", [{"flip_tta": "no"}, {"detect": "yes"}])
def test_words_are_not_taken_for_true(options: dict[str, Any]) -> None:
    with pytest.raises(mien.DataError, match="as True or False, got"):
        mien.evaluate("tiny", "synthetic:70", **options)
