"""`Table`: the content of a table as arrays, and its conversion to a `Dataset`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.class_names import LEAVE_OUT
from mien.data.class_spelling import renaming_notes
from mien.data.dataset import SPLITS, TRAINING, Dataset, LeftOut
from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.labels import (
    BUNDLED_LABEL_SETS,
    CUSTOM,
    EXPRESSION_WORDS,
    FER2013,
    FERPLUS,
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
"""Labels below this are the numbers in the table; higher ones are this plus the index of a word in
`EXPRESSION_WORDS`."""


@dataclass(frozen=True)
class Table:
    """The content of a table as arrays, as stored in the cache.

    Args:
        images: uint8 (n, 48, 48).
        labels: int8 (n,), the number in the table; for a word, `ANY_NUMBER` plus its index in `EXPRESSION_WORDS`; -1
            without a label.
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

    @property
    def has_numbers(self) -> bool:
        """Whether labels are given as numbers."""
        return bool(((self.labels >= 0) & (self.labels < ANY_NUMBER)).any())

    @property
    def has_synonyms(self) -> bool:
        """Whether several words of one expression occur, such as `calm` and `neutral`, which may be two classes."""
        words = [_word_of(int(code)) for code in np.unique(self.labels) if code >= ANY_NUMBER]
        return len(set(map(meaning, words))) < len(words)

    def label_set(self, order: ClassOrder | None = None) -> LabelSet:
        """Return the label set of the table: FER2013's if it contains all labels, else that of the labels that occur.

        Args:
            order: class names of the numbers; by default they are indices into FER2013's classes.
        """
        present = self._names(self.labels, order)
        training = self._names(self.labels[self.splits == SPLITS.index(TRAINING)], order)
        if len({meaning(name) or name for name in present}) < len(present):  # such as calm and neutral
            return LabelSet(CUSTOM, tuple(sorted(training or present)))
        ours = {meaning(name) for name in FER2013.classes}
        numbered = order is None and self.has_numbers
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
        words = {meaning(_word_of(code)) for code in codes if code >= ANY_NUMBER}
        names = {named.get(number) for number in numbers} - {None, LEAVE_OUT}
        return {name for name in words | {name for name in names if meaning(name or "") not in words} if name}

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
        # Next to words, numbers are in FER2013's order; else they may be indices into the classes of FER+.
        own = label_set.classes if label_set is FERPLUS and not self.has_words else FER2013.classes
        names = dict(enumerate(own)) if order is None else order.fit(numbers)
        index = np.full(ANY_NUMBER + len(EXPRESSION_WORDS) + 1, len(label_set), np.int64)  # -1: no label
        left_out, renamed = 0, []
        for code in codes[codes >= 0].tolist():
            name = _word_of(code) if code >= ANY_NUMBER else names.get(code)
            if name == LEAVE_OUT:
                left_out += int((self.labels == code).sum())
            else:
                index[code] = self._find(code, name, label_set, source)
                if code >= ANY_NUMBER:
                    renamed.append((_word_of(code), int(index[code])))
        one_hot = np.eye(len(label_set) + 1, len(label_set), dtype=np.float32)
        dataset = Dataset(
            self.images, one_hot[index[self.labels]], np.array(SPLITS)[self.splits], label_set, source=source,
            left_out=LeftOut(chosen=left_out, remarks=renaming_notes(renamed, label_set)),
        )  # fmt: skip
        kept = (self.labels < 0) | (index[self.labels] < len(label_set))
        return dataset.select(kept) if left_out else dataset

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
            name = meaning(name) or name
            label = f"{name}," if code >= ANY_NUMBER else f"{code}, {name},"
            raise DataError(
                f"{source}: found {count} {label} {lacking(name, label_set, numbered=code < ANY_NUMBER)}"
            ) from None


def _word_of(code: int) -> str:
    """Return the word of a label at or above `ANY_NUMBER`."""
    return EXPRESSION_WORDS[code - ANY_NUMBER]


def lacking(name: str, label_set: LabelSet, *, numbered: bool) -> str:
    """Return the end of the message about a class that is not in a label set, with the available remedies."""
    others = [
        other.name for other in BUNDLED_LABEL_SETS.values() if meaning(name) in map(meaning, other.classes)
    ]
    ways = [f"choose `label_set={other}`, which has it" for other in others]
    ways += [f"leave its images out with {LEAVE_OUT!r} in its place in `class_names`"] if numbered else []
    ways += [] if ways else ["remove them"]
    return f"which is none of the classes of {label_set.name} ({', '.join(label_set.classes)}): {', or '.join(ways)}."
