"""Keep track of the files that mien wrote, so that commands replace these files and no others.

A folder with output files of mien contains a list of them, `.mien-files.jsonl`, with the name, the SHA-256 of the
content and a digest of the source of each file. A file belongs to mien as long as its content is what was written.
Files that were changed since, links, and files that are not on the list belong to the user.

>>> with guarding("Use another folder."):  # doctest: +SKIP
...     write_text("scores.json", "{}")
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path  # noqa: TC003 - a field of a dataclass
from typing import TYPE_CHECKING, NamedTuple

from mien.errors import DataError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LIST = ".mien-files.jsonl"
"""File name of the list in each folder."""

_SPARE_LINES = 200
"""Number of outdated lines after which a list is rewritten."""


class _Entry(NamedTuple):
    """An entry of a list: the checksum of a file, and the digest of its source."""

    sha256: str
    source: str | None


@dataclass(frozen=True)
class Guard:
    """Keeps `mien.files.replacing` from replacing files of the user, and lists the files that it writes.

    Args:
        force: whether files of the user may be replaced, too.
        remedy: what to do about a file that must not be replaced, as a sentence.
        folder: the folder that the guard applies to; all folders by default.
        source: digest of the source of the files; only files with the same source are replaced.
        lists: the lists read so far, by folder.
    """

    force: bool = False
    remedy: str = ""
    folder: Path | None = None
    source: str | None = None
    lists: dict[Path, dict[str, _Entry]] = field(default_factory=dict)

    def covers(self, path: Path) -> bool:
        """Return whether the guard applies to a file."""
        return self.folder is None or path.is_relative_to(self.folder)

    def allows(self, path: Path) -> bool:
        """Return whether writing to a path would not destroy a file of the user."""
        return not os.path.lexists(path) or self._is_own(path)

    def check(self, path: Path) -> None:
        """Raise an error if writing to a path would replace a file of the user.

        Raises:
            DataError: If there is such a file.
        """
        if not self.force and not self.allows(path):
            raise DataError(
                f"{quoted_path(str(path))}: this file exists, and mien did not write it or it was changed since. "
                f"{self.remedy}".rstrip(),
                remedy=self.remedy or None,
            )

    def remember(self, path: Path, checksum: str) -> None:
        """Add a file that was just written to the list of its folder."""
        entries, entry = self._entries(path.parent), _Entry(checksum, self.source)
        if entries.get(path.name) == entry:
            return
        entries[path.name] = entry
        with suppress(OSError), (path.parent / LIST).open("ab") as file:
            file.write(_line(path.name, entry))  # if this fails, the file counts as the user's

    def _is_own(self, path: Path) -> bool:
        entry = self._entries(path.parent).get(path.name)
        if entry is None or path.is_symlink() or not path.is_file():
            return False
        if self.source is not None and entry.source != self.source:
            return False
        return checksum_of(path) == entry.sha256

    def _entries(self, folder: Path) -> dict[str, _Entry]:
        if folder not in self.lists:
            self.lists[folder] = _read_list(folder / LIST)
        return self.lists[folder]


_current: ContextVar[Guard | None] = ContextVar("mien_guard", default=None)


def guard_of(path: Path) -> Guard | None:
    """Return the guard that applies to a file, if any."""
    guard = _current.get()
    return guard if guard and guard.covers(path) else None


def free_name(path: Path, allows: Callable[[Path], bool]) -> Path:
    """Return a path that may be written: the preferred one, or else one with a number appended to its stem.

    Args:
        path: the preferred path.
        allows: a function that returns whether a path may be written.
    """
    free, number = path, 2
    while not allows(free):
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free


def names_on_list(folder: Path) -> set[str]:
    """Return the names of the files that mien wrote to a folder, including the list itself."""
    return {LIST, *_read_list(folder / LIST)}


def list_files(folder: Path, names: Iterable[str]) -> None:
    """Write the list of a folder whose files were all written by mien.

    Args:
        folder: the folder.
        names: relative paths of its files, with slashes.
    """
    lines = [_line(name, _Entry(checksum_of(folder / name), None)) for name in names]
    (folder / LIST).write_bytes(b"".join(lines))


def own_files(folder: Path, names: Iterable[str]) -> set[str]:
    """Return those of the files in a folder that are on its list, and whose content is what was written."""
    entries = _read_list(folder / LIST)
    return {
        name
        for name in names
        if name in entries
        and not (folder / name).is_symlink()
        and checksum_of(folder / name) == entries[name].sha256
    }


@contextmanager
def guarding(remedy: str = "", *, folder: Path | None = None, force: bool = False) -> Iterator[Guard]:
    """Within the block, `mien.files.replacing` replaces only files that mien wrote itself.

    Args:
        remedy: what to do about a file that must not be replaced, as a sentence.
        folder: the folder that this applies to; all folders by default.
        force: whether to replace files of the user, too.
    """
    yield from _using(Guard(force, remedy, folder))


@contextmanager
def made_of(source: str) -> Iterator[Guard]:
    """Within the block, files are recorded as made from a source, and files of another source are not replaced."""
    digest = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:16]
    yield from _using(replace(_current.get() or Guard(), source=digest))


def _using(guard: Guard) -> Iterator[Guard]:
    token = _current.set(guard)
    try:
        yield guard
    finally:
        _current.reset(token)


def checksum_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(name: str, entry: _Entry) -> bytes:
    """Return a line of a list, as bytes: no codec can be looked up while the interpreter exits."""
    return json.dumps({"name": name, **entry._asdict()}).encode() + b"\n"


def _read_list(path: Path) -> dict[str, _Entry]:
    """Read a list; the last line of each file counts, and damaged lines are ignored."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}
    entries: dict[str, _Entry] = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            row = json.loads(line)
            entries[row["name"]] = _Entry(row["sha256"], row["source"])
    if len(lines) > len(entries) + _SPARE_LINES:
        with suppress(OSError):
            aside = path.with_name(f"{LIST}.{os.getpid()}")
            aside.write_bytes(b"".join(_line(*item) for item in entries.items()))
            aside.replace(path)
    return entries
