"""Find the images and the labels of each split among named arrays, such as `x_train` and `y_train`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mien.data.class_spelling import list_names
from mien.data.dataset import SPLITS, TRAINING
from mien.data.splits import parse_split, splits_of_names
from mien.errors import DataError
from mien.labels import quote
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Collection

Pair = tuple[str | None, str, str]
"""The split of two arrays, and the names of the arrays of its images and of its labels."""

_KINDS = {
    "images": frozenset(
        {"x", "image", "images", "pixel", "pixels", "data", "face", "faces", "img", "imgs"}
    ),
    "labels": frozenset(
        {"y", "label", "labels", "target", "targets", "emotion", "emotions", "expression", "expressions", "classes"}
    ),
}  # fmt: skip
"""Words for images and for labels in the names of arrays."""

_OTHER = {"images": "labels", "labels": "images"}

_EXPECTED = "images and labels: arrays called images and labels, x and y, or x_train, y_train, x_val, y_val …"


def find_pairs(
    names: Collection[str], source: str, others: Collection[str] = ()
) -> tuple[list[Pair], tuple[str, ...]]:
    """Return the arrays of images with those of their labels, by split, and notes about arrays that are not read.

    Args:
        names: the names of all arrays.
        source: name of the source, used in messages.
        others: names of arrays that are read as something else, such as splits.

    Raises:
        DataError: If there are none, or two pairs for one split.
    """
    parsed = {name: found for name in names if name not in others and (found := _parse(name)) is not None}
    splits = splits_of_names({word for word, _ in parsed.values() if word}) | {"": None}
    kinds = {name: (splits[word], kind) for name, (word, kind) in parsed.items()}
    pairs: list[Pair] = []
    for split in (None, *SPLITS):
        of_split = {name: its for name, its in parsed.items() if kinds[name][0] == split}
        pairs += [(split, *pair) for pair in _pairs_of_split(of_split, split, source)]
    if not pairs:
        raise DataError(f"{source}: expected {_EXPECTED}; got {quote(', '.join(names))}.")
    unread = [name for name in names if name not in others]
    return _with_split_of_unnamed(pairs, source), _notes(unread, kinds, pairs, source)


def _parse(name: str) -> tuple[str, str] | None:
    """Return the split in the name of an array, "" without one, and `images` or `labels`; `None` for other names.

    >>> _parse("x_dev"), _parse("trainLabels"), _parse("Public_Test_images"), _parse("test"), _parse("x_mean")
    (('dev', 'images'), ('train', 'labels'), ('publictest', 'images'), ('test', 'images'), None)
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).casefold()
    words = re.findall(r"[^\W_]+", spaced)
    words = re.sub(r"\b(public|private) test\b", r"\1test", " ".join(words)).split()
    splits = [word for word in words if parse_split(word)]
    rest = [word for word in words if word not in splits] or (["x"] if splits else [])
    kind = next((kind for kind, known in _KINDS.items() if len(rest) == 1 and rest[0] in known), None)
    return None if kind is None or len(splits) > 1 else ("".join(splits), kind)


def _pairs_of_split(
    parsed: dict[str, tuple[str, str]], split: str | None, source: str
) -> list[tuple[str, str]]:
    """Return the arrays of images and of labels of one split: none or one of each.

    Raises:
        DataError: If there are more, such as `x_val`, `y_val`, `x_dev` and `y_dev`.
    """
    images, labels = (
        {word: name for name, (word, its) in reversed(parsed.items()) if its == kind} for kind in _KINDS
    )
    pairs = [(images[word], labels[word]) for word in sorted(images.keys() & labels.keys())]
    if not pairs and len(images) == len(labels) == 1:  # x_val and y_validation
        pairs = list(zip(images.values(), labels.values(), strict=True))
    if len(pairs) > 1:
        raise _two_pairs(pairs, split, source)
    return pairs


def _with_split_of_unnamed(pairs: list[Pair], source: str) -> list[Pair]:
    """Return the pairs; one without a split is Training if others have splits, as in `x, y, x_test, y_test`."""
    (split, images, labels), *others = pairs
    if split is not None or not others:
        return pairs
    if training := [(its_images, its_labels) for its, its_images, its_labels in others if its == TRAINING]:
        raise _two_pairs([(images, labels), *training], TRAINING, source)
    return [(TRAINING, images, labels), *others]


def _two_pairs(pairs: list[tuple[str, str]], split: str | None, source: str) -> DataError:
    both = " and ".join(f"{images}, {labels}" for images, labels in pairs[:2])
    return DataError(
        f"{source}: expected one array of images and one of labels for {split}, found {both}. Remove one of the two "
        "pairs, or give the other splits names such as x_val and x_test."
    )


def _notes(
    names: Collection[str],
    kinds: dict[str, tuple[str | None, str]],
    pairs: list[Pair],
    source: str,
) -> tuple[str, ...]:
    """Return notes about the arrays that are not read.

    Args:
        names: the names of all arrays, without those that are read as something else.
        kinds: the split and the kind, images or labels, of the arrays that have one.
        pairs: the arrays that are read.
        source: name of the source, used in the notes.
    """
    read = {(split, kind): name for split, *pair in pairs for kind, name in zip(_KINDS, pair, strict=True)}
    notes, unknown = [], []
    for name in names:
        if name in read.values():
            continue
        if name not in kinds:
            unknown.append(name)
        elif kinds[name] in read:
            kind = kinds[name][1]
            notes.append(f"{source}: {name} is not read, because {read[kinds[name]]} is read as the {kind}.")
        else:
            lacking = _OTHER[kinds[name][1]]
            notes.append(f"{source}: {name} is not read, because there are no {lacking} for it.")
    if unknown:
        what = counted(len(unknown), "array is", "arrays are")
        notes.append(f"{source}: {what} not read: {list_names(unknown)}.")
    return tuple(notes)
