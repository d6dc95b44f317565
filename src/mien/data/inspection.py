"""Looks at a data set before anything is learned from it: counts, copies, contradictions, blanks, and gaps.

Two images are copies if all their pixels are equal; images that only look alike are not counted. This
room finds and tells; it repairs nothing. The one thing that it moves is a share of Training, in `hold_out`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING, UNLABELLED
from mien.data.requirements import require_classes, require_splits, require_trainable
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
"""A image is blank if its brightest and its darkest pixel are at most this far apart (of 255).

FER2013 has 13 such, 12 of one gray and one that spans 5 levels; the next image spans 48."""


@dataclass(frozen=True)
class Examples:
    """Some of what was found, by row of the source, counted from 0.

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
    """What a data set holds.

    Args:
        n: images.
        splits: `{split: {label: count}}`.
        duplicate_groups: groups of two or more images that are equal pixel by pixel.
        surplus_copies: images that could go without losing any: the copies beyond the first of each group.
        conflicting_groups: duplicate groups in which not all labels are the same.
        test_in_training: images of PrivateTest that have a copy in Training.
        test_in_training_or_validation: images of PrivateTest that have a copy in Training or PublicTest.
        validation_in_training: images of PublicTest that have a copy in Training.
        blank: images that show nothing, see `BLANK_RANGE`.
        examples: rows of each of these.
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

    def to_dict(self) -> dict[str, Any]:
        """The same as plain dicts, lists, strings and whole numbers, for JSON."""
        examples = {name: _to_lists(rows) for name, rows in vars(self.examples).items()}
        return {**vars(self), "examples": examples}


def inspect(dataset: Dataset, *, examples: int = 10) -> Inspection:
    """Count what a data set holds and what is wrong with it.

    Args:
        dataset: any, with or without all three splits.
        examples: how many rows or groups to name of each finding, the first ones.
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
    )


def group_ids(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A number for each image, the same for all its copies.

    Args:
        images: uint8 (n, ...).

    Returns:
        int64 (n,), counted from 0 in the order in which the images first appear.
    """
    # A digest of 128 bits stands for the image, so that the pixels are not held twice; two different
    # images with the same digest will not be met.
    seen: dict[bytes, int] = {}
    digests = (blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.fromiter((seen.setdefault(digest, len(seen)) for digest in digests), np.int64, len(images))


def blank_images(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which images show nothing, bool (n,): their gray levels span at most `BLANK_RANGE`.

    Args:
        images: uint8 (n, height, width).
    """
    return np.asarray(images.max(axis=(1, 2)) - images.min(axis=(1, 2)) <= BLANK_RANGE)


def duplicate_free(dataset: Dataset, split: str = PRIVATE_TEST) -> NDArray[np.bool_]:
    """Which images of a split have no copy in the other splits.

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
    """Which images have an exact copy in another split, bool (n,)."""
    ids = group_ids(dataset.images)
    found = np.zeros(len(dataset), np.bool_)
    for split in SPLITS:
        here = dataset.split == split
        found[here] = np.isin(ids[here], ids[~here])
    return found


def without_copies(dataset: Dataset) -> Dataset:
    """The data set without those training images of which another split holds an exact copy."""
    ids = group_ids(dataset.images)
    training = dataset.split == TRAINING
    return dataset.select(~training | ~np.isin(ids, ids[~training]))


def hold_out(dataset: Dataset, fraction: float = 0.1, seed: int = 0) -> Dataset:
    """Give a data set without PublicTest one: a share of Training, the same share of every class.

    All copies of a image move together, so that none is both learned and selected by. Images without a
    label and copies with different labels stay in Training, and so does at least one image of every class.

    Args:
        dataset: as it was read. One that has a PublicTest, like FER2013 proper, comes back as it is.
        fraction: the share to move, between 0 and 1; of each class at least one image, if one can go.
        seed: decides which.

    Raises:
        DataError: the fraction is out of range, or there is nothing to move.
    """
    if not 0 < fraction < 1:
        raise DataError(f"Expected the fraction to hold out to be between 0 and 1, got {fraction}.")
    if (dataset.split == PUBLIC_TEST).any():
        return dataset
    training = np.flatnonzero(dataset.split == TRAINING)
    ids = group_ids(dataset.images[training])
    labels = dataset.labels[training]
    mixed = _labels_differ(ids, labels + 1)  # one up: a copy without a label counts as another one here
    movable = ~mixed[ids] & (labels != UNLABELLED)
    rng = np.random.default_rng(seed)
    moved = np.zeros(len(training), np.bool_)
    for label in range(len(dataset.label_set)):
        here = labels == label
        moved |= np.isin(ids, _draw_groups(ids[here & movable], int(here.sum()), fraction, rng))
    if not moved.any():
        raise DataError(
            f"{dataset.source}: expected enough different images to hold some of {TRAINING} out, got "
            f"{len(training)} with none to spare. Add images, or a split {PUBLIC_TEST}."
        )
    chosen = np.zeros(len(dataset), np.bool_)
    chosen[training] = moved
    return replace(dataset, split=np.where(chosen, PUBLIC_TEST, dataset.split))


def _draw_groups(ids: NDArray[np.int64], n: int, fraction: float, rng: np.random.Generator) -> list[int]:
    """Some groups that hold `fraction` of `n` images together, as nearly as whole groups allow.

    Args:
        ids: the group of each image of a class that may move, int64 (at most n,).
        n: how many images the class has.
        fraction: the share that is wanted.
        rng: decides which.

    Returns:
        At least one group, unless that would leave the class without a image.
    """
    groups, sizes = np.unique(ids, return_counts=True)
    wanted = max(1, round(fraction * n))
    order = rng.permutation(len(groups))
    order = order[np.argsort(sizes[order] > wanted, kind="stable")]  # groups that are too large come last
    spare = len(order) - (len(ids) == n)  # one group stays where the class has no image besides
    chosen: list[int] = []
    for group, size in zip(groups[order][:spare].tolist(), sizes[order][:spare].tolist(), strict=True):
        if size <= wanted or not chosen:
            chosen.append(group)
            wanted -= size
    return chosen


def _labels_differ(ids: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each group, whether its images have different labels; those without a label do not count."""
    count = int(ids.max(initial=-1)) + 1
    lowest = np.full(count, np.iinfo(np.int64).max)
    highest = np.full(count, UNLABELLED, np.int64)
    known = labels != UNLABELLED
    np.minimum.at(lowest, ids[known], labels[known])
    np.maximum.at(highest, ids[known], labels[known])
    return np.asarray(lowest < highest)


def _to_lists(rows: Sequence[Any]) -> list[Any]:
    return [list(row) if isinstance(row, tuple) else row for row in rows]
