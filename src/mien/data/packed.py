"""Packed files and tars as bounded streams: what comes out of them, and what their headers take, has a limit.

Python's `tarfile` reads headers of any size into memory, keeps every member, and follows chains of headers by recursion.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from mien.unpacking import BoundedStream, UnpackError, budget_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}
"""How packed files begin -> their packing."""

MOST_MEMBERS = 100_000
"""Files in a tar."""

BUFFER = 1 << 20  # bytes; tarfile's own 10 kB makes a stream several times slower

_MOST_HEADER = 1 << 20  # bytes of extended headers before a member, and of those for all members together
_LONGEST_NAME = 4096  # bytes; Linux takes no longer path
_EXTENDED = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_MOST_IN_A_ROW = 16  # extended headers before a member; usual ones have one or two


def packing_of(head: bytes) -> str:
    """A packing of `PACKED`, or `plain`."""
    return next((kind for magic, kind in PACKED.items() if head.startswith(magic)), "plain")


def unpack(file: IO[bytes], packing: str, stack: ExitStack) -> IO[bytes]:
    """The file from its start, unpacked within its budget.

    What was opened is closed with the stack, the file itself is not.
    """
    most = budget_of(file.seek(0, os.SEEK_END))
    file.seek(0)
    unpacked: Any
    if packing == "gzip":
        unpacked = stack.enter_context(gzip.GzipFile(fileobj=file))
    elif packing == "xz":
        unpacked = stack.enter_context(lzma.LZMAFile(file))  # noqa: SIM115 - closed with the stack
    elif packing == "bzip2":
        unpacked = stack.enter_context(bz2.BZ2File(file))
    else:
        return file
    return cast("IO[bytes]", io.BufferedReader(BoundedStream(unpacked, most, "the archive"), BUFFER))


def stream_tar(file: IO[bytes], packing: str, stack: ExitStack) -> BoundedTar:
    """A tar, to be read once from its start."""
    stream = unpack(file, packing, stack)
    return stack.enter_context(BoundedTar.open(fileobj=stream, mode="r|", bufsize=BUFFER))


class BoundedTar(tarfile.TarFile):
    """A tar that is read with little memory, whatever stands in it."""

    header_bytes = global_bytes = headers = 0

    def entries(self, most: int = MOST_MEMBERS) -> Iterator[tarfile.TarInfo]:
        """The members, one after the other; none is kept.

        Raises:
            UnpackError: there are more than there may be, or one has a header of an unusual size.
        """
        for count, info in enumerate(self, start=1):
            self.members.clear()  # type: ignore[attr-defined]  # it would keep every header
            if count > most:
                raise UnpackError(f"the archive: expected at most {most:,} files inside, got more.")
            if len(info.name) > _LONGEST_NAME:
                raise UnpackError(
                    f"the archive: expected names of at most {_LONGEST_NAME:,} characters, got one of "
                    f"{len(info.name):,}. Pack it anew."
                )
            yield info

    def admit_header(self, kind: bytes, size: int) -> None:
        """Count a header.

        Raises:
            UnpackError: it is an extended one of an unusual size, or there are many.
        """
        if size < 0:
            raise UnpackError("the archive: expected members with sizes, got a negative one. Pack it anew.")
        if kind not in _EXTENDED:
            self.header_bytes = self.headers = 0
            return
        self.headers += 1
        self.header_bytes += size
        self.global_bytes += size if kind == tarfile.XGLTYPE else 0
        largest = max(self.header_bytes, self.global_bytes)
        if largest > _MOST_HEADER or self.headers > _MOST_IN_A_ROW:
            got = f"{self.headers:,} in a row" if self.headers > _MOST_IN_A_ROW else f"{largest:,}"
            raise UnpackError(
                f"the archive: expected extended headers of at most {_MOST_HEADER:,} bytes, got {got}. Pack it anew."
            )


class _BoundedTarInfo(tarfile.TarInfo):
    """A member whose header has a usual size; tarfile reads all of it into memory."""

    def _proc_member(self, archive: BoundedTar) -> tarfile.TarInfo:
        archive.admit_header(self.type, self.size)
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # not in its type hints

    def _refuse_sparse(self, *_: object) -> NoReturn:
        raise UnpackError(
            "the archive: expected ordinary files, got a sparse one. Pack it anew without --sparse."
        )

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


BoundedTar.tarinfo = _BoundedTarInfo
