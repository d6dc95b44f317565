"""`Table`: the content of a table as arrays, and its conversion to a `Dataset`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mien.class_names import LEAVE_OUT
from mien.data.dataset import SPLITS, TRAINING, Dataset, LeftOut
from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.labels import (
    BUNDLED_LABEL_SETS,
    CUSTOM,
    FER2013,
    FERPLUS,
    MEANINGS,
    LabelSet,
    find_label_set,
    meaning,
)
from mien.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.class_names import ClassOrder

PIXELS = CROP_SIZE * CROP_SIZE

ANY_NUMBER = 100
"""Labels below this are the numbers in the table; higher ones are this plus the index of a word in `MEANINGS`."""


@dataclass(frozen=True)
class Table:
    """The content of a table as arrays, as stored in the cache.

    Args:
        images: uint8 (n, 48, 48).
        labels: int8 (n,), the number in the table; for a word, `ANY_NUMBER` plus its index in `MEANINGS`; -1 without
            a label.
        splits: uint8 (n,), index into `mien.data.dataset.SPLITS`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int8]
    splits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_words(self) -> bool:
        """Whether labels are given as words."""
        return bool((self.labels >= ANY_NUMBER).any())

    def label_set(self, order: ClassOrder | None = None) -> LabelSet:
        """Return the label set of the table: FER2013's if it contains all labels, else that of the labels that occur.

        Args:
            order: class names of the numbers; by default they are indices into FER2013's classes.
        """
        present = self._names(self.labels, order)
        training = self._names(self.labels[self.splits == SPLITS.index(TRAINING)], order)
        ours = {meaning(name) for name in FER2013.classes}
        numbered = order is None and bool(((self.labels >= 0) & (self.labels < ANY_NUMBER)).any())
        complete = not training or {meaning(name) for name in training} == ours
        if {meaning(name) for name in present} <= ours and (numbered or complete):
            return FER2013
        known = find_label_set(training or present)
        if known is not None:
            return known
        ordered = [
            name for name in FER2013.classes if meaning(name) in set(map(meaning, training or present))
        ]
        others = sorted(name for name in training or present if meaning(name) not in ours)
        classes = (*ordered, *others)
        return LabelSet(CUSTOM, classes) if len(classes) > 1 else FER2013

    def _names(self, labels: NDArray[np.int8], order: ClassOrder | None) -> set[str]:
        codes = [int(code) for code in np.unique(labels) if code >= 0]
        numbers = [code for code in codes if code < ANY_NUMBER]
        named = dict(enumerate(FER2013.classes)) if order is None else order.fit(numbers)
        names = {MEANINGS[code - ANY_NUMBER] if code >= ANY_NUMBER else named.get(code) for code in codes}
        return {name for name in names if name is not None and name != LEAVE_OUT}

    def to_dataset(self, label_set: LabelSet, source: str, order: ClassOrder | None = None) -> Dataset:
        """Convert the table to a `Dataset` with one-hot targets.

        Args:
            label_set: its classes.
            source: name of the source, used in messages.
            order: class names of the numbers; by default they are indices into the classes.

        Raises:
            DataError: If a label is not a class of the label set.
        """
        codes = np.unique(self.labels)
        numbers = [int(code) for code in codes if 0 <= code < ANY_NUMBER]
        if order is not None and not numbers:
            raise DataError(
                f"{source}: expected labels that are numbers, which `class_names` would name, found none. Leave "
                "`class_names` out."
            )
        own = label_set.classes if label_set is FERPLUS else FER2013.classes
        names = dict(enumerate(own)) if order is None else order.fit(numbers)
        index = np.full(ANY_NUMBER + len(MEANINGS) + 1, len(label_set), np.int64)  # -1: no label
        left_out = 0
        for code in codes[codes >= 0].tolist():
            name = MEANINGS[code - ANY_NUMBER] if code >= ANY_NUMBER else names.get(code)
            if name == LEAVE_OUT:
                left_out += int((self.labels == code).sum())
            else:
                index[code] = self._find(code, name, label_set, source)
        one_hot = np.eye(len(label_set) + 1, len(label_set), dtype=np.float32)
        dataset = Dataset(
            self.images, one_hot[index[self.labels]], np.array(SPLITS)[self.splits], label_set, source=source
        )
        if not left_out:
            return dataset
        kept = (self.labels < 0) | (index[self.labels] < len(label_set))
        return replace(dataset.select(kept), left_out=LeftOut(chosen=left_out))

    def _find(self, code: int, name: str | None, label_set: LabelSet, source: str) -> int:
        """Return the class index of a label."""
        n = int((self.labels == code).sum())
        count = f"{counted(n, 'row')} with the label"
        if name is None:
            raise DataError(
                f"{source}: found {count} {code}, which `class_names` does not name. Name it, or leave its "
                f"images out with {LEAVE_OUT!r} in its place."
            )
        try:
            return label_set.index(name)
        except DataError:
            label = f"{name}," if code >= ANY_NUMBER else f"{code}, {name},"
            raise DataError(
                f"{source}: found {count} {label} {lacking(name, label_set, numbered=code < ANY_NUMBER)}"
            ) from None


def lacking(name: str, label_set: LabelSet, *, numbered: bool) -> str:
    """Return the end of the message about a class that is not in a label set, with the available remedies."""
    others = [
        other.name for other in BUNDLED_LABEL_SETS.values() if meaning(name) in map(meaning, other.classes)
    ]
    ways = [f"choose `label_set={other}`, which has it" for other in others]
    ways += [f"leave its images out with {LEAVE_OUT!r} in its place in `class_names`"] if numbered else []
    ways += [] if ways else ["remove them"]
    return f"which is none of the classes of {label_set.name} ({', '.join(label_set.classes)}): {', or '.join(ways)}."
