"""Budgets for unpacking: how many bytes may come out of a packed file, so that a small one cannot fill the memory."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MOST_MEMBER = 4 << 20
"""Bytes of a text inside an archive, such as a model card; usual ones have some thousand."""

_ALWAYS = 256 << 20
_RATIO = 50  # unpacked bytes for a packed one; tables of photographs have 3 to 5


class UnpackError(DataError):
    """More came out of a packed file than it may hold."""


def budget_of(packed_bytes: int) -> int:
    """How many bytes may come out of a packed file of so many bytes: 50 for each, but always 256 MB."""
    return max(_ALWAYS, _RATIO * packed_bytes)


def read_member(archive: zipfile.ZipFile, name: str, most: int = MOST_MEMBER) -> bytes:
    """A member of an archive that must be small.

    Raises:
        KeyError: there is none of that name.
        UnpackError: it is larger, whatever the archive says of its size.
    """
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise UnpackError(f"{name}: expected at most {most:,} bytes inside the archive, got more.")
    return data


def check_sizes(path: Path) -> None:
    """Make sure that the members of a zip file are not larger together than its budget.

    Raises:
        UnpackError: they are.
    """
    with (
        suppress(OSError, zipfile.BadZipFile),
        zipfile.ZipFile(path) as archive,
    ):  # whoever reads it tells that
        total, most = sum(info.file_size for info in archive.infolist()), budget_of(path.stat().st_size)
        if total > most:
            raise UnpackError(
                f"expected at most {most >> 20:,} MB inside the archive, got {total >> 20:,} MB."
            )


class BoundedStream(io.RawIOBase):
    """An unpacked stream that ends with an error where its budget does.

    Args:
        stream: gives the unpacked bytes.
        most: how many it may give.
        name: what to call it in the error.
    """

    def __init__(self, stream: IO[bytes], most: int, name: str) -> None:
        super().__init__()
        self._stream, self._left, self._most, self._name = stream, most, most, name

    def readable(self) -> bool:  # noqa: D102 - of the base class
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes.

        Raises:
            UnpackError: there are more than the budget.
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
