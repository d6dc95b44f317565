"""`Records`: rows of any source, with image, label and optional split and group, converted to a `Dataset`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.class_names import HOW_TO_ORDER, LEAVE_OUT, spell_numbers
from mien.data.cells import separate_groups
from mien.data.class_spelling import is_same_class
from mien.data.classes import choose_classes
from mien.data.dataset import TRAINING, UNLABELED, Dataset, LeftOut
from mien.data.reading_options import NO_FACE
from mien.data.splits import fill_splits
from mien.errors import DataError, MienError
from mien.images import CROP_SIZE, read_image, to_crop
from mien.labels import FER2013, LabelSet, meaning, quote
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mien.data.reading_options import ReadOptions

_LEFT_OUT = -2
_EXTENDED = (*FER2013.classes, "contempt")
"""The class order of CK+ tables in FER2013's format (ckextended.csv): FER2013's classes, then contempt."""


@dataclass(frozen=True)
class _Classes:
    """The classes of a source.

    Args:
        label_set: the classes.
        index: the class index of each row, int64 (n,); `UNLABELED` or `_LEFT_OUT` for rows without one.
        notes: sentences for the user.
        left_out: number of rows that are left out, by class.
    """

    label_set: LabelSet
    index: NDArray[np.int64]
    notes: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Records:
    """Rows of a source.

    Args:
        source: name of the source, used in messages.
        labels: for each row a word, an integer, or `None` if it has no label.
        image: function that returns the image of a row: gray or RGB uint8, the path of an image file, or its bytes. It
            may raise an error or return one; then the row is left out and reported.
        splits: the split of each row as spelled in the source, if it has splits; rows with `None` are Training.
        groups: the group of each row, if groups were requested.
        fer2013: whether numbers are in FER2013's order.
        split: the split of all rows if `splits` is `None`; `None` for data without splits.
        names: class names that the source itself defines, by number.
        files: the path of each row's image as given in the source, if images are files.
        notes: sentences about how the source was read, for the user.
    """

    source: str
    labels: Sequence[str | int | None]
    image: Callable[[int], Any]
    splits: Sequence[str | None] | None = None
    groups: Sequence[str] | None = None
    fer2013: bool = False
    split: str | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    files: Sequence[str] | None = None
    notes: tuple[str, ...] = ()

    def to_dataset(
        self, options: ReadOptions, progress: Callable[[int, int], object] | None = None
    ) -> Dataset:
        """Decode the images and decide on the classes.

        Raises:
            DataError: If a label is not a class, no image can be read, or a split is unknown.
        """
        if not len(self.labels):
            raise DataError(f"{self.source}: expected rows of images, found none.")
        split, split_notes = self._splits()
        classes = self._classes(options, split)
        label_set, index = classes.label_set, classes.index
        kept = np.flatnonzero(index != _LEFT_OUT)
        if options.crop is not None and len(kept):
            self._require_photos(int(kept[0]))
        images = np.zeros((len(kept), CROP_SIZE, CROP_SIZE), np.uint8)
        read = np.ones(len(kept), np.bool_)
        unreadable: list[str] = []
        faceless: list[str] = []
        for place, row in enumerate(kept.tolist()):
            found = self._crop(row, options)
            if isinstance(found, str):
                read[place] = False
                (faceless if found.startswith(NO_FACE) else unreadable).append(
                    found.removeprefix(f"{NO_FACE}:")
                )
            else:
                images[place] = found
            if progress is not None:
                progress(place + 1, len(kept))
        if not read.any():
            raise DataError(
                f"{self.source}: expected images, but none of the {len(kept):,} can be read. The first: "
                f"{[*unreadable, *faceless][0] if len(kept) else 'all are left out'}"
            )
        groups, group_notes = separate_groups(self.groups, self.source)
        one_hot = np.eye(len(label_set) + 1, len(label_set), dtype=np.float32)  # -1: no label
        dataset = Dataset(
            images, one_hot[index[kept]], split[kept], label_set, rows=kept, source=self.source,
            groups=None if groups is None else np.array(groups, np.str_)[kept],
            files=None if self.files is None else np.array(self.files, np.str_)[kept],
            divided=self.splits is not None or self.split is not None, fer2013_labels=self.fer2013,
            left_out=LeftOut(
                tuple(unreadable), chosen=int((index == _LEFT_OUT).sum()), without_face=tuple(faceless),
                remarks=(*self.notes, *split_notes, *classes.notes, *group_notes), classes=classes.left_out,
            ),
        )  # fmt: skip
        return dataset if read.all() else dataset.select(read)

    def _splits(self) -> tuple[NDArray[np.str_], tuple[str, ...]]:
        """Return the split of each row, and a note for the user about rows without one."""
        if self.splits is None:
            return np.full(len(self.labels), self.split or TRAINING), ()
        splits, notes = fill_splits(self.splits, self.source)
        return np.array(splits), notes

    def _classes(self, options: ReadOptions, split: NDArray[np.str_]) -> _Classes:
        numbers = {label for label in self.labels if isinstance(label, int)}
        names, notes, selected = self._names_of(numbers, options)
        words: list[str | None] = [
            None if label is None else names[label] if isinstance(label, int) else label.strip()
            for label in self.labels
        ]
        if numbers and (strange := [x for x in self.labels if isinstance(x, str) and meaning(x) is None]):
            raise DataError(
                f"{self.source}: expected labels as words or as numbers, got both ({quote(strange[0])} and "
                f"{min(numbers)}). Correct the rows."
            )
        present = [word for word in dict.fromkeys(words) if word is not None and word != LEAVE_OUT]
        training = {word for word, its in zip(words, split, strict=True) if word and its == TRAINING}
        if not present:
            wanted = options.label_set or FER2013
            codes = {None: UNLABELED, LEAVE_OUT: _LEFT_OUT}
            return _Classes(wanted, np.array([codes[word] for word in words], np.int64), notes)
        label_set = options.label_set if numbers else options.label_set_for_words
        complete = self.fer2013 and numbers and set(present) <= set(FER2013.classes) and not options.merge
        if (
            complete
            and label_set is None
            and not selected
            and (not training or training >= set(FER2013.classes))
        ):
            label_set = FER2013
        chosen = choose_classes(
            present,
            source=self.source,
            label_set=label_set,
            class_names=None if numbers and not selected else options.names_for_words,
            merge=options.merge,
            in_training=training - {LEAVE_OUT} or None,
        )
        codes = {None: UNLABELED, LEAVE_OUT: _LEFT_OUT}
        codes |= {word: _LEFT_OUT if code is None else code for word, code in chosen.index.items()}
        index = np.array([codes[word] for word in words], np.int64)
        unused = [
            word for word in words if word is not None and word != LEAVE_OUT and codes[word] == _LEFT_OUT
        ]
        return _Classes(chosen.label_set, index, (*notes, *chosen.notes), Counter(unused))

    def _names_of(
        self, numbers: set[int], options: ReadOptions
    ) -> tuple[dict[int, str], tuple[str, ...], bool]:
        """Return the class names of the numbers, notes for the user, and whether class_names only choose among them."""
        if not numbers:
            return {}, (), False
        own, notes = self._own_names(numbers)
        order = options.order if own is None else options.given_order
        if own is not None and order is not None and options.selects_from(own.values()):
            return own, (*notes, *_note_selection(self.source, own, order.names)), True
        if order is not None:
            names = dict(order.fit(numbers))
            notes = note_renamed(self.source, own, names)
        elif own is not None:
            names = own
        else:
            raise DataError(
                f"{self.source}: its labels are numbers ({spell_numbers(numbers)}), and every data set numbers the "
                f"expressions in another order. To say which, {HOW_TO_ORDER}."
            )
        if unnamed := sorted(numbers - names.keys()):
            count = Counter(self.labels)[unnamed[0]]
            raise DataError(
                f"{self.source}: found {counted(count, 'row')} with the label {unnamed[0]}, which "
                f"`class_names` does not name. Name it, or leave its images out with {LEAVE_OUT!r} in its place."
            )
        return names, notes, False

    def _own_names(self, numbers: set[int]) -> tuple[dict[int, str] | None, tuple[str, ...]]:
        """Return the class names that the source gives to its numbers, or `None`, and notes for the user."""
        if self.names:
            return dict(self.names), ()
        if not self.fer2013 or max(numbers) >= len(_EXTENDED) or not self._is_extended(numbers):
            return None, ()
        if max(numbers) < len(FER2013):
            return dict(enumerate(FER2013.classes)), ()
        note = f"{self.source}: label 7 is read as contempt, as CK+ tables in FER2013's form have it."
        return dict(enumerate(_EXTENDED)), (note,)

    def _is_extended(self, numbers: set[int]) -> bool:
        """Return whether the number 7 does not occur, or occurs in two rows or more; in a single row it is an error."""
        return max(numbers) < len(FER2013) or Counter(self.labels)[len(FER2013)] >= 2

    def _require_photos(self, row: int) -> None:
        """Check that an image is not a crop of a face already, in which a detector finds none.

        Raises:
            DataError: If it is.
        """
        try:
            image = self.image(row)
        except MienError:  # reported when it is read
            return
        if isinstance(image, np.ndarray) and max(image.shape[:2]) <= CROP_SIZE:
            raise DataError(
                f"{self.source}: expected whole photos for the face detection, got images of "
                f"{image.shape[1]}x{image.shape[0]} pixels, which are crops of faces already. Leave `detect` out."
            )

    def _crop(self, row: int, options: ReadOptions) -> NDArray[np.uint8] | str:
        """Return the crop of a row, or a sentence that explains why there is none."""
        name = f"{self.source} row {row + 1}"
        found: Any = None
        try:
            found = self.image(row)
            if isinstance(found, MienError):
                raise found
            if options.crop is not None:
                cropped = options.crop(found)
                if not isinstance(cropped, str):
                    return cropped
                where = str(found) if isinstance(found, Path) else name
                if cropped == NO_FACE:
                    return f"{NO_FACE}:{where}"
                return cropped if where in cropped else f"{where}: {cropped}"
            if isinstance(found, np.ndarray) and found.ndim == 2 and found.dtype == np.uint8:
                return to_crop(found)
            return to_crop(read_image(found))
        except MienError as error:
            where = str(found) if isinstance(found, Path) else name
            return str(error) if where in str(error) else f"{where}: {error}"


def _note_selection(source: str, own: Mapping[int, str], names: Mapping[int, str]) -> tuple[str, ...]:
    """Return a note if class names in another order than the numbers could have been meant to name the numbers."""
    if all(number in own and is_same_class(own[number], name) for number, name in names.items()):
        return ()
    told = ", ".join(f"{number}={name[:40]}" for number, name in list(own.items())[:8])
    numbered = ",".join(f"{number}={name}" for number, name in names.items())[:200]
    note = (
        f"{source}: its numbers have names already ({told}), so `class_names` chooses the classes and their order. To "
        f"give the numbers other names, write each number: {numbered}."
    )
    return (note,)


def note_renamed(source: str, own: Mapping[int, str] | None, names: Mapping[int, str]) -> tuple[str, ...]:
    """Return a note if class names give numbers another meaning than the source does.

    Args:
        source: name of the source.
        own: the names that the source gives to its numbers, if it does.
        names: the names that replace them.
    """
    other = {
        number: name for number, name in names.items()
        if own is not None and number in own and name != LEAVE_OUT and not is_same_class(own[number], name)
    }  # fmt: skip
    if own is None or not other:
        return ()
    told = ", ".join(
        f"{number} ({own[number][:40]}) is read as {name[:40]}" for number, name in list(other.items())[:8]
    )
    return (f"{source}: `class_names` replaces the names that the data give to their numbers: {told}.",)
