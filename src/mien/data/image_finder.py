"""Find the image files listed in a table: by their path relative to it, else by their name in the folders below it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.images import IMAGE_SUFFIXES
from mien.labels import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALIGNED = "_aligned"
"""Suffix of the file names of RAF-DB's aligned faces, which its lists omit."""


class MissingImageError(DataError):
    """A table names an image file that does not exist."""


class ImageFinder:
    """Finds the image files listed in a table: by their path relative to it, else by their name below it.

    Args:
        roots: the folders to search, in this order.
        aligned: whether the aligned face (`x_aligned.jpg`) or the photo (`x.jpg`) is used if both exist.
    """

    def __init__(self, roots: Sequence[Path], *, aligned: bool = True) -> None:
        self._roots = list(dict.fromkeys(roots))
        self._aligned = aligned
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path:
        """Return the file of that name.

        Raises:
            MissingImageError: If there is none.
            DataError: If there are several and the path does not determine which.
        """
        clean = Path(name.replace("\\", "/"))
        for root in self._roots:
            if (root / clean).is_file():
                return root / clean
        if self._by_name is None:
            self._by_name = self._index()
        images = self._by_name.get(_key(clean), [])
        if len(images) > 1:
            fitting = [file for file in images if (_ALIGNED in file.stem.casefold()) == self._aligned]
            images = fitting or images
        if len(images) == 1:
            return images[0]
        folders = ", ".join(map(str, self._roots))
        if images:
            raise DataError(
                f"expected one file {quote(name)} below {folders[-60:]}, found {len(images)}. Write its whole path."
            )
        raise MissingImageError(
            f"expected an image file {quote(name)} beside the table or below {folders[-60:]}, found none."
        )

    def _index(self) -> dict[str, list[Path]]:
        """Return the image files below the roots, by their lower-case name without suffix and `_aligned`."""
        found: dict[str, list[Path]] = {}
        files = (file for root in self._roots for file in root.rglob("*"))
        for file in dict.fromkeys(files):
            if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file():
                found.setdefault(_key(file), []).append(file)
        return found


def _key(file: Path) -> str:
    return file.stem.casefold().removesuffix(_ALIGNED)
