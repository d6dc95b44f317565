"""Read compressed files and tar archives as streams with limits on unpacked bytes and header sizes.

Python's `tarfile` reads headers of any size into memory, keeps all members, and follows chains of headers recursively.
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
"""First bytes of compressed files -> compression."""

MOST_MEMBERS = 100_000
"""Maximum number of members of a tar archive."""

BUFFER = 1 << 20  # bytes; tarfile's own 10 kB makes a stream several times slower

_MOST_HEADER = 1 << 20  # maximum bytes of extended headers before a member, and of all global headers
_LONGEST_NAME = 4096  # bytes; the longest path on Linux
_EXTENDED = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_MOST_IN_A_ROW = 16  # maximum number of extended headers before a member; usual archives have one or two


def packing_of(head: bytes) -> str:
    """Return the compression, a key of `PACKED`, or `plain`."""
    return next((kind for magic, kind in PACKED.items() if head.startswith(magic)), "plain")


def unpack(file: IO[bytes], packing: str, stack: ExitStack) -> IO[bytes]:
    """Return a stream of the decompressed file, limited by its budget.

    Opened streams are closed with the stack; the file itself is not.
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
    """Open a tar archive that is read once, from its start."""
    stream = unpack(file, packing, stack)
    return stack.enter_context(BoundedTar.open(fileobj=stream, mode="r|", bufsize=BUFFER))


class BoundedTar(tarfile.TarFile):
    """A tar archive that is read with little memory, whatever it contains."""

    header_bytes = global_bytes = headers = 0

    def entries(self, most: int = MOST_MEMBERS) -> Iterator[tarfile.TarInfo]:
        """Yield the members one after the other, without keeping them.

        Raises:
            UnpackError: If there are too many, or one has a header of an unusual size.
        """
        for count, info in enumerate(self, start=1):
            self.members.clear()  # type: ignore[attr-defined]  # it would keep every header
            if count > most:
                raise UnpackError(f"the archive: expected at most {most:,} files inside, got more.")
            if len(info.name) > _LONGEST_NAME:
                raise UnpackError(
                    f"the archive: expected names of at most {_LONGEST_NAME:,} characters, got one of "
                    f"{len(info.name):,}. Create the archive again."
                )
            yield info

    def admit_header(self, kind: bytes, size: int) -> None:
        """Count a header.

        Raises:
            UnpackError: If it is an extended header of an unusual size, or there are too many.
        """
        if size < 0:
            raise UnpackError(
                "the archive: expected members with sizes, got a negative one. Create the archive again."
            )
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
                f"the archive: expected extended headers of at most {_MOST_HEADER:,} bytes, got {got}. "
                "Create the archive again."
            )


class _BoundedTarInfo(tarfile.TarInfo):
    """A member whose header has a limited size, because tarfile reads it into memory."""

    def _proc_member(self, archive: BoundedTar) -> tarfile.TarInfo:
        archive.admit_header(self.type, self.size)
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # not in its type hints

    def _refuse_sparse(self, *_: object) -> NoReturn:
        raise UnpackError(
            "the archive: expected ordinary files, got a sparse one. Create it again without sparse files."
        )

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


BoundedTar.tarinfo = _BoundedTarInfo
