"""Cache the arrays of tables, keyed by the checksum of the files.

The key is the SHA-256 of the bytes of the files, so an entry cannot be stale: a changed file, even with the same size
and time, has another key. An entry starts with the SHA-256 of the rest, so damage is detected. If anything goes wrong
with the cache, the table is read without it.

An entry is `<key>.cache`: digest (32 bytes), the line `mien <format> <key>`, then images, labels and splits. The
folder may contain other files: a file is removed only if its name and that line identify it as an entry, or as the
beginning of one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.data.fer2013.reader import read_arrays
from mien.data.fer2013.table import PIXELS, Table
from mien.data.splits import split_of_table
from mien.errors import DataError
from mien.files import cache_folder, private_folder
from mien.images import CROP_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.fer2013.reader import Progress

FORMAT = 3
"""Version of the cache format. Increase it if the same file would give other arrays, or if the layout changes."""

KEPT_ENTRIES = 8
"""Maximum number of entries; the newest are kept. An entry of FER2013 takes 83 MB of disk space, like its arrays."""

_DIGEST_BYTES = hashlib.sha256().digest_size
_ENTRY_NAME = re.compile(r"([0-9a-f]{64})\.cache")
_PART_NAME = re.compile(r"(?:mien-|tmp)[a-z0-9_]{8}\.part")  # the second is the pattern of older versions
_MARK = re.compile(rb"mien [0-9]{1,6} ([0-9a-f]{64})\n")
_ABANDONED_SECONDS = 3600.0  # a temporary file older than an hour was left by a process that was killed

logger = logging.getLogger(__name__)


def _default_folder() -> Path | None:
    try:
        return cache_folder()
    except RuntimeError as error:  # a user without a home folder, as in some containers
        logger.warning("There is no place for a cache (%s). Set MIEN_CACHE to a folder to have one.", error)
        return None


def read_cached(
    paths: Sequence[Path], *, classes: int, progress: Progress | None = None, folder: Path | None = None
) -> Table:
    """Read tables like `mien.data.fer2013.reader.read_arrays`, or load their arrays from the cache.

    Args:
        paths: the files, in this order.
        classes: labels run from 0 to `classes - 1`.
        progress: called with the number of bytes read and the total.
        folder: the cache folder; by default `cache_folder()`.

    Raises:
        DataError: If a file cannot be read or a row is invalid.
    """
    before = _stamps(paths)
    key = _key(paths, classes)
    folder = _default_folder() if folder is None else folder
    if key is None or folder is None:
        return read_arrays(paths, classes=classes, progress=progress)
    entry = folder / f"{key}.cache"
    table = _read_entry(entry, key)
    if table is None:
        table = read_arrays(paths, classes=classes, progress=progress)
        if _stamps(paths) == before:  # a file that changed in the meantime does not match the key
            _write_entry(entry, key, table)
    elif progress is not None:
        total = sum(size for size, _ in before)
        progress(total, total)
    return table


def _stamps(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Return size and time of each file; empty for unreadable files, which the reader reports."""
    with suppress(OSError):
        return [(stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in paths)]
    return []


def _key(paths: Sequence[Path], classes: int) -> str | None:
    """Return the cache key as hexadecimal digits; `None` if a file cannot be read."""
    key = hashlib.sha256(f"{classes}".encode())
    try:
        for path in paths:
            key.update(f"{split_of_table(path.name)}".encode())  # of the name, only the split matters
            with path.open("rb") as file:
                key.update(hashlib.file_digest(file, "sha256").digest())
    except (OSError, DataError):  # the reader reports the error
        return None
    return key.hexdigest()


def _read_entry(entry: Path, key: str) -> Table | None:
    """Return the arrays of an entry; `None` if it is missing or damaged."""
    try:
        status = entry.stat()
        if os.name == "posix" and status.st_uid not in {os.geteuid(), 0}:
            logger.warning("The cache %s belongs to another user; the table is read again.", entry)
            return None
        regular = stat.S_ISREG(status.st_mode)  # opening a pipe would block
        data = np.fromfile(entry, np.uint8) if regular else np.zeros(0, np.uint8)
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("The cache %s cannot be read (%s); the table is read again.", entry, error.strerror)
        return None
    table = _decode(data, key)
    if table is None:
        logger.warning("The cache %s is damaged or of another version; it is made again.", entry)
    return table


def _decode(data: NDArray[np.uint8], key: str) -> Table | None:
    digest, rest = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    head = _head(key)
    if hashlib.sha256(rest.data).digest() != digest.tobytes() or rest[: len(head)].tobytes() != head:
        return None
    body = rest[len(head) :]
    n = body.size // (PIXELS + 2)  # one byte for each pixel, the label and the split
    images, labels, splits = np.split(body, [n * PIXELS, n * (PIXELS + 1)])
    return Table(images.reshape(n, CROP_SIZE, CROP_SIZE), labels.view(np.int8), splits)


def _head(key: str) -> bytes:
    return f"mien {FORMAT} {key}\n".encode()


def _write_entry(entry: Path, key: str, table: Table) -> None:
    """Write an entry to a temporary file and rename it, so that it is complete or absent."""
    parts: list[bytes | memoryview] = [_head(key), table.images.data, table.labels.data, table.splits.data]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    try:
        private_folder(entry.parent)
        with tempfile.NamedTemporaryFile(
            dir=entry.parent, prefix="mien-", suffix=".part", delete=False
        ) as file:
            try:
                for part in (digest.digest(), *parts):
                    file.write(part)  # digest and header reach the disk together
                file.close()
                Path(file.name).replace(entry)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _tidy(entry.parent)
    except OSError as error:
        logger.warning(
            "The cache %s cannot be written (%s); the next load will be as slow.", entry, error.strerror
        )


def _tidy(folder: Path) -> None:
    """Remove all but the newest entries, and temporary files of killed processes; no other files."""
    entries, abandoned = [], []
    with suppress(OSError):
        for file in folder.iterdir():
            with suppress(OSError):  # another process may be removing entries, too
                if not _is_ours(file):
                    continue
                written = file.stat().st_mtime
                if file.suffix == ".cache":
                    entries.append((written, file))
                elif time.time() - written > _ABANDONED_SECONDS:
                    abandoned.append(file)
    for file in [file for _, file in sorted(entries, reverse=True)[KEPT_ENTRIES:]] + abandoned:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _is_ours(file: Path) -> bool:
    """Return whether a file is a cache entry, judging by its name, type and the line after the digest.

    A file that is too short to contain this line, left by a killed process, is kept.
    """
    name = _ENTRY_NAME.fullmatch(file.name)
    if not name and not _PART_NAME.fullmatch(file.name):
        return False
    if not stat.S_ISREG(file.lstat().st_mode):  # a link or a folder
        return False
    with file.open("rb") as stream:
        mark = _MARK.match(stream.read(_DIGEST_BYTES + 128)[_DIGEST_BYTES:])
    return mark is not None and (name is None or mark[1].decode() == name[1])
