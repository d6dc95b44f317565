"""Data sets are validated when created, and subsets keep the rows of all arrays together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.errors import DataError
from mien.labels import FERPLUS
from tests.builders.datasets import make_dataset


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"images": np.zeros((70, 48, 47), np.uint8)},
            r"images: expected shape \(70, 48, 48\), got \(70, 48, 47\)",
        ),
        ({"images": np.zeros((70, 48, 48), np.float32)}, "images: expected uint8, got float32"),
        ({"targets": np.zeros((70, 8), np.float32)}, r"targets: expected shape \(70, 7\)"),
        ({"targets": np.full((70, 7), 0.5, np.float32)}, "rows that are distributions"),
        ({"split": np.array(["Train"] * 70)}, "split: expected Training, PublicTest, PrivateTest, got Train"),
        ({"taxonomy": FERPLUS}, r"targets: expected shape \(70, 8\), got \(70, 7\)"),
        ({"votes": np.zeros((70, 8), np.int64)}, r"votes: expected shape \(70, 10\)"),
    ],
)
def test_invalid_arrays_are_refused(dataset: Dataset, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        replace(dataset, **change)


def test_subset_keeps_images_labels_and_rows_together(dataset: Dataset) -> None:
    part = dataset.subset("PublicTest")
    assert len(part) == 14
    assert part.rows.tolist() == list(range(42, 56))
    np.testing.assert_array_equal(part.images, dataset.images[42:56])
    np.testing.assert_array_equal(part.labels, dataset.labels[42:56])


def test_subset_of_a_missing_split_names_the_split() -> None:
    only = make_dataset(14, 0, 0)
    with pytest.raises(DataError, match="of the split PrivateTest, found only Training"):
        only.subset("PrivateTest")


def test_counts_omit_empty_splits_and_include_unlabeled_images() -> None:
    dataset = make_dataset(14, 0, 7)
    targets = dataset.targets.copy()
    targets[-1] = 0
    counts = replace(dataset, targets=targets).counts()
    assert counts["Training"] == dict.fromkeys(dataset.label_set.classes, 2)
    assert counts["PrivateTest"]["unlabelled"] == 1
    assert counts["PrivateTest"]["neutral"] == 0
    assert "PublicTest" not in counts
