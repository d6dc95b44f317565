"""Divide data into splits or folds: stratified by class, reproducible, with copies and groups kept together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING, UNLABELED
from mien.data.digests import images_digest
from mien.data.inspection import without_copies
from mien.data.reading_options import SHARES
from mien.data.units import assign, units_of
from mien.errors import DataError
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset


def divide(dataset: Dataset, shares: Sequence[float] = SHARES, seed: int = 0) -> Dataset:
    """Divide data without splits into Training, PublicTest and PrivateTest.

    Each class gets the same shares. Exact copies of an image, and the images of a group (a person, a video), stay
    together. The same data, shares and seed give the same splits.

    Args:
        dataset: the data set; its splits are replaced.
        shares: shares of Training, PublicTest and PrivateTest, which sum to 1.
        seed: random seed.

    Raises:
        DataError: If a class has too few images or groups to have one in each split with a share above 0.
    """
    labels = dataset.labels
    known = labels != UNLABELED
    wanted = np.asarray(shares, np.float64)
    place = assign(dataset, wanted, seed)
    split = np.array(SPLITS)[place]
    split[~known] = TRAINING
    needed = [name for name, share in zip(SPLITS, wanted, strict=True) if share > 0]
    for name in needed:
        here = np.bincount(labels[(split == name) & known], minlength=len(dataset.label_set))
        if (here == 0).any():
            lacking = dataset.label_set.classes[int(np.flatnonzero(here == 0)[0])]
            count = int((labels == dataset.label_set.index(lacking)).sum())
            unit = "groups" if dataset.groups is not None else "different images"
            raise DataError(
                f"{dataset.source}: expected enough {unit} of every class for {_told(needed)}, found too few of "
                f"{lacking} ({counted(count, 'image')}). {_remedy(dataset, lacking, len(needed))}"
            )
    division = {"shares": [float(share) for share in wanted], "split_seed": seed}
    return replace(dataset, split=split, divided=True, division=division)


def record_division(
    training: Dataset, validation: Dataset, reading: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the record of a division for a model card, with which `divide_alike` restores the same test split.

    Args:
        training: the images used for training.
        validation: the images of the validation split.
        reading: other options for reading the data (`class_names`, `merge`, `group` and so on), JSON-serializable.

    Returns:
        Shares, seed, counts and a checksum of the images; empty for data whose splits are those of the source.
    """
    if training.division is None:
        return {}
    counts = {"training": len(training), "validation": len(validation)}
    digest = images_digest(training.images, validation.images)
    return {**(reading or {}), **training.division, **counts, "sha256": digest}


def divide_alike(dataset: Dataset, record: Mapping[str, Any], *, drop_copies: bool = False) -> Dataset | None:
    """Divide data in the same way as for a training, if they are the same data.

    Args:
        dataset: data without splits.
        record: the result of `record_division` for the training.
        drop_copies: whether the training left out copies of images of other splits.

    Returns:
        The data with the splits of the training; `None` for other data.
    """
    try:
        divided = divide(dataset, record["shares"], int(record["split_seed"]))
    except (DataError, KeyError, TypeError, ValueError):
        return None
    used = without_copies(divided) if drop_copies else divided
    parts = [used.images[used.split == split] for split in (TRAINING, PUBLIC_TEST)]
    same = [len(part) for part in parts] == [record.get("training"), record.get("validation")]
    return divided if same and images_digest(*parts) == record.get("sha256") else None


def folds_of(dataset: Dataset, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold of each image for k-fold cross-validation, int64 (n,), from 0 to `count - 1`.

    Each class is spread evenly; copies and groups stay together.

    Raises:
        DataError: If a class has fewer images or groups than there are folds.
    """
    if not 2 <= count <= 100:
        raise DataError(f"Expected 2 to 100 folds, got {count}.")
    folds = assign(dataset, np.full(count, 1 / count), seed)
    labels = dataset.labels
    for index, name in enumerate(dataset.label_set.classes):
        if len(np.unique(folds[labels == index])) < count:
            unit = "groups" if dataset.groups is not None else "different images"
            raise DataError(
                f"{dataset.source}: expected {count} or more {unit} of every class for {count} folds, found fewer of "
                f"{name}. {_remedy(dataset, name, count, 'give fewer folds')}"
            )
    return folds


def _remedy(
    dataset: Dataset, name: str, parts: int, fewer: str = "give a share of 0 to the test split"
) -> str:
    """Return the remedy for a class with too few images or groups.

    Args:
        dataset: the data.
        name: the class.
        parts: number of parts that need an image or group of the class.
        fewer: how to use fewer parts, suggested if there are at least two images or groups.
    """
    units = len(np.unique(units_of(dataset)[dataset.labels == dataset.label_set.index(name)]))
    ways = ["add images of it"]
    if len(dataset.label_set) > 2:
        ways.append("merge it into another class with `merge`")
    if 2 <= units < parts:
        ways.append(fewer)
    told = f"{', '.join(ways[:-1])} or {ways[-1]}" if len(ways) > 1 else ways[0]
    return f"{told[:1].upper()}{told[1:]}."


def _told(needed: list[str]) -> str:
    words = {TRAINING: "training", PUBLIC_TEST: "validation", PRIVATE_TEST: "test"}
    names = [words[name] for name in needed]
    return f"{', '.join(names[:-1])} and {names[-1]}"
