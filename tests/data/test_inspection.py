"""Inspection: duplicates against a dict of bytes, the invariants of `hold_out`, and the counts of real data."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING, Dataset
from mien.data.inspection import (
    blank_images,
    duplicate_free,
    group_ids,
    hold_out,
    inspect,
    require_classes,
    require_splits,
    require_trainable,
)
from mien.errors import DataError
from mien.labels import FER2013
from tests.builders.datasets import dataset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED = Path(__file__).parents[3] / "shared" / "data"
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 48, 48), np.uint8)

which_images = st.lists(st.integers(0, 5), min_size=1, max_size=30)


def numbered(images: Sequence[int], labels: Sequence[int], splits: Sequence[str]) -> Dataset:
    """Images by number, with repetitions; the label -1 means unlabeled."""
    return dataset_of(IMAGES[list(images)], labels, splits, source="faces.csv")


@st.composite
def datasets(draw: st.DrawFn, splits: Sequence[str] = SPLITS) -> Dataset:
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 11), st.integers(-1, 3), st.sampled_from(splits)),
            min_size=1,
            max_size=60,
        )
    )
    return numbered(*zip(*rows, strict=True))


@given(which_images)
def test_identical_images_share_a_group_id(which: list[int]) -> None:
    images = IMAGES[which]
    first: dict[bytes, int] = {}
    expected = [first.setdefault(image.tobytes(), len(first)) for image in images]
    assert group_ids(images).tolist() == expected
    assert group_ids(images[:, ::-1, ::-1]).tolist() == expected


def test_images_that_differ_by_one_gray_level_are_not_duplicates() -> None:
    images = IMAGES[[0, 0]].copy()
    images[1, 47, 47] ^= 1
    assert group_ids(images).tolist() == [0, 1]


def test_empty_arrays_have_no_groups_and_no_blank_images() -> None:
    assert group_ids(IMAGES[:0]).tolist() == []
    assert blank_images(IMAGES[:0]).tolist() == []


def test_images_whose_gray_levels_span_at_most_eight_are_blank() -> None:
    images = np.full((3, 48, 48), 250, np.uint8)
    images[1, 0, 0] = 242
    images[2, 0, 0] = 241
    assert blank_images(images).tolist() == [True, True, False]


def test_inspection_of_a_small_data_set() -> None:
    dataset = numbered(
        images=[0, 1, 0, 2, 3, 1, 0, 4, 3, 5, 5],
        labels=[0, 1, 0, 2, 3, 2, 0, 4, 3, 5, -1],
        splits=[*[TRAINING] * 4, *[PUBLIC_TEST] * 2, *[PRIVATE_TEST] * 5],
    )
    report = inspect(dataset).to_dict()
    assert report == {
        "n": 11,
        "splits": dataset.counts(),
        "duplicate_groups": 4,  # 0 (three times), 1, 3 and 5
        "surplus_copies": 5,
        "conflicting_groups": 1,  # 1; an unlabeled copy of 5 is not a conflict
        "test_in_training": 1,
        "test_in_training_or_validation": 2,
        "validation_in_training": 1,
        "blank": 0,
        "examples": {
            "duplicate_groups": [[0, 2, 6], [1, 5], [4, 8], [9, 10]],
            "conflicting_groups": [[1, 5]],
            "test_in_training": [6],
            "test_in_training_or_validation": [6, 8],
            "validation_in_training": [5],
            "blank": [],
        },
    }
    assert json.loads(json.dumps(report)) == report
    assert duplicate_free(dataset).tolist() == [False, True, False, True, True]
    assert duplicate_free(dataset, PUBLIC_TEST).tolist() == [False, False]


def test_examples_are_limited_and_refer_to_source_rows() -> None:
    dataset = numbered([1, 0, 0, 1], [0] * 4, [TRAINING, TRAINING, PRIVATE_TEST, PRIVATE_TEST])
    found = inspect(dataset.select(np.array([3, 2, 1, 0])), examples=1)
    assert found.duplicate_groups == 2
    assert found.examples.duplicate_groups == ((3, 0),)
    assert found.examples.test_in_training == (3,)


def test_an_empty_data_set_is_inspected() -> None:
    nothing = numbered([0], [0], [TRAINING]).select(np.zeros(1, bool))
    assert inspect(nothing).n == 0


@pytest.mark.slow
@given(datasets())
def test_counts_match_a_naive_implementation(dataset: Dataset) -> None:
    keys = [image.tobytes() for image in dataset.images]
    rows = list(zip(keys, dataset.labels.tolist(), dataset.split.tolist(), strict=True))
    held = {split: {key for key, _, where in rows if where == split} for split in SPLITS}
    labels_of = {key: {label for other, label, _ in rows if other == key and label >= 0} for key in keys}
    tests = [key for key, _, split in rows if split == PRIVATE_TEST]
    found = inspect(dataset)
    assert found.duplicate_groups == sum(count > 1 for count in Counter(keys).values())
    assert found.surplus_copies == len(keys) - len(set(keys))
    assert found.conflicting_groups == sum(len(labels) > 1 for labels in labels_of.values())
    assert found.test_in_training == sum(key in held[TRAINING] for key in tests)
    either = [key in held[TRAINING] | held[PUBLIC_TEST] for key in tests]
    assert found.test_in_training_or_validation == sum(either)
    assert (~duplicate_free(dataset)).tolist() == either


def can_spare(training: Dataset) -> bool:
    """Whether an image and its copies, all of one label, can be removed without emptying that class."""
    rows = list(zip([image.tobytes() for image in training.images], training.labels.tolist(), strict=True))
    for key in {key for key, _ in rows}:
        labels = {label for other, label in rows if other == key}
        if len(labels) == 1 and labels != {-1} and any(o != key and label in labels for o, label in rows):
            return True
    return False


@pytest.mark.slow
@given(datasets(splits=(TRAINING, PRIVATE_TEST)), st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.integers(0, 3))
def test_hold_out_moves_groups_and_keeps_every_class(dataset: Dataset, fraction: float, seed: int) -> None:
    before = dataset.split == TRAINING
    assume(before.any())
    try:
        held = hold_out(dataset, fraction, seed)
    except DataError:
        assert not can_spare(dataset.select(before))
        return
    assert can_spare(dataset.select(before))
    moved = held.split == PUBLIC_TEST
    assert moved.any()
    assert not (moved & ~before).any()
    assert (held.split[~moved] == dataset.split[~moved]).all()
    assert (held.images == dataset.images).all()
    assert inspect(held).validation_in_training == 0
    assert set(held.labels[moved]) <= set(held.labels[held.split == TRAINING])
    assert (held.labels[moved] >= 0).all()
    assert (hold_out(dataset, fraction, seed).split == held.split).all()


@pytest.mark.slow
@given(
    st.lists(st.integers(2, 13), min_size=1, max_size=3), st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 3)
)
def test_hold_out_takes_the_fraction_of_every_class(sizes: list[int], fraction: float, seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    dataset = numbered(range(len(labels)), labels, [TRAINING] * len(labels))
    moved = Counter(hold_out(dataset, fraction, seed).subset(PUBLIC_TEST).labels.tolist())
    assert [moved[label] for label in range(len(sizes))] == [max(1, round(fraction * size)) for size in sizes]


def test_another_seed_holds_out_other_images() -> None:
    dataset = numbered(range(40), [0] * 40, [TRAINING] * 40)
    assert (hold_out(dataset, seed=1).split != hold_out(dataset, seed=2).split).any()


def test_copies_are_held_out_together_even_beyond_the_fraction() -> None:
    dataset = numbered([0, 0, 0, 1, 1, 1], [0] * 6, [TRAINING] * 6)
    held = hold_out(dataset)
    assert Counter(held.split.tolist()) == {TRAINING: 3, PUBLIC_TEST: 3}
    assert inspect(held).validation_in_training == 0


def test_hold_out_returns_a_data_set_with_public_test_unchanged() -> None:
    dataset = numbered([0, 1, 2], [0, 0, 0], [TRAINING, TRAINING, PUBLIC_TEST])
    assert hold_out(dataset) is dataset


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        hold_out(numbered([0, 1], [0, 0], [TRAINING] * 2), fraction)


@pytest.mark.parametrize(
    ("images", "labels"),
    [([0, 1], [0, 1]), ([0, 0, 0], [0, 0, 0]), ([0, 0, 1], [0, 1, 2]), ([0, 1], [-1, -1])],
)
def test_hold_out_refuses_data_with_nothing_to_spare(images: list[int], labels: list[int]) -> None:
    with pytest.raises(
        DataError, match=r"faces\.csv: .* to hold some of Training out, got \d with none to spare"
    ):
        hold_out(numbered(images, labels, [TRAINING] * len(labels)))


def test_missing_splits_classes_and_labels_are_refused() -> None:
    classes = list(range(7))
    whole = numbered([*classes, 7], [*classes, 0], [*[TRAINING] * 7, PUBLIC_TEST])
    require_trainable(whole)
    with pytest.raises(
        DataError, match=r"faces\.csv: expected images of the split PublicTest, found only .*Training"
    ):
        require_trainable(whole.subset(TRAINING))
    with pytest.raises(DataError, match=r"split Training, found only those of PublicTest"):
        require_classes(whole.subset(PUBLIC_TEST))
    with pytest.raises(
        DataError, match=r"faces\.csv: .* every class in Training, found none of fear, sad\. "
    ):
        require_trainable(whole.select((whole.labels != 2) & (whole.labels != 4)))
    with pytest.raises(DataError, match=r"a label for every image of PrivateTest, got 2 without"):
        require_splits(numbered([0, 1, 2], [-1, -1, 0], [PRIVATE_TEST] * 3), (PRIVATE_TEST,))


@pytest.fixture(scope="module")
def real_dataset() -> Dataset:
    folder = SHARED / "fer2013"
    if not folder.is_dir():
        pytest.skip("the real data set is not here")
    sheets = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("*.png"))]
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    one_hot = np.eye(7, dtype=np.float32)
    return Dataset(
        np.concatenate(sheets).reshape(-1, 48, 48).astype(np.uint8),
        one_hot[[int(row["emotion"]) for row in rows]],
        np.array([row["usage"] for row in rows]),
        FER2013,
    )


@pytest.mark.slow
@pytest.mark.real
def test_inspection_of_real_fer2013_gives_the_known_counts(real_dataset: Dataset) -> None:
    found = inspect(real_dataset)
    assert (found.n, found.duplicate_groups, found.surplus_copies, found.conflicting_groups) == (
        35_887,
        1_514,
        1_851,
        57,
    )
    assert (found.test_in_training, found.test_in_training_or_validation, found.validation_in_training) == (
        288,
        314,
        279,
    )
    assert found.blank == 13
    assert {split: sum(counts.values()) for split, counts in found.splits.items()} == {
        TRAINING: 28_709,
        PUBLIC_TEST: 3_589,
        PRIVATE_TEST: 3_589,
    }
    assert duplicate_free(real_dataset).sum() == 3_275
    require_trainable(real_dataset)
