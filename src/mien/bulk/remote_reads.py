"""Read files of object stores and web servers: each try has a deadline, and memory is reserved before it is used."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.bulk.locations import kind_of_error, locate
from mien.bulk.retries import with_deadline, with_retries

if TYPE_CHECKING:
    from collections.abc import Callable

_TRY_SECONDS, _MOST_SECONDS = 60.0, 600.0
_SLOWEST = 50_000  # bytes per second, below which a try is given up after the first minute
_FIRST_BYTES = 4 * 2**20  # what is read first of a file whose size is unknown; covers most images
_BLOCK_BYTES = 2**20
_NO_RANGE = re.compile(r"InvalidRange|range is not satisfiable", re.IGNORECASE)

_T = TypeVar("_T")


class TooManyBytesError(ValueError):
    """A file is larger than the limit.

    Args:
        size: its size in bytes; `None` if unknown.
    """

    def __init__(self, size: int | None = None) -> None:
        super().__init__(size)
        self.size = size


def seconds_for(size: int) -> float:
    """Return the maximum seconds of one try to read that many bytes."""
    return min(_TRY_SECONDS + size / _SLOWEST, _MOST_SECONDS)


def read_range(filesystem: Any, path: str, start: int, length: int) -> bytes:
    """Read a range of a file; one of no bytes without a request, because no server can be asked for it.

    Raises:
        TimeoutError: the server did not send it in time.
    """
    if not length:
        return b""
    return bytes(
        with_deadline(lambda: filesystem.cat_file(path, start=start, end=start + length), seconds_for(length))
    )


def read_whole(
    filesystem: Any,
    path: str,
    *,
    size: int,
    most: int,
    hold: Callable[[int], None],
    beat: Callable[[], None],
) -> bytes:
    """Read a whole file.

    Args:
        filesystem: the fsspec file system.
        path: path of the file there.
        size: size in bytes, as listed; -1 if unknown.
        most: maximum size in bytes.
        hold: callback that receives the number of bytes that will be in memory, and waits until there is room for them.
        beat: callback that is called whenever bytes have arrived.

    Raises:
        TooManyBytesError: the file is larger than `most`.
        TimeoutError: the server did not send it in time.
    """
    if _is_http(filesystem):
        return _stream(filesystem, path, most, hold, beat)
    if size >= 0:
        hold(size)
        return bytes(with_deadline(lambda: filesystem.cat_file(path), seconds_for(size)))
    hold(_FIRST_BYTES)
    try:
        first = read_range(filesystem, path, 0, _FIRST_BYTES)
    except Exception as error:
        if not _NO_RANGE.search(str(error)):
            raise
        first = b""  # an empty file has no range
    hold(len(first))
    if len(first) < _FIRST_BYTES:
        return first
    beat()
    told = with_deadline(lambda: filesystem.info(path), _TRY_SECONDS).get("size")
    size = most + 1 if told is None else int(told)
    if size <= len(first):
        return first
    if told is not None and size > most:
        raise TooManyBytesError(size)
    hold(size)
    return first + read_range(filesystem, path, len(first), size - len(first))


def open_file(uri: str, storage_options: dict[str, Any], block: int) -> Any:
    """Open a file, local or in an object store, for random access reads.

    Args:
        uri: path or URL of the file.
        storage_options: options for the fsspec file system of the URL.
        block: number of bytes to read from an object store at once.
    """
    place = locate(uri, storage_options)
    if place.filesystem is None:
        return Path(place.path).open("rb")

    def opened() -> Any:
        return place.filesystem.open(place.path, "rb", block_size=block, cache_type="readahead")

    return with_retries(lambda: _with_cause(place.filesystem, opened))


def info_of(filesystem: Any, path: str) -> dict[str, Any]:
    """Return what a file system tells about a file or folder."""
    found: dict[str, Any] = _with_cause(filesystem, lambda: filesystem.info(path))
    return found


def _with_cause(filesystem: Any, work: Callable[[], _T]) -> _T:
    """Call a function and raise the cause of its error: of a web server, fsspec calls each error a missing file."""
    try:
        return work()
    except FileNotFoundError as error:
        cause = error.__cause__
        if not _is_http(filesystem) or cause is None or kind_of_error(cause) == "missing":
            raise
        raise cause from None


def _is_http(filesystem: Any) -> bool:
    protocols = (
        filesystem.protocol if isinstance(filesystem.protocol, tuple | list) else [filesystem.protocol]
    )
    return "http" in protocols and hasattr(filesystem, "set_session") and hasattr(filesystem, "encode_url")


class _Limit:
    """The deadline of one try, without the time for which it waited for memory.

    Args:
        hold: callback that receives the number of bytes that will be in memory, and waits until there is room for them.
    """

    def __init__(self, hold: Callable[[int], None]) -> None:
        self._hold, self._began = hold, time.monotonic()

    def hold(self, size: int) -> None:
        """Wait until there is room for that many bytes."""
        before = time.monotonic()
        self._hold(size)
        self._began += time.monotonic() - before

    def left(self, size: int) -> float:
        """Return the seconds that are left to read that many bytes.

        Raises:
            TimeoutError: none are.
        """
        seconds = self._began + seconds_for(size) - time.monotonic()
        if seconds <= 0:
            raise TimeoutError(f"no answer within {seconds_for(size):,.0f} seconds")
        return seconds


def _stream(
    filesystem: Any, url: str, most: int, hold: Callable[[int], None], beat: Callable[[], None]
) -> bytes:
    """Read a file of a web server block by block, because it may ignore ranges, and its size is told only here.

    The deadline of the try is that of the size it tells or, if it tells none, of what has arrived.
    """
    from fsspec.asyn import sync

    async def ask() -> Any:
        session = await filesystem.set_session()
        response = await session.get(filesystem.encode_url(url), **filesystem.kwargs)
        try:
            filesystem._raise_not_found_for_status(response, url)  # noqa: SLF001 - as its own methods do
        except BaseException:
            response.close()
            raise
        return response

    async def read_block(response: Any) -> bytes:
        block = bytearray()
        while len(block) < _BLOCK_BYTES and (some := await response.content.read(_BLOCK_BYTES)):
            block += some
        return bytes(block)

    limit = _Limit(hold)
    response = sync(filesystem.loop, ask, timeout=limit.left(0))
    try:
        length = response.content_length or 0  # of compressed content, the compressed length
        if length > most:
            raise TooManyBytesError(length)
        limit.hold(length)
        blocks: list[bytes] = []
        count = 0
        while block := sync(filesystem.loop, read_block, response, timeout=limit.left(max(length, count))):
            blocks.append(block)
            count += len(block)
            beat()
            if count > most:
                raise TooManyBytesError
            if count > length:
                limit.hold(count)
        return b"".join(blocks)
    finally:
        filesystem.loop.call_soon_threadsafe(response.close)
