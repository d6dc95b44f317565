"""Read the bytes of inputs from local files and object stores, with retries and a size limit."""

from __future__ import annotations

import os
import stat
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mien.bulk.copying import copy_file, copy_range
from mien.bulk.input_kinds import suffix_of
from mien.bulk.locations import kind_of_error, locate, why
from mien.bulk.remote_reads import TooManyBytesError, read_range, read_whole, seconds_for
from mien.bulk.retries import TRIES, with_deadline, with_retries
from mien.bulk.table_values import ColumnReader
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.bulk.entries import Entry

MOST_BYTES = 256 * 2**20
"""Maximum size of an image file in bytes; a video is kept on disk and may be larger."""


@dataclass(frozen=True, eq=False)
class Fetched:
    """The result of reading an input.

    Args:
        content: bytes of the input; `None` if reading failed, or for a video, which is read from disk.
        error: why reading failed.
        kind_of_error: `missing`, `forbidden`, `unreachable`, `unreadable` or `too large`.
        seconds: duration in seconds.
    """

    content: bytes | None = None
    error: str | None = None
    kind_of_error: str | None = None
    seconds: float = 0.0


class UnreadVideoError(Exception):
    """A video cannot be copied to this machine.

    Args:
        error: the error of its file system.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(_told(error))
        self.kind = kind_of_error(error)


@dataclass
class Fetcher:
    """Reads inputs. Thread-safe.

    Args:
        storage_options: options for the fsspec file systems of URLs.
        folder: folder for temporary copies of videos; by default, or if it no longer exists, that of the system.
    """

    storage_options: dict[str, Any] = field(default_factory=dict)
    folder: str | None = None
    _table: _OpenTable | None = field(default=None, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.storage_options, self.folder)

    def copying_to(self, folder: str | None) -> Fetcher:
        """Return a fetcher that writes temporary copies of videos to another folder."""
        return Fetcher(self.storage_options, folder)

    def temporary_folder(self) -> TemporaryDirectory[str]:
        """Create a folder for temporary copies, which is removed at the end of the `with` block."""
        parent = self.folder if self.folder and os.path.isdir(self.folder) else None  # noqa: PTH112 - may be None
        # A copy that a decoder still holds open is left to the system's cleanup of temporary files.
        return TemporaryDirectory(prefix="mien-", dir=parent, ignore_cleanup_errors=True)

    def fetch(
        self,
        entry: Entry,
        hold: Callable[[int], None] = lambda _size: None,
        beat: Callable[[], None] = lambda: None,
    ) -> Fetched:
        """Read the bytes of an input, or return why that failed; a file named as a video is not read.

        Args:
            entry: the input.
            hold: callback that receives the number of bytes that will be in memory, and waits until there is room for
                them (`byte_budget`).
            beat: heartbeat callback, called before each try and whenever bytes have arrived.
        """
        started = time.perf_counter()
        waited = 0.0

        def hold_timed(size: int) -> None:
            nonlocal waited
            before = time.perf_counter()
            hold(size)
            waited += time.perf_counter() - before

        def read() -> bytes | None:
            beat()
            return self._read(entry, hold_timed, beat)

        if entry.error or entry.kind == "video":
            return Fetched()
        if entry.bytes > MOST_BYTES:
            return Fetched(None, _too_large(entry.bytes), "too large")
        try:
            content = with_retries(read)
            if content is not None and len(content) > MOST_BYTES:
                raise TooManyBytesError(len(content) if entry.where == "parquet" else None)  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - file systems raise anything
            hold(0)
            seconds = time.perf_counter() - started - waited
            if isinstance(error, TooManyBytesError):
                return Fetched(None, _too_large(error.size), "too large", seconds)
            return Fetched(None, _told(error), kind_of_error(error), seconds)
        hold(len(content or b""))
        seconds = time.perf_counter() - started - waited
        if content is None:
            empty = "the value is empty, expected the bytes of an image."
            return Fetched(None, empty, "unreadable", seconds)
        return Fetched(content, seconds=seconds)

    def _read(self, entry: Entry, hold: Callable[[int], None], beat: Callable[[], None]) -> bytes | None:
        if entry.where == "parquet":
            return self._read_value(entry)
        place = locate(entry.uri, self.storage_options)
        whole = entry.where == "file"
        if place.filesystem is None:
            require_regular_file(place.path)
            hold(max(entry.bytes, 0))
            with Path(place.path).open("rb") as file:
                file.seek(entry.offset)
                content = file.read(MOST_BYTES + 1 if whole else entry.length)
        elif whole:
            content = read_whole(
                place.filesystem, place.path, size=entry.size, most=MOST_BYTES, hold=hold, beat=beat
            )
        else:
            hold(entry.length)
            content = read_range(place.filesystem, place.path, entry.offset, entry.length)
        wanted = entry.length if not whole else entry.size if place.filesystem is not None else -1
        if wanted >= 0 and len(content) != wanted:
            told = f"expected {wanted:,} bytes, got {len(content):,}"
            raise ValueError(told) if place.filesystem is None else EOFError(told)
        return content

    def _read_value(self, entry: Entry) -> bytes | None:
        """Read a value of a Parquet file, which stays open for the next call."""
        with self._opening:
            table, uri = self._table, entry.file or entry.uri
            if table is None or (table.uri, table.column) != (uri, entry.column):
                if table is not None:
                    table.close()
                table = self._table = _OpenTable(uri, str(entry.column), self.storage_options)
        return table.value(entry.offset)

    @contextmanager
    def on_disk(
        self, entry: Entry, content: bytes | None, beat: Callable[[], None] = lambda: None
    ) -> Iterator[str]:
        """Yield the path of a video on this machine: the file itself, or a temporary copy.

        Args:
            entry: the video.
            content: its bytes, if already read.
            beat: heartbeat callback, called while the video is copied.

        Raises:
            UnreadVideoError: the video cannot be copied, or is no regular file.
        """
        place = locate(entry.uri, self.storage_options)
        if content is None and place.filesystem is None and entry.where == "file":
            try:
                with suppress(OSError):  # it is gone, which the decoder reports
                    require_regular_file(place.path)
            except ValueError as error:
                raise UnreadVideoError(error) from error
            yield place.path
            return
        suffix = suffix_of(entry.member or entry.uri)[:10]
        # A folder, because on Windows a decoder cannot open a temporary file that is open here.
        with self.temporary_folder() as folder:
            copy = Path(folder, f"input{suffix}")
            if content is not None:
                copy.write_bytes(content)
            else:
                try:
                    self._copy(entry, copy, beat)
                except MemoryError:
                    raise
                except Exception as error:  # file systems raise anything
                    raise UnreadVideoError(error) from error
            yield str(copy)

    def _copy(self, entry: Entry, copy: Path, beat: Callable[[], None]) -> None:
        if entry.where == "tar":
            copy_range(entry.uri, self.storage_options, entry.offset, entry.length, copy, beat)
        else:
            place = locate(entry.uri, self.storage_options)
            copy_file(place.filesystem, place.path, copy, size=entry.size, beat=beat)


class _OpenTable:
    """An open column of a Parquet file. Thread-safe.

    Args:
        uri: path or URL of the file.
        column: name of the column.
        storage_options: options for the fsspec file systems of URLs.
    """

    def __init__(self, uri: str, column: str, storage_options: dict[str, Any]) -> None:
        self.uri, self.column, self._options = uri, column, storage_options
        self._reader: ColumnReader | None = None
        self._reading = threading.Lock()

    def value(self, row: int) -> bytes | None:
        """Return the bytes in a row, `None` if it is null or does not exist."""
        place = locate(self.uri, self._options)

        def read(reader: ColumnReader | None) -> tuple[ColumnReader, bytes | None]:
            if reader is None:
                file = place.path if place.filesystem is None else place.filesystem.open(place.path, "rb")
                reader = ColumnReader(file, self.column)
            return reader, reader.value(row)

        with self._reading:
            reader, self._reader = self._reader, None  # after an error, the next call opens the file again
            if place.filesystem is None:
                self._reader, value = read(reader)
            else:
                self._reader, value = with_deadline(lambda: read(reader), seconds_for(MOST_BYTES))
            return value

    def close(self) -> None:
        """Close the file, unless a read of it goes on."""
        if self._reading.acquire(blocking=False):
            try:
                if self._reader is not None:
                    self._reader.close()
                    self._reader = None
            finally:
                self._reading.release()


def require_regular_file(path: str) -> None:
    """Refuse what is no file or link to one: reading a named pipe or a device may never end.

    Raises:
        OSError: there is no such file.
        ValueError: it is a folder, a named pipe, a socket or a device.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - any name
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    raise ValueError(f"expected a regular file, got {kinds.get(stat.S_IFMT(mode), 'a device')}")


def _told(error: Exception) -> str:
    """Return the message of a row for an error of a file system, or for one of mien, such as a missing package."""
    if isinstance(error, MienError):
        return str(error)
    return f"{why(error)}{f' in {TRIES} tries' if kind_of_error(error) == 'unreachable' else ''}."


def _too_large(size: int | None) -> str:
    got = "more" if size is None else f"{size / 2**20:,.0f} MiB"
    return f"expected a file of up to {MOST_BYTES // 2**20} MiB, got {got}."
