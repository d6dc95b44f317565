"""`CopyFolder`: the names of annotated copies in a folder; no copy replaces an input or the copy of another input.

folder = CopyFolder(Path("annotated"), ["a/photo.jpg", "b/photo.jpg"])
with folder.place(Original("a/photo.jpg", Path("photo.jpg")), ".png") as path:  # annotated/photo.jpg
    write_image(path, drawn)
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.ownership import free_name, made_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from mien.ownership import Guard

_KEPT_SUFFIXES = {".png": frozenset({".jpg", ".jpeg", ".png", ".webp"}), ".mp4": frozenset({".mp4"})}
"""Formats that a copy keeps, by the format used otherwise. Converted copies append the suffix: `video.webm.mp4`."""


@dataclass(frozen=True)
class Original:
    """An image or video that gets an annotated copy.

    Args:
        name: its path, or another name.
        below: the relative path of its copy.
        live: whether it is standard input or a webcam, which are different in each run.
    """

    name: str
    below: Path
    live: bool = False


class CopyFolder:
    """Names for annotated copies in a folder.

    A copy replaces only an earlier copy of the same original; if the name is taken by another file, a number is added.

    Args:
        folder: the folder; subfolders are created as needed.
        originals: the names of all originals; no copy overwrites one of them.
    """

    def __init__(self, folder: Path, originals: Iterable[str | Path]) -> None:
        self._folder = folder
        self._originals = {_identity(name) for name in originals} - {None}
        self._taken: set[Path] = set()
        self._run = secrets.token_hex(8)

    @contextmanager
    def place(self, original: Original, suffix: str, *, chart: bool = False) -> Iterator[Path]:
        """Yield the path for a copy or a chart, and record the files written in the block as made from the original.

        Args:
            original: the original.
            suffix: the format of the copy, `.png` or `.mp4`, unless it keeps that of the original.
            chart: whether this is the chart of a video.
        """
        with self.recording(original) as guard:
            wanted = self._folder / _copy_name(original.below, suffix, chart=chart)
            path = free_name(wanted, lambda at: self._is_free(at) and guard.allows(at))
            self._taken.add(path)
            yield path

    def recording(self, original: Original) -> AbstractContextManager[Guard]:
        """Within the block, files are recorded as made from the original."""
        name = f"{original.name} {self._run}" if original.live else os.path.abspath(original.name)  # noqa: PTH100 - keeps links
        return made_of(name)

    def _is_free(self, path: Path) -> bool:
        return path not in self._taken and _identity(path) not in self._originals


def _copy_name(below: Path, suffix: str, *, chart: bool) -> Path:
    """Return the name of a copy: unchanged in the same format, else with the suffix of the new format appended."""
    if chart and below.suffix.lower() == ".mp4":
        return below.with_suffix(suffix)
    if not chart and below.suffix.lower() in _KEPT_SUFFIXES[suffix]:
        return below
    return below.with_name(below.name + suffix)


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return device and inode of a file, the same under every name; `None` if there is no such file."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
