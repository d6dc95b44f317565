"""Read the bytes of inputs from local files and object stores, with retries and a size limit."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mien.bulk.locations import kind_of_error, locate, why
from mien.bulk.retries import TRIES, with_retries

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


@dataclass
class Fetcher:
    """Reads inputs. Thread-safe.

    Args:
        storage_options: options for the fsspec file systems of URLs.
    """

    storage_options: dict[str, Any] = field(default_factory=dict)
    _held: dict[str, Any] = field(default_factory=dict, repr=False)
    _holding: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.storage_options,)

    def fetch(self, entry: Entry) -> Fetched:
        """Read the bytes of an input, or return why that failed; a file named as a video is not read."""
        started = time.perf_counter()
        if entry.error or entry.kind == "video":
            return Fetched()
        if max(entry.bytes, 0) > MOST_BYTES:
            return Fetched(None, _too_large(entry.bytes), "too large")
        try:
            content = with_retries(lambda: self._read(entry))
        except Exception as error:  # noqa: BLE001 - file systems raise anything
            told = f"{why(error)}{f' in {TRIES} tries' if kind_of_error(error) == 'unreachable' else ''}."
            return Fetched(None, told, kind_of_error(error), time.perf_counter() - started)
        seconds = time.perf_counter() - started
        if content is not None and len(content) > MOST_BYTES:
            return Fetched(None, _too_large(len(content)), "too large", seconds)
        if content is None:
            return Fetched(None, "the value is empty, expected the bytes of an image.", "unreadable", seconds)
        return Fetched(content, seconds=seconds)

    def _read(self, entry: Entry) -> bytes | None:
        if entry.where == "parquet":
            return self._read_value(entry)
        place = locate(entry.uri, self.storage_options)
        whole = entry.where == "file"
        if place.filesystem is None:
            with Path(place.path).open("rb") as file:
                file.seek(entry.offset)
                content = file.read(MOST_BYTES + 1 if whole else entry.length)
        else:
            end = MOST_BYTES + 1 if entry.size < 0 else None
            limits = (
                {}
                if whole and end is None
                else {"start": entry.offset, "end": end or entry.offset + entry.length}
            )
            content = bytes(place.filesystem.cat_file(place.path, **limits))
        wanted = entry.length if not whole else entry.size if place.filesystem is not None else -1
        if wanted >= 0 and len(content) != wanted:
            told = f"expected {wanted:,} bytes, got {len(content):,}"
            raise ValueError(told) if place.filesystem is None else EOFError(told)
        return content

    def _read_value(self, entry: Entry) -> bytes | None:
        """Read a value of a Parquet file; the open file and the latest row group are cached for the next call."""
        import pyarrow.parquet as pq

        from mien.bulk.container_inputs import read_value

        place = locate(entry.uri, self.storage_options)
        with self._holding:
            if self._held.get("uri") != entry.uri:
                if "opened" in self._held:
                    self._held["opened"].close(force=True)
                self._held.clear()
                file = place.path if place.filesystem is None else place.filesystem.open(place.path, "rb")
                self._held.update(uri=entry.uri, opened=pq.ParquetFile(file))
            try:
                return read_value(self._held["opened"], str(entry.column), entry.offset, self._held)
            except Exception:
                self._held.pop("uri")  # a retry reopens the file
                raise

    @contextmanager
    def on_disk(
        self, entry: Entry, content: bytes | None, beat: Callable[[], None] = lambda: None
    ) -> Iterator[str]:
        """Yield the path of a video on this machine: the file itself, or a temporary copy.

        Args:
            entry: the video.
            content: its bytes, if already read.
            beat: heartbeat callback, called while the video is copied, possibly from another thread.

        Raises:
            OSError: the video cannot be read.
        """
        place = locate(entry.uri, self.storage_options)
        if content is None and place.filesystem is None and entry.where == "file":
            yield place.path
            return
        suffix = Path((entry.member or entry.uri).partition("?")[0]).suffix[:10]
        # A folder, because on Windows a decoder cannot open a temporary file that is open here. A copy that the
        # decoder still holds open is left to the system's cleanup of temporary files.
        with TemporaryDirectory(prefix="mien-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder, f"input{suffix}")
            if content is not None:
                copy.write_bytes(content)
            elif entry.where == "tar":
                with_retries(lambda: self._copy_range(entry, copy, beat))
            else:
                with_retries(
                    lambda: place.filesystem.get_file(place.path, str(copy), callback=_telling(beat))
                )
            yield str(copy)

    def _copy_range(self, entry: Entry, copy: Path, beat: Callable[[], None]) -> None:
        from mien.bulk.container_inputs import open_file

        with copy.open("wb") as out, open_file(entry.uri, self.storage_options, 4 * 2**20) as file:
            file.seek(entry.offset)
            left = entry.length
            while left and (block := file.read(min(left, 2**20))):
                out.write(block)
                left -= len(block)
                beat()


def _telling(beat: Callable[[], None]) -> Any:
    """Return an fsspec callback that calls `beat` after each part of a copy, at most once per second."""
    from fsspec.callbacks import Callback

    class Beats(Callback):  # type: ignore[misc]
        told = time.monotonic()

        def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
            super().call(hook_name, **kwargs)
            if time.monotonic() - self.told >= 1.0:
                self.told = time.monotonic()
                beat()

    return Beats()


def _too_large(size: int) -> str:
    return f"expected a file of up to {MOST_BYTES // 2**20} MiB, got {size / 2**20:,.0f} MiB."
