"""Decide which splits and classes the folders of an image folder represent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.class_names import LEAVE_OUT
from mien.data.class_spelling import renaming_notes
from mien.data.classes import choose_classes, parse_word
from mien.data.dataset import TRAINING, describe_files
from mien.data.folder_names import class_words, find_label, names_of_numbers, parse_number
from mien.data.folder_walk import Rest, found_instead, subfolders, walk
from mien.data.reading_options import ReadOptions
from mien.data.splits import parse_split
from mien.errors import DataError
from mien.labels import FERPLUS, LabelSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mien.class_names import ClassOrder

_CLASSES_LISTED = 10


@dataclass(frozen=True)
class Plan:
    """Splits and classes of the folders.

    Args:
        root: the folder that contains the splits or the classes.
        folders: for each folder that contains class folders, its split and the class folders.
        label_set: the classes.
        labels: the class index of each class folder; `None` if it is left out.
        divided: whether there are splits.
        notes: sentences for the user.
    """

    root: Path
    folders: tuple[tuple[Path, str], ...]
    label_set: LabelSet
    labels: Mapping[Path, int | None]
    divided: bool
    notes: tuple[str, ...] = ()


def make_plan(path: Path, label_set: LabelSet | None, order: ClassOrder | None, options: ReadOptions) -> Plan:
    """Decide which splits and classes the folders below a path represent."""
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of images, found {'a file' if path.exists() else 'nothing'}."
        )
    root = _skip_wrappers(path, label_set or FERPLUS)
    folders = subfolders(root)
    divided = any(parse_split(folder.name) for folder in folders)
    places = tuple((folder, _split_of(folder)) for folder in folders) if divided else ((root, TRAINING),)
    inner = {place: subfolders(place) for place, _ in places}
    named = [folder for place, _ in places for folder in inner[place]]
    numbered = any(parse_number(folder.name) is not None for folder in named)
    if not numbered and options.class_names is None and order is options.order:
        order = None  # that of a label set, which folders named by words do not need
    if label_set is not None and not options.merge:
        if options.label_set is None and options.class_names is None:  # called with both arguments
            options = ReadOptions(label_set)
        names = names_of_numbers(root, named, order)
        found = {folder: _find_label(folder, label_set, names) for folder in named}
        told = [(folder.name, place) for folder, place in found.items() if parse_number(folder.name) is None]
        notes = renaming_notes(((name, place) for name, place in told if place is not None), label_set)
        return Plan(root, places, label_set, found, divided, notes)
    words = class_words(root, named, order)
    training = [words[folder] for place, split in places if split == TRAINING for folder in inner[place]]
    chosen = [word for word in words.values() if word != LEAVE_OUT]
    if not chosen:
        raise DataError(
            f"{path}: expected images (.jpg, .png and others) in folders named for their classes, found none"
            f"{found_instead(path, _walked(root))}. Is this the right folder?"
        )
    classes = choose_classes(
        list(dict.fromkeys(chosen)),
        source=str(path),
        label_set=label_set if numbered else label_set or options.label_set_for_words,
        class_names=None if numbered else options.names_for_words,
        merge=options.merge,
        in_training=training or None,
    )
    found = {folder: classes.index.get(word) for folder, word in words.items()}
    return Plan(root, places, classes.label_set, found, divided, classes.notes)


def label_set_of_folders(path: Path, options: ReadOptions) -> LabelSet | None:
    """Return the label set of the folders below a path without reading images; `None` if there are no class folders.

    Raises:
        DataError: If the name of a folder is not a class.
    """
    if not holds_class_folders(path):
        return None
    return make_plan(path, options.label_set, options.order, options).label_set


def holds_class_folders(path: Path) -> bool:
    """Return whether a folder contains class folders rather than images."""
    root = _skip_wrappers(path, FERPLUS)
    folders = subfolders(root)
    if any(parse_split(folder.name) for folder in folders):
        folders = [inner for folder in folders for inner in subfolders(folder)]
    return len([folder for folder in folders if next(walk(folder, Rest()), None) is not None]) > 1


def _walked(folder: Path) -> Rest:
    rest = Rest()
    for _ in walk(folder, rest):
        pass
    return rest


def _find_label(folder: Path, label_set: LabelSet, names: Mapping[int, str]) -> int | None:
    try:
        return find_label(folder, label_set, names)
    except DataError as error:
        raise DataError(f"{error}{_of_other_files(folder)}") from None


def _split_of(folder: Path) -> str:
    split = parse_split(folder.name)
    if split is None:
        raise DataError(
            f"{folder}: expected a folder named train, val or test as its neighbors are, got "
            f"{folder.name!r}. Move it into one of them, or away."
        )
    return split


def _skip_wrappers(path: Path, label_set: LabelSet) -> Path:
    """Skip outer folders that contain only one folder, as in many unpacked archives."""
    while len(folders := subfolders(path)) == 1:
        only = folders[0]
        told = parse_word(only.name, label_set) is not None or parse_number(only.name) is not None
        if parse_split(only.name) or told or not subfolders(only):
            break
        path = only
    return path


def listed_classes(label_set: LabelSet) -> str:
    """Return the first class names, for a message."""
    shown = ", ".join(label_set.classes[:_CLASSES_LISTED])
    return f"{shown}, …" if len(label_set) > _CLASSES_LISTED else shown


def _of_other_files(folder: Path) -> str:
    """Describe the other folders of a folder, for the end of a message: no known class name, no images."""
    rest = Rest()
    if next(walk(folder, rest), None) is not None or not rest.passed_over:
        return ""
    hint = " Convert Parquet files to CSV, or to folders of images." if ".parquet" in rest.passed_over else ""
    return f" It holds no image, but {describe_files(rest.passed_over)}.{hint}"
