"""Soft labels: images whose labels are distributions over classes, one column for each class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.class_names import LEAVE_OUT
from mien.data.cells import is_one_hot
from mien.data.class_spelling import list_names
from mien.data.classes import choose_classes
from mien.errors import DataError
from mien.labels import FER2013, LabelSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Soft labels in the classes of a label set.

    Args:
        label_set: the classes.
        targets: float32 (n, classes); all zeros for an image without a label.
        words: the most probable class of each image, (n,); `None` without a label, and the name of the column, or "-",
            for an image that is left out, because a column that is not used has the largest share.
        notes: sentences about how the classes were chosen, for the user.
    """

    label_set: LabelSet
    targets: NDArray[np.float32]
    words: NDArray[np.object_]
    notes: tuple[str, ...] = ()

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the data set that was read with `words` as labels, with the distributions as targets."""
        left_out = replace(dataset.left_out, remarks=(*self.notes, *dataset.left_out.remarks))
        return replace(dataset, targets=self.targets[dataset.rows], left_out=left_out)


def is_soft(labels: NDArray[Any]) -> bool:
    """Return whether labels are distributions, floats (n, classes), and not one-hot rows."""
    return labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind == "f" and not is_one_hot(labels)


def read_soft_labels(shares: NDArray[np.floating[Any]], options: ReadOptions, source: str) -> SoftLabels:
    """Map the columns of soft labels to classes.

    Columns of the same class are added up. Columns that are left out are removed, and the rest of a row is divided by
    its sum.

    Args:
        shares: float (n, columns), rows that sum to 1, or all zeros for an image without a label.
        options: `class_names` names the columns in their order; by default they are the classes of the label set, or of
            FER2013. `label_set` and `merge` choose the classes.
        source: name of the source, used in messages.

    Raises:
        DataError: If a row is no distribution, or there is another number of columns than of names.
    """
    _require_distributions(shares, source)
    names = _column_names(shares, options, source)
    kept = [name for name in dict.fromkeys(names) if name != LEAVE_OUT]
    label_set = options.label_set or (FER2013 if options.class_names is None else None)
    chosen = choose_classes(kept, source=source, label_set=label_set, merge=options.merge)
    places = [chosen.index.get(name) for name in names]  # None: not used
    sums = np.zeros((len(shares), len(chosen.label_set)))
    for column, place in enumerate(places):
        if place is not None:
            sums[:, place] += shares[:, column]
    words = np.array(chosen.label_set.classes, object)[sums.argmax(axis=1)]
    unused = [column for column, place in enumerate(places) if place is None]
    if unused:
        rest = shares[:, unused]
        out = rest.max(axis=1) > sums.max(axis=1)
        words[out] = np.array([names[column] for column in unused], object)[rest.argmax(axis=1)][out]
        totals = sums.sum(axis=1, keepdims=True)
        sums = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
    words[shares.sum(axis=1) == 0] = None
    return SoftLabels(chosen.label_set, sums.astype(np.float32), words, chosen.notes)


def _require_distributions(shares: NDArray[np.floating[Any]], source: str) -> None:
    sums = shares.sum(axis=1, dtype=np.float64)
    right = (np.isclose(sums, 1, atol=1e-4) | (sums == 0)) & (shares >= 0).all(axis=1)
    if not right.all():
        row = int(np.flatnonzero(~right)[0])
        raise DataError(
            f"{source} row {row + 1}: expected a soft label as shares from 0 to 1 with the sum 1, got the sum "
            f"{sums[row]:g} and the lowest share {shares[row].min():g}. Divide each row by its sum."
        )


def _column_names(shares: NDArray[np.floating[Any]], options: ReadOptions, source: str) -> list[str]:
    """Return the class name of each column; "-" if it is left out."""
    columns, order = range(shares.shape[1]), options.given_order
    names: Mapping[int, str] = dict(enumerate((options.label_set or FER2013).classes))
    if order is not None:
        names = order.fit(columns)
    extra = not (order and order.counted) and len(names) > len(columns)
    if extra or not set(columns) <= names.keys():
        raise DataError(
            f"{source}: expected soft labels with a column for each of {list_names(names.values())}, got the shape "
            f"{shares.shape}. Name the columns in their order with `class_names`."
        )
    return [names[column] for column in columns]
