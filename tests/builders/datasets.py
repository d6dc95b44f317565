"""Data sets of generated images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.data.dataset import Dataset
from mien.labels import FER2013, LabelSet


def dataset_of(
    images: Any,
    labels: Sequence[int],
    splits: str | Sequence[str],
    label_set: LabelSet = FER2013,
    **fields: Any,
) -> Dataset:
    """A data set from images and class indices; the index -1 means unlabeled. One split may be given for all."""
    targets = np.eye(len(label_set) + 1, len(label_set), dtype=np.float32)[np.asarray(labels)]
    split = np.full(len(targets), splits) if isinstance(splits, str) else np.array(splits)
    return Dataset(np.asarray(images), targets, split, label_set, **fields)


def make_dataset(
    training: int = 42, validation: int = 14, test: int = 14, *, label_set: LabelSet = FER2013, seed: int = 0
) -> Dataset:
    """Random images in which bright rows show the class, so that a network has something to learn."""
    rng = np.random.default_rng(seed)
    n = training + validation + test
    labels = np.arange(n) % len(label_set)
    images = rng.integers(0, 160, (n, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[5 * label : 5 * label + 4] = 240
    split = np.repeat(["Training", "PublicTest", "PrivateTest"], [training, validation, test])
    return dataset_of(images, labels, split, label_set)
