"""Files that are read while inputs are listed: tars, tables and lists. Reads of object stores are retried."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TypeVar

from mien.bulk.listing_errors import ends_the_listing, hint
from mien.bulk.locations import locate, why
from mien.bulk.remote_reads import open_file
from mien.bulk.retries import with_retries
from mien.errors import DataError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def open_retried(uri: str, storage_options: dict[str, Any], block: int) -> Any:
    """Open a file for random access reads, each of which is retried if the file is in an object store.

    Args:
        uri: path or URL of the file.
        storage_options: options for the fsspec file system of the URL.
        block: number of bytes to read from an object store at once.

    Raises:
        DataError: a file in an object store cannot be opened, or later, read.
        MissingExtra: the package for the URL scheme is not installed.
        OSError: a local file cannot be opened, or later, read.
    """
    if locate(uri, storage_options).filesystem is None:
        return open_file(uri, storage_options, block)
    return RetriedFile(_told(uri, lambda: open_file(uri, storage_options, block)), uri)


class RetriedFile(io.RawIOBase):
    """A file of an fsspec file system whose reads are retried after transient errors.

    Args:
        file: the open file.
        uri: its URL, for messages.
    """

    def __init__(self, file: Any, uri: str) -> None:
        super().__init__()
        self._file, self._uri = file, uri

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return whether the position can be changed."""
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position in bytes and return it."""
        self._file.seek(offset, whence)
        return int(self._file.tell())

    def tell(self) -> int:
        """Return the position in bytes."""
        return int(self._file.tell())

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, or all that are left if it is negative.

        Raises:
            DataError: they cannot be read.
        """
        length, start = -1 if size is None else size, self._file.tell()

        def read() -> bytes:
            self._file.seek(start)
            return bytes(self._file.read(length))

        return _told(self._uri, lambda: with_retries(read))

    def readinto(self, buffer: Any, /) -> int:
        """Read bytes into a buffer and return their number.

        Raises:
            DataError: they cannot be read.
        """
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        finally:
            super().close()


def _told(uri: str, work: Callable[[], _T]) -> _T:
    """Call a function, and raise each error of a file system as a `DataError` with a remedy."""
    try:
        return work()
    except Exception as error:
        if isinstance(error, DataError) or ends_the_listing(error):
            raise
        raise DataError(f"{quoted_path(uri)}: cannot be read: {why(error)}.{hint(error)}") from error
