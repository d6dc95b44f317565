"""Custom classes: read from folder names, selected, merged, grouped, divided, and mapped to those of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.data.classes import choose_classes, parse_merge
from mien.data.dataset import Dataset
from mien.data.division import divide, folds_of
from mien.data.label_mapping import map_to
from mien.data.reading_options import parse_shares
from mien.errors import DataError
from mien.labels import CKPLUS, FER2013, FERPLUS, LABEL_SETS, LabelSet
from tests.builders.datasets import dataset_of


def fill(root: Path, folders: dict[str, int], seed: int = 0) -> Path:
    """Write folders with the given numbers of different images."""
    rng = np.random.default_rng(seed)
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            assert cv2.imwrite(str(root / folder / f"{i:02}.png"), rng.integers(0, 256, (48, 48), np.uint8))
    return root


def undivided(counts: list[int], groups: list[str] | None = None) -> Dataset:
    """Noise images of classes c0, c1, ... with so many images each."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(1).integers(0, 256, (len(labels), 48, 48), np.uint8)
    label_set = LabelSet("custom", tuple(f"c{i}" for i in range(len(counts))))
    grouped = None if groups is None else np.array(groups)
    return dataset_of(images, labels, "Training", label_set, divided=False, groups=grouped)


def test_folder_names_become_the_classes(tmp_path: Path) -> None:
    dataset = mien.load(fill(tmp_path, {"engaged": 3, "Bored": 2, "level 10": 1, "level 9": 1}))
    assert dataset.label_set == LabelSet("custom", ("Bored", "engaged", "level 9", "level 10"))
    assert dataset.counts() == {"Training": {"Bored": 2, "level 9": 1, "level 10": 1, "engaged": 3}}
    assert not dataset.divided


def test_numeric_prefixes_of_folders_set_the_class_order(tmp_path: Path) -> None:
    dataset = mien.load(fill(tmp_path, {"train/1_tired": 1, "train/0_alert": 2, "test/0_alert": 1}))
    assert dataset.label_set.classes == ("alert", "tired")
    assert dataset.counts()["PrivateTest"] == {"alert": 1, "tired": 0}
    assert dataset.divided


@pytest.mark.parametrize(
    ("names", "label_set"),
    [
        (FER2013.classes, FER2013),
        (("anger", "Disgusted", "fear", "joy", "sad", "suprise", "calm"), FER2013),
        (FERPLUS.classes, FERPLUS),
        (("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"), CKPLUS),
    ],
)
def test_folders_of_a_known_label_set_are_recognized(
    tmp_path: Path, names: tuple[str, ...], label_set: LabelSet
) -> None:
    assert mien.load(fill(tmp_path, dict.fromkeys(names, 1))).label_set is label_set


def test_class_names_select_and_order_the_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"happy": 2, "sad": 3, "angry": 1, "junk": 4})
    dataset = mien.load(tmp_path, class_names="sad,happy")
    assert dataset.label_set.classes == ("sad", "happy")
    assert dataset.counts() == {"Training": {"sad": 3, "happy": 2}}
    assert dataset.left_out.chosen == 5
    with pytest.raises(DataError, match=r"class names to be among .*angry, happy.* got 'bored'"):
        mien.load(tmp_path, class_names="sad,bored")


def test_merged_classes_become_one(tmp_path: Path) -> None:
    fill(tmp_path, {"joy": 2, "laugh": 3, "happy": 1, "calm": 2})
    dataset = mien.load(tmp_path, merge="happy=joy,laugh")
    assert dataset.counts() == {"Training": {"calm": 2, "happy": 6}}
    with pytest.raises(DataError, match=r"names to merge to be among .* got 'glee'"):
        mien.load(tmp_path, merge={"happy": ["glee"]})


@pytest.mark.parametrize("given", ["happy", "=a", "a=", "x=a;y=a"])
def test_invalid_merge_is_refused(given: str) -> None:
    with pytest.raises(DataError, match="Expected"):
        parse_merge(given)


def test_possibly_misspelled_class_name_is_reported(tmp_path: Path) -> None:
    dataset = mien.load(fill(tmp_path, {"happy": 1, "sad": 1, "angry": 1, "neutral": 1, "suprize": 1}))
    assert len(dataset.label_set) == 5
    assert "'suprize' is not a usual name of an expression" in dataset.left_out.notes()[0]


def test_single_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 to 100 classes, found only 'bored'"):
        mien.load(fill(tmp_path, {"bored": 2}))


def test_classes_that_training_lacks_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "test/c": 1})
    with pytest.raises(
        DataError, match=r"found the class 'c', which is none of the classes of custom \(a, b\)"
    ):
        mien.load(tmp_path)
    assert choose_classes(["happy", "Happiness", "sad"], source="x", in_training=["happy", "sad"]).index == {
        "happy": 0, "Happiness": 0, "sad": 1,
    }  # fmt: skip


def test_groups_are_read_from_folders_or_by_a_regular_expression(tmp_path: Path) -> None:
    fill(tmp_path, {"a/ann": 2, "a/ben": 1, "b/ann": 1, "b/cy": 1})
    dataset = mien.load(tmp_path, group="folder")
    assert dataset.groups is not None
    assert dataset.groups.tolist() == ["ann", "ann", "ben", "ann", "cy"]
    by_name = mien.load(tmp_path, group=r"/(ann|ben|cy)/")
    assert by_name.groups is not None
    assert (by_name.groups == dataset.groups).all()
    with pytest.raises(DataError, match=r"found none for 1 of 5, the first 'b/cy/00\.png'"):
        mien.load(tmp_path, group=r"/(ann|ben)/")
    with pytest.raises(DataError, match="regular expression with one group"):
        mien.load(tmp_path, group="ann")


def test_division_is_stratified_and_reproducible() -> None:
    dataset = undivided([20, 40, 100])
    parts = divide(dataset, (0.7, 0.15, 0.15), seed=3)
    assert parts.counts() == {
        "Training": {"c0": 14, "c1": 28, "c2": 70},
        "PublicTest": {"c0": 3, "c1": 6, "c2": 15},
        "PrivateTest": {"c0": 3, "c1": 6, "c2": 15},
    }
    assert (parts.split == divide(dataset, (0.7, 0.15, 0.15), seed=3).split).all()
    assert (parts.split != divide(dataset, (0.7, 0.15, 0.15), seed=4).split).any()


def test_division_keeps_copies_and_groups_together() -> None:
    people = [f"p{i // 4}" for i in range(120)]
    dataset = undivided([60, 60], people)
    dataset.images[0] = dataset.images[119]  # a copy joins two people
    split = divide(dataset).split
    homes: dict[str, set[str]] = {}
    for person, name in zip(people, split, strict=True):
        homes.setdefault(person, set()).add(name)
    assert all(len(home) == 1 for home in homes.values())
    assert split[0] == split[119]
    folds = folds_of(dataset, 5)
    assert all(len({folds[i] for i in range(120) if people[i] == person}) == 1 for person in homes)


def test_folds_are_stratified_by_class() -> None:
    folds = folds_of(undivided([25, 50]), 5)
    assert [(folds[:25] == i).sum() for i in range(5)] == [5] * 5
    assert [(folds[25:] == i).sum() for i in range(5)] == [10] * 5
    with pytest.raises(
        DataError, match="10 or more different images of every class for 10 folds, found fewer of c0"
    ):
        folds_of(undivided([9, 20]), 10)


def test_class_too_small_to_divide_is_refused() -> None:
    with pytest.raises(DataError, match=r"found too few of c0 \(2 images\)"):
        divide(undivided([2, 20]))
    assert "PrivateTest" not in divide(undivided([2, 20]), (0.5, 0.5, 0)).counts()


@pytest.mark.parametrize("given", ["70,15", "70,20,20", "a,b,c", "100,0,0", (0.7, -0.1, 0.4)])
def test_invalid_shares_are_refused(given: Any) -> None:
    with pytest.raises(DataError, match="shares"):
        parse_shares(given)
    assert parse_shares("80,10,10") == (0.8, 0.1, 0.1)


def test_classes_are_mapped_by_meaning_to_the_classes_of_a_model() -> None:
    label_set = LabelSet("custom", ("joy", "sad", "bored"))
    dataset = Dataset(
        np.arange(4 * 48 * 48, dtype=np.uint8).reshape(4, 48, 48), np.eye(3, dtype=np.float32)[[0, 1, 2, 2]],
        np.full(4, "PrivateTest"), label_set,
    )  # fmt: skip
    mapped, mapping = map_to(dataset, FER2013)
    assert [FER2013.classes[i] for i in mapped.labels] == ["happy", "sad"]
    assert mapping.left_out == {"bored": 2}
    assert mapping.classes == {"joy": "happy", "sad": "sad", "bored": None}
    assert "neutral" in mapping.unused
    assert len(mapping.sentences()) == 3
    with pytest.raises(DataError, match=r"two or more of the model's classes"):
        map_to(dataset, LabelSet("x", ("happy", "tired")))


@pytest.mark.parametrize("name", ["affectnet7", "rafdb", "fer2013", "jaffe"])
def test_folders_with_class_names_are_read_in_the_given_label_set(tmp_path: Path, name: str) -> None:
    for level, folder in enumerate(("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral")):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.full((20, 20), level, np.uint8))
    dataset = mien.load(tmp_path, name)
    assert dataset.label_set is LABEL_SETS[name]
    by_level = {
        int(image[24, 24]): int(label) for image, label in zip(dataset.images, dataset.labels, strict=True)
    }
    assert [by_level[level] for level in (0, 3, 6)] == [
        dataset.label_set.index(word) for word in ("anger", "happy", "neutral")
    ]
