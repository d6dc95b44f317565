"""Copy files of object stores and web servers to this machine, with retries.

A try fails when no bytes arrive for two minutes, however long the whole copy takes.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from mien.bulk.remote_reads import open_file
from mien.bulk.retries import with_deadline, with_retries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STALL_SECONDS = 120.0
_BLOCK_BYTES = 2**20


def copy_file(
    filesystem: Any, path: str, target: Path, *, size: int = -1, beat: Callable[[], None] = lambda: None
) -> None:
    """Copy a file of an fsspec file system.

    Args:
        filesystem: the fsspec file system.
        path: path of the file there.
        target: path of the copy, in a temporary folder.
        size: size in bytes, as listed; -1 if unknown.
        beat: heartbeat callback, called while bytes arrive, at most once per second.

    Raises:
        EOFError: the copy has another size.
        TimeoutError: no bytes arrived for two minutes.
    """
    from fsspec.callbacks import Callback

    def copy(part: Path, arrived: list[int]) -> None:
        callback = Callback(hooks={"count": lambda _size, value: arrived.append(value)})
        filesystem.get_file(path, str(part), callback=callback)

    _copy(copy, target, size, beat)


def copy_range(
    uri: str,
    storage_options: dict[str, Any],
    start: int,
    length: int,
    target: Path,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Copy a part of a file, local or in an object store.

    Args:
        uri: path or URL of the file.
        storage_options: options for the fsspec file system of the URL.
        start: offset of the part in bytes.
        length: its number of bytes.
        target: path of the copy, in a temporary folder.
        beat: heartbeat callback, called while bytes arrive, at most once per second.

    Raises:
        EOFError: the file ends before the part does.
        TimeoutError: no bytes arrived for two minutes.
    """

    def copy(part: Path, arrived: list[int]) -> None:
        with part.open("wb") as out, open_file(uri, storage_options, 4 * _BLOCK_BYTES) as file:
            file.seek(start)
            left = length
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                out.write(block)
                left -= len(block)
                arrived.append(left)

    _copy(copy, target, length, beat)


def _copy(copy: Callable[[Path, list[int]], None], target: Path, size: int, beat: Callable[[], None]) -> None:
    """Call a function that makes a copy until it succeeds; each try writes a file of its own.

    Args:
        copy: receives the path to write, and a list to append to whenever bytes arrive.
        target: path of the copy.
        size: its expected size in bytes; -1 if unknown.
        beat: heartbeat callback.
    """
    numbers = itertools.count(1)

    def try_once() -> None:
        part = target.with_name(f"try-{next(numbers)}{target.suffix}")
        arrived: list[int] = []
        seen = (0, 0)

        def progress() -> object:
            nonlocal seen
            # Some file systems do not report progress, and some write the copy only at the end.
            now = (len(arrived), part.stat().st_size if part.exists() else 0)
            if now != seen:
                seen = now
                beat()
            return now

        beat()
        with_deadline(lambda: copy(part, arrived), _STALL_SECONDS, progress)
        if size >= 0 and part.stat().st_size != size:
            raise EOFError(f"expected {size:,} bytes, got {part.stat().st_size:,}")
        part.replace(target)

    with_retries(try_once)
