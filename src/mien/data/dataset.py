"""`Dataset`: face images with labels, splits and other data for each image, validated when it is created."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.html_table import html_table
from mien.images import CROP_SIZE
from mien.labels import LabelSet, quote
from mien.renamed import renamed_fields
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TRAINING, PUBLIC_TEST, PRIVATE_TEST = "Training", "PublicTest", "PrivateTest"
SPLITS = (TRAINING, PUBLIC_TEST, PRIVATE_TEST)
"""The published splits: for training, for model selection (validation), and for the final test."""

_LISTED = 8  # maximum number of file suffixes in one sentence

UNLABELED = -1
"""The label of an image whose expression is not given, as in the competition's `test.csv`."""

UNLABELLED = UNLABELED
"""Former name of `UNLABELED`."""


@dataclass(frozen=True)
class LeftOut:
    """What a source contains besides the images of the data set.

    Args:
        unreadable: a sentence for each image that cannot be read, starting with its path.
        passed_over: number of files that are not images, by suffix (`""` for none).
        tables: tables that were not read.
        chosen: number of images that the class names or the label set leave out.
        classes: number of these images by class, for classes with a name.
        remarks: other sentences about how the source was read, for the user.
        without_face: paths of the photos in which no face was detected.
    """

    unreadable: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    chosen: int = 0
    remarks: tuple[str, ...] = ()
    without_face: tuple[str, ...] = ()
    classes: Mapping[str, int] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Sentences about everything except the unreadable images, which are listed separately."""
        notes = list(self.remarks)
        if self.without_face:
            named = ", ".join(name[-60:] for name in self.without_face[:_LISTED])
            more = ", …" if len(self.without_face) > _LISTED else ""
            notes.append(
                f"{counted(len(self.without_face), 'photo has', 'photos have')} no face that was found: {named}{more}."
            )
        if known := sum(self.classes.values()):
            counts = describe_counts(self.classes)
            notes.append(
                f"{counted(known, 'image was', 'images were')} left out, because these classes are not used: {counts}."
            )
        if (unnamed := self.chosen - known) > 0:
            notes.append(f"{counted(unnamed, 'image was', 'images were')} left out, as the class names say.")
        if self.tables:
            notes.append(f"Other tables in the folder were not read: {', '.join(self.tables)}.")
        if count := sum(self.passed_over.values()):
            what = counted(count, "file that is not an image", "files that are not images")
            notes.append(f"{what} skipped ({describe_files(self.passed_over)}).")
        return notes


def describe_counts(counts: Mapping[str, int]) -> str:
    """Format numbers of images by class: `happy 12, sad 3`."""
    told = [f"{name[:40]} {count:,}" for name, count in list(counts.items())[:_LISTED]]
    return ", ".join([*told, "…"] if len(counts) > _LISTED else told)


def describe_files(passed_over: Mapping[str, int]) -> str:
    """Format the number of files by suffix: `.txt 3, .db 1`."""
    ordered = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{ending or 'without ending'} {count:,}" for ending, count in ordered[:_LISTED]]
    return ", ".join([*named, "others"] if len(ordered) > _LISTED else named)


@renamed_fields(taxonomy="label_set")
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Face images with their expressions and splits, one row per image.

    Args:
        images: gray uint8 (n, 48, 48).
        targets: float32 (n, classes); each row a distribution over the label set's classes (one-hot for hard
            labels), or all zeros for an image without a label.
        split: str (n,), each one of `SPLITS`.
        label_set: the classes, in the order of the columns of `targets`.
        votes: the raw FER+ votes, int64 (n, 10), if there are any.
        rows: int64 (n,), the row of each image in its source, counted from 0; `0..n-1` by default.
        source: name of the source, used in messages and model cards.
        left_out: what the source contains besides the images.
        sources: str (n,), the collection that each image belongs to, if the source names it.
        groups: str (n,), the person or video that each image shows, if the source names it.
        files: str (n,), the path of each image as given in the source (relative to its folder, or in its table), if
            images are files.
        copied: bool (n,), whether another split of the complete source contains an exact copy of the image; set if
            images were removed, such as those without a majority in FER+, so that comparing the rest would miss copies.
        divided: whether there are splits; `False` if the source has none and all images are Training.
        division: the `shares` and `split_seed` used to divide a source without splits; `None` if the splits are those
            of the source.
        fer2013_labels: whether the labels are FER2013's own: those of its table, of drawn faces, or numbers in arrays
            without class names. By default, `mien.evaluate` then predicts with the label set `fer2013`.

    Raises:
        DataError: If shapes, types or values are invalid or do not match.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    split: NDArray[np.str_]
    label_set: LabelSet
    votes: NDArray[np.int64] | None = None
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    source: str = "memory"
    left_out: LeftOut = field(default_factory=LeftOut)
    sources: NDArray[np.str_] | None = None
    groups: NDArray[np.str_] | None = None
    files: NDArray[np.str_] | None = None
    copied: NDArray[np.bool_] | None = None
    divided: bool = True
    division: Mapping[str, Any] | None = None
    fer2013_labels: bool = False

    def __post_init__(self) -> None:
        self._require_arrays()
        n = len(self.images)
        if self.rows.size == 0 and n:
            object.__setattr__(self, "rows", np.arange(n, dtype=np.int64))
        shapes = {
            "images": (self.images.shape, (n, CROP_SIZE, CROP_SIZE)),
            "targets": (self.targets.shape, (n, len(self.label_set))),
            "split": (self.split.shape, (n,)),
            "rows": (self.rows.shape, (n,)),
        }
        if self.votes is not None:
            shapes["votes"] = (self.votes.shape, (n, 10))
        for name in ("sources", "groups", "files", "copied"):
            if (names := getattr(self, name)) is not None:
                shapes[name] = (names.shape, (n,))
        for name, (actual, expected) in shapes.items():
            if actual != expected:
                raise DataError(f"Dataset {name}: expected shape {expected}, got {actual}.")
        if self.images.dtype != np.uint8:
            raise DataError(f"Dataset images: expected uint8, got {self.images.dtype}.")
        if unknown := set(np.unique(self.split)) - set(SPLITS):
            raise DataError(f"Dataset split: expected {', '.join(SPLITS)}, got {', '.join(sorted(unknown))}.")
        sums = self.targets.sum(axis=1)
        if not (np.isclose(sums, 1, atol=1e-4) | (sums == 0)).all() or (self.targets < 0).any():
            raise DataError(
                "Dataset targets: expected rows that are distributions (or all zeros for no label)."
            )

    def _require_arrays(self) -> None:
        for name in ("images", "targets", "split", "rows", "votes"):
            value = getattr(self, name)
            if not (isinstance(value, np.ndarray) and value.ndim) and not (name == "votes" and value is None):
                raise DataError(f"Dataset {name}: expected a NumPy array, got {type(value).__name__}.")
        if not isinstance(self.label_set, LabelSet):
            raise DataError(
                f"Dataset label_set: expected a mien.LabelSet, got {type(self.label_set).__name__}."
            )
        if self.split.dtype.kind != "U":
            raise DataError(f"Dataset split: expected an array of texts, got {self.split.dtype}.")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        present = ", ".join(f"{name} {int((self.split == name).sum()):,}" for name in SPLITS)
        what = f"{counted(len(self), 'image')} from {self.source[-80:]}"
        return f"<Dataset of {what}, {counted(len(self.label_set), 'class', 'classes')}: {present}>"

    def _repr_html_(self) -> str:
        counts = self.counts()
        names = dict.fromkeys(name for column in counts.values() for name in column)
        rows = [(name, *(f"{column.get(name, 0):,}" for column in counts.values())) for name in names]
        return html_table(
            rows, ("class", *counts), title=f"{counted(len(self), 'image')} from {self.source[-80:]}"
        )

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of the most probable class of each image, int64 (n,); `UNLABELED` (-1) without a label."""
        labels: NDArray[np.int64] = self.targets.argmax(axis=1).astype(np.int64)
        labels[self.targets.sum(axis=1) == 0] = UNLABELED
        return labels

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Dataset:
        """Return the rows selected by a mask, an index array or a slice, in that order."""
        return replace(
            self,
            images=self.images[which],
            targets=self.targets[which],
            split=self.split[which],
            votes=None if self.votes is None else self.votes[which],
            rows=self.rows[which],
            sources=None if self.sources is None else self.sources[which],
            groups=None if self.groups is None else self.groups[which],
            files=None if self.files is None else self.files[which],
            copied=None if self.copied is None else self.copied[which],
        )

    def subset(self, split: str) -> Dataset:
        """Return the rows of one split.

        Raises:
            DataError: If the split has no images.
        """
        if not isinstance(split, str) or split not in SPLITS:
            raise DataError(f"Expected the split to be one of {', '.join(SPLITS)}, got {quote(split)}.")
        chosen = self.split == split
        if not chosen.any():
            present = ", ".join(name for name in SPLITS if (self.split == name).any())
            raise DataError(
                f"{self.source}: expected images of the split {split}, found only {present or 'none'}."
            )
        return self.select(chosen)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images by split and class: `{split: {label: count}}`, without empty splits."""
        labels = self.labels
        table: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            here = labels[self.split == split]
            if here.size:
                table[split] = {name: int((here == i).sum()) for i, name in enumerate(self.label_set.classes)}
                if unlabeled := int((here == UNLABELED).sum()):
                    table[split]["unlabelled"] = unlabeled
        return table
