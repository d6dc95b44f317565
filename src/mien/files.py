"""Files that are whole or absent: written aside, then renamed into place."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.ownership import checksum_of, guard_of
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator


_PARTIAL = re.compile(r"\.mien-partial-([0-9a-f]{16})-([0-9a-f]{16})(\.[^.]*)?")
"""Names of files under way: a random number, and a checksum of it, which no other program puts into a name."""

_LONGEST_SUFFIX = 32
_UMASK = os.umask(0)  # the only way to ask for it is to set it: done once, before there are threads
os.umask(_UMASK)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to that takes the name `path` when the block ends well, and is removed when it does not.

    The temporary file lies in the same folder (made if need be) and keeps the suffix, for some writers choose
    the format by it. A reader sees the old file or the new one, never a part; so does a machine that loses
    power, for the content is on disk before the name is. What is neither a file nor a link is never replaced, and
    within `mien.ownership.guarding` no file that mien did not write.
    """
    path = Path(path)
    guard = guard_of(path)
    _require_file(path)
    if guard:
        guard.check(path)
    aside = path.with_name(_partial_name(path.suffix))
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with _naming(path):
            yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_UMASK)
        checksum = checksum_of(aside) if guard else ""
        if guard:
            guard.check(path)  # it may have come meanwhile
        aside.replace(path)
        if guard:
            guard.remember(path, checksum)
    finally:
        aside.unlink(missing_ok=True)


def _require_file(path: Path) -> None:
    """Refuse a folder, and a device such as /dev/null, which would be gone for all programs."""
    if path.exists() and not path.is_file():
        raise DataError(
            f"{quoted_path(str(path))}: expected the name of a file to write, got that of a "
            f"{'folder' if path.is_dir() else 'device'}. Name a file."
        )


def remove_leftovers(folder: str | Path) -> None:
    """Remove what `replacing` left in a folder when the process was killed; nobody may be writing there.

    Only regular files whose name holds the checksum that `replacing` puts there are removed: no link, no folder, and
    no file of anybody else that begins with a dot.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_partial(entry.name) and entry.is_file(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)


def _partial_name(suffix: str) -> str:
    number = secrets.token_hex(8)
    return f".mien-partial-{number}-{_seal(number)}{suffix if len(suffix) <= _LONGEST_SUFFIX else ''}"


def _is_partial(name: str) -> bool:
    found = _PARTIAL.fullmatch(name)
    return found is not None and found[2] == _seal(found[1])


def _seal(number: str) -> str:
    return hashlib.sha256(f"mien.files.replacing {number}".encode()).hexdigest()[:16]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say which file could not be written: a full disk names none, a closed folder the temporary one."""
    try:
        yield
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        if error.errno is not None and (named is None or _is_partial(named.name)):
            raise OSError(
                error.errno, error.strerror, str(path)
            ) from error  # PyAV's errors cannot be changed
        raise


def open_without_links(path: Path) -> FileIO:
    """Open a file that `replacing` made for writing; a link that took its name meanwhile is not followed."""
    flags = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return FileIO(os.open(path, flags), "wb")


def private_folder(path: Path) -> Path:
    """Make a folder for this user alone, or make sure that no other user can write into the one that is there.

    Raises:
        OSError: it is another user's, or others can write into it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        status = path.stat()
        if status.st_uid not in {os.geteuid(), 0}:
            raise PermissionError(errno.EPERM, "the folder belongs to another user", str(path))
        if status.st_mode & 0o022:
            raise PermissionError(
                errno.EPERM,
                f"other users can write into it; run: chmod go-w {quoted_path(str(path))}",
                str(path),
            )
    return path


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write a file whole or not at all; gives back its path."""
    with replacing(path) as aside, open_without_links(aside) as file:
        rest = memoryview(data)
        while rest:  # a disk that fills up takes a part first, and says so at the next call
            rest = rest[file.write(rest) :]
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file (UTF-8) whole or not at all; gives back its path."""
    return write_bytes(path, text.encode())


def cache_folder() -> Path:
    """`$MIEN_CACHE`, else `mien` in `$XDG_CACHE_HOME`, else in `~/.cache`.

    https://specifications.freedesktop.org/basedir-spec/latest/ has a relative `$XDG_CACHE_HOME` ignored.
    """
    if chosen := os.environ.get("MIEN_CACHE"):
        return Path(chosen).expanduser()  # a tilde is none where no shell has read it
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path("~/.cache").expanduser()) / "mien"
