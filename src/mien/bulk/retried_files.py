"""Files that are read while inputs are listed: tars, tables and lists. Reads of object stores are retried."""

from __future__ import annotations

import io
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from mien.bulk.copying import copy_file
from mien.bulk.input_kinds import is_http
from mien.bulk.listing_errors import ends_the_listing, hint
from mien.bulk.locations import locate, why
from mien.bulk.remote_reads import open_file
from mien.bulk.retries import with_retries
from mien.errors import DataError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@contextmanager
def open_list(uri: str, storage_options: dict[str, Any], block: int) -> Iterator[Any]:
    """Open a file that is read once, from its beginning to its end.

    A file of a web server is copied to this machine first: the server may neither send parts of it nor report its size.

    Args:
        uri: path or URL of the file.
        storage_options: options for the fsspec file system of the URL.
        block: number of bytes to read from an object store at once.

    Raises:
        DataError: a file in an object store or on a web server cannot be read.
        MissingExtra: the package for the URL scheme is not installed.
        OSError: a local file cannot be opened, or later, read.
    """
    if not is_http(uri):
        with open_retried(uri, storage_options, block) as file:
            yield file
        return
    with TemporaryDirectory(prefix="mien-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder, "list")
        place = locate(uri, storage_options)
        _told(uri, lambda: copy_file(place.filesystem, place.path, copy))
        with copy.open("rb") as file:
            yield file


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
        """Change the position in bytes and return it.

        Raises:
            DataError: the server sends only whole files.
        """
        _told(self._uri, lambda: self._file.seek(offset, whence))
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
