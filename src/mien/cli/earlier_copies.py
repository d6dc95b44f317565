"""Annotated copies of earlier runs, which `mien predict` does not process again."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mien.ownership import names_on_list, own_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class EarlierCopies:
    """The files in the folder of `--save`.

    Args:
        folder: the folder, which may not exist yet; `None` if no copies are written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.name = str(folder)
        self._folder = folder.resolve() if folder else None

    def are_in(self, folder: Path) -> bool:
        """Return whether a folder is the folder of the copies."""
        return folder.resolve() == self._folder

    def include(self, path: Path) -> bool:
        """Return whether a file or folder is in the folder of the copies, or is that folder."""
        if self._folder is None:
            return False
        place = path.resolve() if path.is_dir() else path.parent.resolve()
        return place.is_relative_to(self._folder)

    def written(self, paths: Iterable[Path]) -> set[Path]:
        """Return those of the files that are in the folder of the copies, written by mien and not changed since."""
        names: dict[Path, list[str]] = defaultdict(list)
        for path in paths:
            if path.is_file() and self.include(path):
                names[path.parent].append(path.name)
        return {folder / name for folder, some in names.items() for name in own_files(folder, some)}

    def among(self, matches: Sequence[Path]) -> set[Path]:
        """Return which of the paths that match a pattern are skipped.

        These are all paths in the folder of the copies; if the pattern matches nothing else, the files that mien wrote.
        """
        inside = {path for path in matches if self.include(path)}
        return inside if len(inside) < len(set(matches)) else self.written(inside)


def by_others(paths: Iterable[Path]) -> set[Path]:
    """Return those of the files that mien did not write, by the lists in their folders."""
    names: dict[Path, list[str]] = defaultdict(list)
    for path in paths:
        names[path.parent].append(path.name)
    return {folder / name for folder, some in names.items() for name in set(some) - names_on_list(folder)}
