"""Walk through folders of images and sort files into images, hidden files and others."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mien.data.dataset import describe_files
from mien.data.splits import parse_split
from mien.decoding import is_image
from mien.errors import DataError
from mien.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
_HEAD_BYTES = 1024
_LISTED = 5  # maximum number of names in one sentence


@dataclass
class Rest:
    """What folders contain besides images."""

    unreadable: list[str] = field(default_factory=list)
    without_face: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    chosen: int = 0


def walk(folder: Path, rest: Rest) -> Iterator[Path]:
    """Return all images in a folder and its subfolders; symbolic links are followed."""
    seen: set[tuple[int, int]] = set()

    def note(error: OSError) -> None:
        rest.unreadable.append(f"{error.filename}: this folder cannot be opened ({error.strerror}).")

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=note):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a parent folder
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        if splits := [name for name in folders if parse_split(name)]:
            raise DataError(
                f"{Path(parent, splits[0])}: expected splits above labels (test/angry), got a split "
                "below a label. Turn the folders round."
            )
        for name in files:
            file = Path(parent, name)
            if is_hidden(name):
                continue
            if is_image_file(file):
                yield file
            else:
                rest.passed_over[file.suffix.lower()] += 1


def entries(folder: Path) -> list[Path]:
    """Return the entries of a folder.

    Raises:
        DataError: If it cannot be opened.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder of images, but it cannot be opened ({error.strerror})."
        ) from error


def subfolders(folder: Path) -> list[Path]:
    """Return the subfolders of a folder, without hidden ones."""
    return [entry for entry in entries(folder) if entry.is_dir() and not is_hidden(entry.name)]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or belongs to the operating system."""
    return name.startswith((".", "__MACOSX")) or name.lower() in _SYSTEM_FILES


def is_image_file(file: Path) -> bool:
    """Return whether a file is an image by its suffix, or by its content if the suffix is unknown."""
    return file.suffix.lower() in IMAGE_SUFFIXES or _begins_as_image(file)


def _begins_as_image(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return is_image(stream.read(_HEAD_BYTES))
    except OSError:
        return False


def found_instead(path: Path, rest: Rest) -> str:
    """Describe what was found instead of images, for the end of a message."""
    there = [entry.name for entry in entries(path) if entry.is_file() and not is_hidden(entry.name)]
    if rest.unreadable:
        return f" ({rest.unreadable[0].rstrip('.')})"
    if there:
        return f" but {', '.join(there[:_LISTED])}"
    return f" but {describe_files(rest.passed_over)}" if rest.passed_over else ""
