"""Find the image files listed in a table: by their path relative to it, else by their name in the folders below it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.images import IMAGE_SUFFIXES
from mien.labels import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALIGNED = "_aligned"
"""Suffix of the file names of RAF-DB's aligned faces, which its lists omit."""

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")

_PIXELS = re.compile(r"[\s\[]*[0-9.]+(?:[\s,]+[0-9.]+){15,}[\s\],]*")
"""16 numbers or more, which are pixels and not the name of a file."""


class MissingImageError(DataError):
    """A table names an image file that does not exist."""


class ImageFinder:
    """Finds the image files listed in a table: by their path relative to it, else by their name below it.

    A name without a folder is found in any folder. A path with folders must be the end of the path of the file, so that
    `train/0.jpg` is missing if only `test/0.jpg` exists. Absolute paths may be those of another computer: the same
    number of leading folders is ignored in all of them, and one folder must remain. Suffixes may differ.

    Args:
        roots: the folders to search, in this order.
        aligned: whether the aligned face (`x_aligned.jpg`) or the photo (`x.jpg`) is used if both exist.
    """

    def __init__(self, roots: Sequence[Path], *, aligned: bool = True) -> None:
        self._roots = list(dict.fromkeys(roots))
        self._aligned = aligned
        self._by_name: dict[str, list[Path]] | None = None
        self._ignored = 0  # leading parts of absolute paths of another computer

    def find(self, name: str) -> Path:
        """Return the file of that name.

        Raises:
            MissingImageError: If there is none.
            DataError: If there are several and the path does not determine which, or the name is a list of pixels.
        """
        clean = Path(name.replace("\\", "/"))
        for root in self._roots:
            if _is_file(root / clean):
                return root / clean
        if _PIXELS.fullmatch(name):
            raise DataError(
                f"expected the path of an image file, got pixels ({quote(name)}). Name their column pixels."
            )
        if self._by_name is None:
            self._by_name = self._index()
        named = self._by_name.get(_key(clean), [])
        images = self._at(clean, named)
        if len(images) > 1:
            fitting = [file for file in images if (_ALIGNED in file.stem.casefold()) == self._aligned]
            images = fitting or images
        if len(images) == 1:
            return images[0]
        folders = ", ".join(map(str, self._roots))[-60:]
        if images:
            raise DataError(
                f"expected one file {quote(name)} below {folders}, found {len(images)}. Write its whole path."
            )
        found = "one in another folder only. Is the path relative to the table?" if named else "none."
        raise MissingImageError(
            f"expected an image file {quote(name)} beside the table or below {folders}, found {found}"
        )

    def _at(self, path: Path, named: list[Path]) -> list[Path]:
        """Return those of the files of a name that a path can mean.

        Raises:
            DataError: If the path does not start in the same folder as those before it.
        """
        if not _ABSOLUTE.match(path.as_posix()):
            return [file for file in named if _is_below(file, path.parent.parts)]
        folders = path.parent.parts
        for ignored in range(min(len(folders), (self._ignored or len(folders)) + 1)):
            images = [file for file in named if _is_below(file, folders[ignored:])]
            if images and ignored < self._ignored:
                raise DataError(
                    f"expected absolute paths of another computer to differ from those here in their first folders, got "
                    f"{quote(path.as_posix())} beside others. Write paths relative to the table."
                )
            if images:
                self._ignored = ignored
                return images
        return []

    def _index(self) -> dict[str, list[Path]]:
        """Return the image files below the roots, by their lower-case name without suffix and `_aligned`."""
        found: dict[str, list[Path]] = {}
        files = (file for root in self._roots for file in root.rglob("*"))
        for file in dict.fromkeys(files):
            if file.suffix.lower() in IMAGE_SUFFIXES and _is_file(file):
                found.setdefault(_key(file), []).append(file)
        return found


def _key(file: Path) -> str:
    return file.stem.casefold().removesuffix(_ALIGNED)


def _is_file(path: Path) -> bool:
    """Return whether a file exists; a name that no file can have is missing, such as one that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_below(file: Path, folders: Sequence[str]) -> bool:
    """Return whether the folder of a file ends with these parts, in any case."""
    wanted = [part.casefold() for part in folders]
    parts = [part.casefold() for part in file.absolute().parent.parts]
    return not wanted or parts[-len(wanted) :] == wanted
