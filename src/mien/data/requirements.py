"""Check that a data set has the splits, labels and classes that a task needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.dataset import PUBLIC_TEST, TRAINING
from mien.errors import DataError
from mien.labels import find_taxonomy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.data.dataset import Dataset
    from mien.labels import LabelSet

_WHERE_SPLITS_STAND = (
    "Splits are read from the column Usage of a table, or from the names of files or folders (train, val, test). Choose "
    "another split, or check that the data is complete."
)


def require_splits(dataset: Dataset, needed: Sequence[str]) -> None:
    """Check that each of some splits has images, all with labels.

    Raises:
        DataError: If a split has no images, or images without a label.
    """
    counts = dataset.counts()
    for split in needed:
        if split not in counts:
            raise DataError(
                f"{dataset.source}: expected images of the split {split}, found only those of "
                f"{', '.join(counts) or 'none'}. {_WHERE_SPLITS_STAND}"
            )
        if unlabeled := counts[split].get("unlabelled"):
            raise DataError(
                f"{dataset.source}: expected a label for every image of {split}, got {unlabeled} "
                "without one. Is this a table without the column emotion?"
            )


def require_classes(dataset: Dataset) -> None:
    """Check that Training has images of every class.

    Raises:
        DataError: If there are none of a class.
    """
    require_splits(dataset, (TRAINING,))
    counts = dataset.counts()[TRAINING]
    if missing := [name for name in dataset.label_set.classes if not counts[name]]:
        raise DataError(
            f"{dataset.source}: expected images of every class in {TRAINING}, found none of "
            f"{', '.join(missing)}. Add some{_other_label_set(counts, dataset.label_set)}."
        )


def _other_label_set(counts: Mapping[str, int], label_set: LabelSet) -> str:
    """Return the end of a message if the classes are exactly those of another label set; else an empty string."""
    other = find_taxonomy(name for name, count in counts.items() if count)
    return f", or choose `label_set={other.name}`" if other and other is not label_set else ""


def require_trainable(dataset: Dataset) -> None:
    """Check that a data set can be trained on: images in Training and PublicTest, and images of every class.

    Call `hold_out` first for a data set without PublicTest.

    Raises:
        DataError: If something is missing.
    """
    require_splits(dataset, (TRAINING, PUBLIC_TEST))
    require_classes(dataset)
