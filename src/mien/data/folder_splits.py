"""Decide which folders of an image folder are splits, and refuse layouts in which splits would become classes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mien.class_names import parse_class_names
from mien.data.classes import parse_word
from mien.data.dataset import TRAINING
from mien.data.folder_walk import is_hidden, subfolders
from mien.data.splits import splits_of_names, splits_within
from mien.errors import DataError
from mien.labels import FERPLUS, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LISTED = 5  # maximum number of names in one sentence


def splits_of_folders(folders: Sequence[Path], class_names: Any = None) -> dict[Path, str]:
    """Return the split of each folder; empty if the folders are classes.

    Folders are splits if their names say so. A single folder named like a split that contains images but no folders,
    beside others that do so too, is a class: `valid` beside `invalid`. A folder that repeats the splits next to it, as
    in some published archives (`images/train` and `images/images/train`), is left out.

    Args:
        folders: folders that are next to each other.
        class_names: the names of classes, which are no splits.

    Raises:
        DataError: If some folders are splits and others are not.
    """
    names = splits_of_names(folder.name for folder in folders)
    splits = {folder: split for folder in folders if (split := names[folder.name]) is not None}
    if not splits or _are_classes(folders, splits):
        return {}
    chosen = {name.casefold() for name in _parse(class_names)}
    if all(folder.name.casefold() in chosen for folder in splits):
        return {}
    for folder in folders:
        if folder not in splits and not _repeats(folder, splits):
            raise DataError(
                f"{folder}: expected a folder named train, val or test as its neighbors are, got "
                f"{quote(folder.name)}. Move it into one of them, or away; or give `class_names` to use them as classes."
            )
    return splits


def _repeats(folder: Path, splits: Iterable[Path]) -> bool:
    """Return whether a folder contains the same files as the splits next to it, by their paths and sizes."""
    return all((folder / split.name).is_dir() for split in splits) and all(
        _sizes(folder / split.name) == _sizes(split) for split in splits
    )


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _parse(class_names: Any) -> tuple[str, ...]:
    try:
        return () if class_names is None else parse_class_names(class_names)
    except DataError:  # names of numbers, which begin at another number than 0
        return ()


def _are_classes(folders: Sequence[Path], splits: dict[Path, str]) -> bool:
    """Return whether folders of which some are named like a split are classes."""
    if len(splits) == len(folders) or len(splits) > 1 or TRAINING in splits.values():
        return False
    return not any(_names_of_subfolders(folder) for folder in folders)


def require_classes_above(root: Path, folders: Sequence[Path]) -> None:
    """Check that folders that will become classes are not splits, people or videos with class folders below.

    Args:
        root: the folder that contains them.
        folders: the class folders.

    Raises:
        DataError: If two of them have the same subfolders and these are expressions, or are named like splits.
    """
    apart = {folder: splits_within(folder.name) for folder in folders}
    inner = {folder: set(_names_of_subfolders(folder)) for folder in folders}
    repeated = set.union(set(), *inner.values())
    for names in inner.values():
        repeated &= names
    named = ", ".join(folder.name for folder in folders[:_LISTED])
    if len(folders) < 2:
        return
    if len(set.union(*apart.values())) > 1 or (len(repeated) > 1 and any(apart.values())):
        raise DataError(
            f"{root}: expected folders of classes, found folders that seem to be splits ({named[:80]}). Name them "
            "train, val and test, each with the folders of the classes in it; or give `class_names` to use them as "
            "classes."
        )
    if len({parse_word(name, FERPLUS) for name in repeated} - {None}) > 1:
        raise DataError(
            f"{root}: expected folders of classes, found folders ({named[:80]}) that each contain the classes "
            f"{', '.join(sorted(repeated)[:_LISTED])[:80]}. Put the folders of the classes above them; or give "
            "`class_names` to use them as classes."
        )


def _names_of_subfolders(folder: Path) -> list[str]:
    """Return the names of the subfolders of a folder, without those that are hidden or contain nothing."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]
    except OSError:  # walking the folder reports the error
        return []
    return found


def has_splits(folders: Sequence[Path]) -> bool:
    """Return whether one of some folders is a split."""
    try:
        return bool(splits_of_folders(folders))
    except DataError:
        return True


def class_folders(root: Path) -> list[Path]:
    """Return the class folders below a folder, of all splits."""
    folders = subfolders(root)
    if has_splits(folders):
        return [inner for folder in folders for inner in subfolders(folder)]
    return folders
