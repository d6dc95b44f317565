"""Limits on decompressed sizes, so that a small file cannot fill the memory (decompression bomb)."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MOST_MEMBER = 4 << 20
"""Maximum size of a text file in an archive, such as a model card; typical ones have a few thousand bytes."""

_ALWAYS = 256 << 20
_RATIO = 50  # decompressed bytes per compressed byte; tables of photos have 3 to 5


class UnpackError(DataError):
    """A compressed file exceeds its limit when it is decompressed."""


def budget_of(packed_bytes: int) -> int:
    """Return the limit on decompressed bytes of a file: 50 times its size, at least 256 MB."""
    return max(_ALWAYS, _RATIO * packed_bytes)


def read_member(archive: zipfile.ZipFile, name: str, most: int = MOST_MEMBER) -> bytes:
    """Read a member of an archive that must be small.

    Raises:
        KeyError: If there is no member of that name.
        UnpackError: If it is larger than `most` bytes, whatever size the archive states.
    """
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise UnpackError(f"{name}: expected at most {most:,} bytes inside the archive, got more.")
    return data


def check_sizes(path: Path) -> None:
    """Check that the members of a zip file together do not exceed its limit.

    Raises:
        UnpackError: If they do.
    """
    with (
        suppress(OSError, zipfile.BadZipFile),
        zipfile.ZipFile(path) as archive,
    ):  # reading the file reports the error
        total, most = sum(info.file_size for info in archive.infolist()), budget_of(path.stat().st_size)
        if total > most:
            raise UnpackError(
                f"expected at most {most >> 20:,} MB inside the archive, got {total >> 20:,} MB."
            )


class BoundedStream(io.RawIOBase):
    """A decompressed stream that raises an error at its limit.

    Args:
        stream: the decompressed stream.
        most: maximum number of bytes.
        name: name used in the error message.
    """

    def __init__(self, stream: IO[bytes], most: int, name: str) -> None:
        super().__init__()
        self._stream, self._left, self._most, self._name = stream, most, most, name

    def readable(self) -> bool:  # noqa: D102 - of the base class
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes.

        Raises:
            UnpackError: If the limit is exceeded.
        """
        view = memoryview(buffer).cast("B")
        data = self._stream.read(min(len(view), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise UnpackError(
                f"{self._name}: expected a table, got a packed file from which more than {self._most / 2**20:,.0f} MB "
                "come out. If you trust it, unpack it yourself."
            )
        view[: len(data)] = data
        return len(data)
