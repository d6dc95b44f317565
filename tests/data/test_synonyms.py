"""Class names that mean the same expression are separate classes; names that change are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import mien
from mien.data.classes import choose_classes
from mien.labels import EXPRESSION_WORDS, FER2013, FERPLUS, LABEL_SETS, LabelSet, find_label_set

if TYPE_CHECKING:
    from pathlib import Path

RAVDESS = ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")


def folders(root: Path, names: Any) -> Path:
    """One folder for each name; the gray level of its image is ten times its place."""
    for place, name in enumerate(names):
        (root / name).mkdir(parents=True)
        assert cv2.imwrite(str(root / name / "a.png"), np.full((48, 48), 10 * place, np.uint8))
    return root


def table(path: Path, words: Any) -> Path:
    """One row for each word; the gray level of its image is ten times its place."""
    rows = [f"{word},{' '.join([str(10 * place)] * 2304)}" for place, word in enumerate(words)]
    path.write_text("\n".join(["emotion,pixels", *rows]) + "\n")
    return path


def names_by_level(dataset: mien.Dataset) -> list[str]:
    order = np.argsort(dataset.images[:, 24, 24], kind="stable")
    return [dataset.label_set.classes[label] for label in dataset.labels[order]]


@pytest.mark.parametrize("kind", ["folders", "table", "arrays"])
def test_calm_and_neutral_are_two_classes(tmp_path: Path, kind: str) -> None:
    images = np.stack([np.full((48, 48), 10 * place, np.uint8) for place in range(8)])
    data: Any = (images, list(RAVDESS))
    if kind == "folders":
        data = folders(tmp_path / "data", RAVDESS)
    elif kind == "table":
        data = table(tmp_path / "x.csv", RAVDESS)
    dataset = mien.load(data)
    assert dataset.label_set == LabelSet("custom", RAVDESS)
    assert names_by_level(dataset) == list(RAVDESS)
    (note,) = dataset.left_out.notes()
    assert note == (
        "'calm' and 'neutral' usually mean the same expression, but are separate classes here. To merge them: "
        "`merge=neutral=calm`."
    )
    merged = mien.load(data, merge="neutral=calm")
    assert merged.label_set is FER2013
    assert names_by_level(merged)[1] == names_by_level(merged)[5] == "neutral"


@pytest.mark.parametrize("kind", ["folders", "table"])
def test_names_that_change_are_told(tmp_path: Path, kind: str) -> None:
    words = ("Anger", "disgust", "fear", "joy", "sad", "SURPRISE", "neutral")
    data = folders(tmp_path / "data", words) if kind == "folders" else table(tmp_path / "x.csv", words)
    for label_set in (None, "fer2013"):
        dataset = mien.load(data, label_set)
        assert dataset.label_set is FER2013
        assert names_by_level(dataset) == list(FER2013.classes)
        (note,) = dataset.left_out.notes()
        told = note.partition(": ")[2].rstrip(".").lower().split(", ")
        assert sorted(told) == ["anger as angry", "joy as happy"]


def test_names_that_only_differ_in_case_or_number_are_not_told(tmp_path: Path) -> None:
    words = [f"{place}_{name.upper()}" for place, name in enumerate(FER2013.classes)]
    for label_set in (None, "fer2013"):
        dataset = mien.load(folders(tmp_path / str(label_set), words), label_set)
        assert dataset.label_set is FER2013
        assert dataset.left_out.notes() == []


def test_numbers_next_to_words_keep_the_order_of_fer2013(tmp_path: Path) -> None:
    words = ["neutral", "happy", "surprise", "sad", "anger", "disgust", "fear", "contempt", *range(7)]
    for label_set in (None, "ferplus"):
        dataset = mien.load(table(tmp_path / "x.csv", words), label_set)
        assert dataset.label_set is FERPLUS
        assert names_by_level(dataset)[8:] == [
            "anger",
            "disgust",
            "fear",
            "happiness",
            "sadness",
            "surprise",
            "neutral",
        ]


def test_class_names_of_numbers_may_be_synonyms(tmp_path: Path) -> None:
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "calm")
    dataset = mien.load(table(tmp_path / "x.csv", range(8)), class_names=names)
    assert names_by_level(dataset) == list(names)


def test_selected_class_does_not_include_its_synonym() -> None:
    chosen = choose_classes(RAVDESS, source="x", class_names="neutral,joy")
    assert {name: place for name, place in chosen.index.items() if place is not None} == {
        "neutral": 0,
        "happy": 1,
    }
    assert chosen.notes == ("Class names of the data are read as those of the chosen classes: happy as joy.",)


def test_known_label_set_is_found_only_for_as_many_names_as_it_has_classes() -> None:
    assert find_label_set(RAVDESS) is None
    assert find_label_set(name for name in RAVDESS if name != "calm") is FER2013
    for label_set in LABEL_SETS.values():
        found = find_label_set(label_set.classes)
        assert found is not None
        assert len(found) == len(label_set)


def test_mapping_prefers_the_class_of_the_same_name() -> None:
    ours = LabelSet("custom", ("neutral", "happy"))
    assert ours.map_to(LabelSet("other", ("calm", "neutral", "joy", "happy"))) == (1, 3)
    assert ours.map_to(LabelSet("other", ("neutral", "calm", "joy", "smile"))) == (0, 2)


def test_words_of_expressions_fit_into_the_codes_of_a_table() -> None:
    assert len(EXPRESSION_WORDS) <= 27  # int8: 100 to 126
