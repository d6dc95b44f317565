"""Which files mien wrote itself: a command replaces those and no others.

A folder in which a command wrote files holds a list of them, `.mien-files.jsonl`: for each its name, the SHA-256 of
its content and a digest of what it was made of. A file is ours for as long as its content is what was written. One that
was changed since, that is a link, or that the list does not name belongs to the user.
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
    from collections.abc import Callable, Iterator

LIST = ".mien-files.jsonl"
"""The name of the list in each folder."""

_SPARE_LINES = 200
"""Lines of a list that later ones have replaced, past which it is written anew."""


class _Entry(NamedTuple):
    """What a list says of a file: its checksum, and what it was made of."""

    sha256: str
    source: str | None


@dataclass(frozen=True)
class Guard:
    """Keeps `mien.files.replacing` from replacing what mien did not write, and lists what it writes.

    Args:
        force: whether other files may be replaced too.
        remedy: what to do about a file that may not.
        folder: where this holds; everywhere by default.
        source: what the files are made of; only a file that was made of the same is replaced.
        lists: the lists read so far, by folder.
    """

    force: bool = False
    remedy: str = ""
    folder: Path | None = None
    source: str | None = None
    lists: dict[Path, dict[str, _Entry]] = field(default_factory=dict)

    def covers(self, path: Path) -> bool:
        """Whether this holds for a file."""
        return self.folder is None or path.is_relative_to(self.folder)

    def allows(self, path: Path) -> bool:
        """Whether a file may be written there without the loss of one that is not ours."""
        return not os.path.lexists(path) or self._is_ours(path)

    def check(self, path: Path) -> None:
        """Refuse to replace a file that is not ours.

        Raises:
            DataError: there is such a file.
        """
        if not self.force and not self.allows(path):
            raise DataError(
                f"{quoted_path(str(path))}: there is a file of that name already, which mien did not write or which was "
                f"changed since. {self.remedy}".rstrip()
            )

    def remember(self, path: Path, checksum: str) -> None:
        """Put a file that was just written on the list of its folder."""
        entries, entry = self._entries(path.parent), _Entry(checksum, self.source)
        if entries.get(path.name) == entry:
            return
        entries[path.name] = entry
        with suppress(OSError), (path.parent / LIST).open("a", encoding="ascii") as file:
            file.write(_line(path.name, entry))  # where that fails, the file counts as the user's

    def _is_ours(self, path: Path) -> bool:
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
    """The guard that is in force for a file, if any."""
    guard = _current.get()
    return guard if guard and guard.covers(path) else None


def free_name(path: Path, allows: Callable[[Path], bool]) -> Path:
    """A path where a file may be written: the one that is wanted, or where that may not be, one with a number.

    Args:
        path: the one that is wanted.
        allows: whether a file may be written to a path.
    """
    free, number = path, 2
    while not allows(free):
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free


def names_on_list(folder: Path) -> set[str]:
    """The names of the files in a folder that mien wrote there, and of the list of them."""
    return {LIST, *_read_list(folder / LIST)}


@contextmanager
def guarding(remedy: str = "", *, folder: Path | None = None, force: bool = False) -> Iterator[Guard]:
    """While this lasts, `mien.files.replacing` replaces only files that mien wrote itself.

    Args:
        remedy: what to do about a file that may not be replaced, as a sentence.
        folder: where this holds; everywhere by default.
        force: replace other files too.
    """
    yield from _using(Guard(force, remedy, folder))


@contextmanager
def made_of(source: str) -> Iterator[Guard]:
    """While this lasts, files are written that are made of a source; those of another source are not replaced."""
    digest = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:16]
    yield from _using(replace(_current.get() or Guard(), source=digest))


def _using(guard: Guard) -> Iterator[Guard]:
    token = _current.set(guard)
    try:
        yield guard
    finally:
        _current.reset(token)


def checksum_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(name: str, entry: _Entry) -> str:
    return json.dumps({"name": name, **entry._asdict()}) + "\n"


def _read_list(path: Path) -> dict[str, _Entry]:
    """What a list says, the latest line on each file; lines that are damaged say nothing."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    entries: dict[str, _Entry] = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            entries[row["name"]] = _Entry(row["sha256"], row["source"])
    if len(lines) > len(entries) + _SPARE_LINES:
        with suppress(OSError):
            aside = path.with_name(f"{LIST}.{os.getpid()}")
            aside.write_text("".join(_line(*item) for item in entries.items()), encoding="ascii")
            aside.replace(path)
    return entries
