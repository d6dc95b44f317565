"""Open the CSV files in a plain, `.gz`, `.xz`, `.bz2`, `.zip` or `.tar.*` file as streams of bytes.

The format is detected from the first bytes, never from the file name, because downloads may be renamed or be saved web
pages. Nothing is unpacked to disk. The content of the tables is not interpreted here.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from mien.data.fer2013.columns import shorten
from mien.data.fer2013.file_kinds import refuse_known_kinds, refuse_other_archives
from mien.data.packed import BUFFER, packing_of, stream_tar, unpack
from mien.data.splits import is_table
from mien.data.table_choice import HEAD_BYTES, WHOLE, choose_tables
from mien.errors import DataError
from mien.unpacking import BoundedStream, UnpackError, budget_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"  # POSIX.1-1988, the header block of the first member
_MOST_NAMES = 32 << 20  # maximum length of all names in a tar archive

_BROKEN = (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile)


@dataclass(frozen=True)
class Member:
    """One CSV file, open for reading.

    Args:
        name: name for messages: the file and, for an archive, the member.
        stream: its text as bytes, decompressed.
        inner: name of the member in an archive; empty for other files.
    """

    name: str
    stream: IO[bytes]
    inner: str = ""


def open_tables(path: Path, file: IO[bytes]) -> Generator[Member]:
    """Open the CSV files in a file; each is open until the next one is requested.

    Args:
        path: path of the file, used in messages only.
        file: the file, open in binary mode and seekable.

    Yields:
        One member, or one for each split, such as the competition's `train.csv` and `test.csv`.

    Raises:
        DataError: If the archive is truncated, damaged, encrypted, of another format or without a table.
    """
    with explain_damage(str(path)):
        kind = _kind(file, str(path))
        if kind == "zip":
            yield from _open_zip(path, file)
        elif _is_tar(file, kind):
            yield from _open_tar(path, file, kind)
        else:
            with ExitStack() as stack:
                yield Member(str(path), unpack(file, kind, stack))


def _choose(heads: dict[str, bytes | None], where: str) -> list[str]:
    """Choose the members of an archive to read; see `mien.data.table_choice.choose_tables`.

    Args:
        heads: names of all files, with the first bytes of those named like tables.
        where: the archive, used in messages.

    Raises:
        DataError: If there is no table.
    """
    tables = {name: head for name, head in heads.items() if head is not None}
    if chosen := choose_tables(tables, where):
        return chosen
    if not tables:
        refuse_other_archives(where, heads)
    found = ", ".join(shorten(name, 60) for name in sorted(tables or heads)[:5]) or "nothing"
    raise DataError(f"{where}: expected fer2013.csv or another single CSV file inside, found {found}.")


def _base(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name.lower()


@contextmanager
def explain_damage(name: str) -> Iterator[None]:
    """Convert the exceptions of the decompressors into a message."""
    try:
        yield
    except _BROKEN as error:
        raise DataError(
            f"{name}: expected a whole archive, got one that is cut off or damaged ({_first_line(error)}). "
            "Download it again."
        ) from error
    except (RuntimeError, OSError) as error:  # a password, an unknown compression, a failing disk
        raise DataError(
            f"{name}: expected a file that can be read, got: {_first_line(error)}. Unpack it yourself."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _kind(file: IO[bytes], name: str) -> str:
    """`zip`, a packing of `mien.data.packed.PACKED`, or `plain`."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if head.startswith(_ZIP):
        return "zip"
    packing = packing_of(head)
    if packing == "plain":
        refuse_known_kinds(name, head)
    return packing


def _is_tar(file: IO[bytes], kind: str) -> bool:
    with ExitStack() as stack:
        head = unpack(file, kind, stack).read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    return head[_TAR_MAGIC_AT:] == _TAR_MAGIC


def _open_zip(path: Path, file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir() and _is_wanted(info.filename)]
        if whole := _find_whole([info.filename for info in infos]):
            chosen = [whole]
        else:
            chosen = _choose({info.filename: _peek_zip(archive, info) for info in infos}, str(path))
        for name in chosen:
            with archive.open(name) as packed:
                most = budget_of(file.seek(0, os.SEEK_END))
                stream = cast("IO[bytes]", io.BufferedReader(BoundedStream(packed, most, name), BUFFER))
                yield Member(f"{path}/{shorten(name, 80)}", stream, name)


def _find_whole(names: list[str]) -> str | None:
    return next((name for name in names if _base(name) == WHOLE[0]), None)


def _peek_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    """Return the first bytes of members named like tables, `None` for other members."""
    if not is_table(info.filename):
        return None
    with archive.open(info) as stream:
        return stream.read(HEAD_BYTES)


def _open_tar(path: Path, file: IO[bytes], kind: str) -> Iterator[Member]:
    for wanted in _choose(_peek_tar(file, kind), str(path)):
        # A tar archive has no table of contents, and seeking back in a compressed one means decompressing it
        # again: the archive is read once per table, skipping the others.
        with ExitStack() as stack:
            archive = stream_tar(file, kind, stack)
            for info in archive.entries():
                stream = archive.extractfile(info) if info.name == wanted else None
                if stream is not None:
                    yield Member(f"{path}/{shorten(wanted, 80)}", stream, wanted)
                    break


def _peek_tar(file: IO[bytes], kind: str) -> dict[str, bytes | None]:
    """List the files in a tar archive, tables with their first bytes; stops at the most preferred table."""
    heads: dict[str, bytes | None] = {}
    names = 0
    with ExitStack() as stack:
        archive = stream_tar(file, kind, stack)
        for info in archive.entries():
            if not info.isfile() or not _is_wanted(info.name):
                continue
            stream = archive.extractfile(info) if is_table(info.name) else None
            names += len(info.name)
            if names > _MOST_NAMES:
                raise UnpackError(
                    f"the archive: expected at most {_MOST_NAMES:,} characters of names, got more."
                )
            heads[info.name] = None if stream is None else stream.read(HEAD_BYTES)
            if _base(info.name) == WHOLE[0]:
                break
    return heads


def _is_wanted(name: str) -> bool:
    """Return whether a file is not a macOS metadata file (`__MACOSX/._fer2013.csv`)."""
    return not any(part.startswith((".", "__MACOSX")) and part != "." for part in PurePosixPath(name).parts)
