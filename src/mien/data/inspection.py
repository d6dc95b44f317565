"""Inspect a data set before training: counts, duplicates, conflicting labels, blank images and missing classes.

Two images are duplicates if all their pixels are equal; images that only look similar are not counted. Nothing is
repaired. Only `hold_out` changes splits: it moves a share of Training to PublicTest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING, UNLABELED
from mien.data.requirements import require_classes, require_splits, require_trainable
from mien.data.units import assign, group_ids, shared_groups, units_of
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

__all__ = [
    "BLANK_RANGE",
    "Examples",
    "Inspection",
    "blank_images",
    "duplicate_free",
    "group_ids",
    "hold_out",
    "inspect",
    "require_classes",
    "require_splits",
    "require_trainable",
    "without_copies",
]

BLANK_RANGE = 8
"""An image is blank if its brightest and its darkest pixel differ by at most this much (of 255).

FER2013 has 13 blank images: 12 of a single gray level, and one that spans 5 levels. The next image spans 48."""


@dataclass(frozen=True)
class Examples:
    """Examples of the findings, as rows of the source counted from 0.

    Args:
        duplicate_groups: the rows of each group.
        conflicting_groups: the rows of each group whose labels differ.
        test_in_training: rows of PrivateTest.
        test_in_training_or_validation: rows of PrivateTest.
        validation_in_training: rows of PublicTest.
        blank: rows.
    """

    duplicate_groups: tuple[tuple[int, ...], ...]
    conflicting_groups: tuple[tuple[int, ...], ...]
    test_in_training: tuple[int, ...]
    test_in_training_or_validation: tuple[int, ...]
    validation_in_training: tuple[int, ...]
    blank: tuple[int, ...]


@dataclass(frozen=True)
class Inspection:
    """Counts and findings of a data set.

    Args:
        n: images.
        splits: `{split: {label: count}}`.
        duplicate_groups: number of groups of two or more images with equal pixels.
        surplus_copies: number of copies beyond the first image of each group.
        conflicting_groups: number of duplicate groups with different labels.
        test_in_training: images of PrivateTest that have a copy in Training.
        test_in_training_or_validation: images of PrivateTest that have a copy in Training or PublicTest.
        validation_in_training: images of PublicTest that have a copy in Training.
        blank: number of blank images, see `BLANK_RANGE`.
        examples: rows of each of these.
        shared_groups: number of groups (people, videos) with images in several splits; `None` for data without groups.
    """

    n: int
    splits: dict[str, dict[str, int]]
    duplicate_groups: int
    surplus_copies: int
    conflicting_groups: int
    test_in_training: int
    test_in_training_or_validation: int
    validation_in_training: int
    blank: int
    examples: Examples
    shared_groups: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as a JSON-serializable dict; `shared_groups` only for data with groups."""
        examples = {name: _to_lists(rows) for name, rows in vars(self.examples).items()}
        found = {**vars(self), "examples": examples}
        return {name: value for name, value in found.items() if name != "shared_groups" or value is not None}


def inspect(dataset: Dataset, *, examples: int = 10) -> Inspection:
    """Count the images of a data set and find problems.

    Args:
        dataset: the data set; it need not have all three splits.
        examples: maximum number of example rows or groups of each finding; the first ones are listed.
    """
    ids = group_ids(dataset.images)
    sizes = np.bincount(ids)
    repeated = np.flatnonzero(sizes > 1)
    conflicting = repeated[_labels_differ(ids, dataset.labels)[repeated]]
    training, validation, test = (dataset.split == name for name in (TRAINING, PUBLIC_TEST, PRIVATE_TEST))
    in_training = test & np.isin(ids, ids[training])
    in_either = test & np.isin(ids, ids[training | validation])
    selected_by = validation & np.isin(ids, ids[training])
    blank = blank_images(dataset.images)

    def first(found: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(dataset.rows[found][:examples].tolist())

    def first_groups(groups: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(dataset.rows[ids == group].tolist()) for group in groups[:examples])

    return Inspection(
        n=len(dataset),
        splits=dataset.counts(),
        duplicate_groups=len(repeated),
        surplus_copies=len(dataset) - len(sizes),
        conflicting_groups=len(conflicting),
        test_in_training=int(in_training.sum()),
        test_in_training_or_validation=int(in_either.sum()),
        validation_in_training=int(selected_by.sum()),
        blank=int(blank.sum()),
        examples=Examples(
            duplicate_groups=first_groups(repeated),
            conflicting_groups=first_groups(conflicting),
            test_in_training=first(in_training),
            test_in_training_or_validation=first(in_either),
            validation_in_training=first(selected_by),
            blank=first(blank),
        ),
        shared_groups=None if dataset.groups is None else len(shared_groups(dataset)),
    )


def blank_images(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which images are blank, bool (n,): their gray levels span at most `BLANK_RANGE`.

    Args:
        images: uint8 (n, height, width).
    """
    return np.asarray(images.max(axis=(1, 2)) - images.min(axis=(1, 2)) <= BLANK_RANGE)


def duplicate_free(dataset: Dataset, split: str = PRIVATE_TEST) -> NDArray[np.bool_]:
    """Return which images of a split have no copy in the other splits.

    Args:
        dataset: all splits.
        split: one of `SPLITS`.

    Returns:
        bool (images of that split,), in the order of `dataset.subset(split)`.
    """
    here = dataset.split == split
    if dataset.copied is not None:
        return np.asarray(~dataset.copied[here])
    ids = group_ids(dataset.images)
    return np.asarray(~np.isin(ids[here], ids[~here]))


def copied_elsewhere(dataset: Dataset) -> NDArray[np.bool_]:
    """Return which images have an exact copy in another split, bool (n,)."""
    ids = group_ids(dataset.images)
    found = np.zeros(len(dataset), np.bool_)
    for split in SPLITS:
        here = dataset.split == split
        found[here] = np.isin(ids[here], ids[~here])
    return found


def without_copies(dataset: Dataset) -> Dataset:
    """Return the data set without training images that have an exact copy in another split."""
    ids = group_ids(dataset.images)
    training = dataset.split == TRAINING
    return dataset.select(~training | ~np.isin(ids, ids[~training]))


def hold_out(dataset: Dataset, fraction: float = 0.1, seed: int = 0) -> Dataset:
    """Create PublicTest for a data set without it, from the same share of every class of Training.

    All copies of an image are moved together, so that no image is in both splits, and so are all images of a group (a
    person, a video). Images without a label stay in Training, and so do copies with different labels in data without
    groups, and at least one image of every class.

    Args:
        dataset: the data set. It is returned unchanged if it has a PublicTest, as FER2013 does.
        fraction: share to move, between 0 and 1; at least one image of each class if possible.
        seed: random seed.

    Raises:
        DataError: If the fraction is out of range, or there is nothing to move.
    """
    if not 0 < fraction < 1:
        raise DataError(f"Expected the fraction to hold out to be between 0 and 1, got {fraction}.")
    if (dataset.split == PUBLIC_TEST).any():
        return dataset
    training = np.flatnonzero(dataset.split == TRAINING)
    if dataset.groups is None:
        moved = _held_out_images(dataset.select(training), fraction, seed)
    else:
        moved = _held_out_groups(dataset.select(training), fraction, seed)
    if not moved.any():
        what, count = "different images", len(training)
        if dataset.groups is not None:
            what, count = "groups", len(set(dataset.groups[training].tolist()))
        raise DataError(
            f"{dataset.source}: expected enough {what} to hold some of {TRAINING} out, got "
            f"{count} with none to spare. Add {what}, or a split {PUBLIC_TEST}."
        )
    chosen = np.zeros(len(dataset), np.bool_)
    chosen[training] = moved
    return replace(dataset, split=np.where(chosen, PUBLIC_TEST, dataset.split))


def _held_out_images(training: Dataset, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which images to hold out, bool (n,): a share of each class, with copies kept together."""
    ids = group_ids(training.images)
    labels = training.labels
    mixed = _labels_differ(ids, labels + 1)  # a copy without a label counts as a different label here
    movable = ~mixed[ids] & (labels != UNLABELED)
    rng = np.random.default_rng(seed)
    moved = np.zeros(len(training), np.bool_)
    for label in range(len(training.label_set)):
        here = labels == label
        moved |= np.isin(ids, _draw_groups(ids[here & movable], int(here.sum()), fraction, rng))
    return moved


def _held_out_groups(training: Dataset, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which images to hold out, bool (n,): whole groups with about the share of each class."""
    if not len(training):
        return np.zeros(0, np.bool_)
    units, labels = units_of(training), training.labels
    moved = assign(training, np.array([1 - fraction, fraction]), seed) == 1
    for label in range(len(training.label_set)):
        here = labels == label
        if here.any() and not (here & ~moved).any():  # the only group with a class stays
            moved &= units != units[here][0]
    return np.asarray(moved & (labels != UNLABELED))


def _draw_groups(ids: NDArray[np.int64], n: int, fraction: float, rng: np.random.Generator) -> list[int]:
    """Choose groups that together contain about `fraction` of `n` images.

    Args:
        ids: the group of each image of a class that can be moved, int64 (at most n,).
        n: number of images of the class.
        fraction: share to choose.
        rng: random generator.

    Returns:
        At least one group, unless the class would have no images left.
    """
    groups, sizes = np.unique(ids, return_counts=True)
    wanted = max(1, round(fraction * n))
    order = rng.permutation(len(groups))
    order = order[np.argsort(sizes[order] > wanted, kind="stable")]  # groups that are too large come last
    spare = len(order) - (len(ids) == n)  # keep one group if the class has no other images
    chosen: list[int] = []
    for group, size in zip(groups[order][:spare].tolist(), sizes[order][:spare].tolist(), strict=True):
        if size <= wanted or not chosen:
            chosen.append(group)
            wanted -= size
    return chosen


def _labels_differ(ids: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each group whether its images have different labels; images without a label are ignored."""
    count = int(ids.max(initial=-1)) + 1
    lowest = np.full(count, np.iinfo(np.int64).max)
    highest = np.full(count, UNLABELED, np.int64)
    known = labels != UNLABELED
    np.minimum.at(lowest, ids[known], labels[known])
    np.maximum.at(highest, ids[known], labels[known])
    return np.asarray(lowest < highest)


def _to_lists(rows: Sequence[Any]) -> list[Any]:
    return [list(row) if isinstance(row, tuple) else row for row in rows]
