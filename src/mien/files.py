"""Atomic file writes: write to a temporary file, then rename it.

>>> with replacing("scores.csv") as temporary:  # doctest: +SKIP
...     temporary.write_text("accuracy,0.7")
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.ownership import checksum_of, guard_of
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator


_PARTIAL = re.compile(r"\.mien-partial-([0-9a-f]{16})-([0-9a-f]{16})(\.[^.]*)?")
"""Names of temporary files: a random number and a checksum of it, so that no other program's file matches."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+:)/+", re.IGNORECASE)
"""The start of a URL, also after `Path` has removed one of its slashes; a drive of Windows has one letter."""

_LONGEST_SUFFIX = 32
_UMASK = os.umask(0)  # reading it requires setting it: done once at import, before threads start
os.umask(_UMASK)


def url_in(path: str | PurePath) -> str | None:
    """Return the URL that a path was made from, or `None` for other paths.

    `Path` changes `s3://faces/a.csv` to `s3:/faces/a.csv`, which leads to a folder named `s3:`. If there is such a
    folder, it is not a URL.

    >>> url_in(Path("s3://faces/a.csv")), url_in("C:/faces/a.csv")
    ('s3://faces/a.csv', None)
    """
    # On Windows, the text of a Path has backslashes.
    text = path.as_posix() if isinstance(path, PurePath) else str(path)
    found = _URL.match(text)
    if found is None or ("://" not in text and Path(found[1]).is_dir()):
        return None
    slashes = "///" if found[1].lower() == "file:" else "//"
    return f"{found[1]}{slashes}{text[found.end() :]}"


def path_on_disk(path: str | Path) -> Path:
    """Return the path of a file or folder to write.

    Raises:
        DataError: If it is a URL.
    """
    if url := url_in(path):
        raise DataError.from_parts(
            quoted_path(url),
            expected="a path on this machine to write to",
            received="a URL",
            remedy="Give a path here, and copy the result there afterwards.",
        )
    return Path(path)


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Create a folder; if the block fails, remove it and the parents that were created, unless they contain files."""
    path_on_disk(path)
    with removing_new_folders(path):
        path.mkdir(parents=True, exist_ok=True)
        yield


@contextmanager
def removing_new_folders(path: Path) -> Iterator[None]:
    """If the block fails, remove a folder and its parents that did not exist before, unless they contain files."""
    made = [place for place in (path, *path.parents) if not os.path.lexists(place)]
    try:
        yield
    except BaseException:
        for place in made:
            with suppress(OSError):  # it is not empty
                place.rmdir()
        raise


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path that is renamed to `path` if the block succeeds.

    If the block raises an exception, the temporary file is removed and `path` stays as it was. The temporary file is in
    the same folder (created if necessary) and has the same suffix, because some writers choose the format by it. Readers
    see the old file or the new one, never a part of it, also after a power failure: the content is flushed to disk
    before the rename. Folders and devices are never replaced, nor, within `mien.ownership.guarding`, files that mien
    did not write.

    Args:
        path: the file to write.

    Yields:
        The path of the temporary file.

    Raises:
        DataError: If `path` is a URL, a folder or a device, or a guard forbids replacing the file.
        OSError: If the file cannot be written; its `filename` is `path`.
    """
    path = path_on_disk(path)
    guard = guard_of(path)
    require_file(path)
    if guard:
        guard.check(path)
    aside = partial_path(path)
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
            guard.check(path)  # it may have been created in the meantime
        aside.replace(path)
        if guard:
            guard.remember(path, checksum)
    finally:
        aside.unlink(missing_ok=True)


def require_file(path: Path) -> None:
    """Raise an error for a folder, or a device such as /dev/null, which must not be replaced.

    Raises:
        DataError: If it is one of these.
    """
    if path.exists() and not path.is_file():
        raise DataError.from_parts(
            quoted_path(str(path)),
            expected="the path of a file to write",
            received=f"a {'folder' if path.is_dir() else 'device'}",
            remedy="Give the path of a file.",
        )


def remove_leftovers(folder: str | Path) -> None:
    """Remove temporary files that `replacing` left in a folder when a process was killed.

    Do not call it while another process writes to the folder. Only regular files whose name contains the checksum that
    `replacing` puts there are removed: no links, no folders and no hidden files of other programs.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_partial(entry.name) and entry.is_file(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Return a new path next to a file or folder, with the name of a temporary file."""
    return path.with_name(_partial_name(path.suffix))


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
    """Set the file name of an OSError to the target: errors name no file (disk full) or the temporary one."""
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
    """Open a file created by `replacing` for writing, without following a link that replaced it in the meantime."""
    flags = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return FileIO(os.open(path, flags), "wb")


def private_folder(path: Path) -> Path:
    """Create a folder for this user only, or check that no other user can write to an existing one.

    Raises:
        OSError: If it belongs to another user, or others can write to it.
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
    """Write bytes to a file atomically and return its path."""
    with replacing(path) as aside, open_without_links(aside) as file:
        rest = memoryview(data)
        while rest:  # on a full disk, the first call writes a part and the next one fails
            rest = rest[file.write(rest) :]
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file (UTF-8) atomically and return its path; bytes of file names that are not UTF-8 are escaped."""
    return write_bytes(path, text.encode(errors="backslashreplace"))


def cache_folder() -> Path:
    """Return the cache folder: `$MIEN_CACHE`, else `$XDG_CACHE_HOME/mien`, else `~/.cache/mien`.

    A relative `$XDG_CACHE_HOME` is ignored (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    if chosen := os.environ.get("MIEN_CACHE"):
        return Path(chosen).expanduser()  # for values that no shell has expanded
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path("~/.cache").expanduser()) / "mien"
