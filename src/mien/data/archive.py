"""Opens the CSV files inside a plain file, a `.gz`, `.xz`, `.bz2`, `.zip` or `.tar.*`, as streams of bytes.

What a file is, is told by its first bytes, never by its name: downloads are renamed and saved pages pose as
archives. Nothing is unpacked to disk. This room knows nothing of what stands in the files.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

PREFERRED = (
    ("fer2013.csv",),
    ("icml_face_data.csv",),
    ("train.csv", "test.csv"),
    ("train.csv",),
    ("test.csv",),
)
"""The tables to look for among several files, the best first; names that stand together are read together."""

_PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}
_UNREADABLE = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"  # POSIX.1-1988, the header block of the first member
_BUFFER = 1 << 20  # bytes; tarfile's own 10 kB makes a stream several times slower

_BROKEN = (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile)


@dataclass(frozen=True)
class Member:
    """One CSV file, open for reading.

    Args:
        name: the name for messages: that of the file, and of the member inside it if it is an archive.
        stream: its text as bytes, unpacked.
    """

    name: str
    stream: IO[bytes]


def open_tables(path: Path, file: IO[bytes]) -> Generator[Member]:
    """The CSV file or files that a file holds, each open until the next one is asked for.

    Args:
        path: where the file lies, for messages only.
        file: the same, open in binary mode and able to seek.

    Yields:
        One member, or the two of the competition's `train.csv` and `test.csv`.

    Raises:
        DataError: the archive is cut off, damaged, locked, of another kind or without a table.
    """
    with explain_damage(str(path)):
        kind = _kind(file, str(path))
        if kind == "zip":
            yield from _open_zip(path, file)
        elif _is_tar(file, kind):
            yield from _open_tar(path, file, kind)
        else:
            with ExitStack() as stack:
                yield Member(str(path), _unpack(file, kind, stack))


def choose_tables(names: list[str], where: str) -> list[str]:
    """Those of some file names that make up a data set: see `PREFERRED`; else the only CSV file.

    Raises:
        DataError: none is a CSV file, or several are and none has a known name.
    """
    tables = [name for name in names if name.lower().endswith(".csv")]
    bases = {_base(name): name for name in reversed(tables)}
    for wanted in PREFERRED:
        if all(base in bases for base in wanted):
            return [bases[base] for base in wanted]
    if len(tables) == 1:
        return tables
    found = ", ".join(sorted(tables or names)[:5]) or "nothing"
    raise DataError(f"{where}: expected fer2013.csv or another single CSV file inside, found {found}.")


def _base(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name.lower()


@contextmanager
def explain_damage(name: str) -> Iterator[None]:
    """Turn what the unpackers raise into one sentence."""
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
    """`zip`, a packing of `_PACKED`, or `plain`."""
    head = file.read(8)
    file.seek(0)
    for magic, kind in _UNREADABLE.items():
        if head.startswith(magic):
            raise DataError(
                f"{name}: expected CSV text or a gz, xz, zip or tar archive, got {kind}. Unpack it first."
            )
    if head.startswith(_ZIP):
        return "zip"
    return next((kind for magic, kind in _PACKED.items() if head.startswith(magic)), "plain")


def _unpack(file: IO[bytes], kind: str, stack: ExitStack) -> IO[bytes]:
    """The file from its start, unpacked; what was opened is closed with the stack, the file itself is not."""
    file.seek(0)
    if kind == "gzip":
        return cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file)))
    if kind == "xz":
        return cast("IO[bytes]", stack.enter_context(lzma.LZMAFile(file)))
    if kind == "bzip2":
        return cast("IO[bytes]", stack.enter_context(bz2.BZ2File(file)))
    return file


def _is_tar(file: IO[bytes], kind: str) -> bool:
    with ExitStack() as stack:
        head = _unpack(file, kind, stack).read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    return head[_TAR_MAGIC_AT:] == _TAR_MAGIC


def _open_zip(path: Path, file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        names = [
            info.filename for info in archive.infolist() if not info.is_dir() and _is_wanted(info.filename)
        ]
        for name in choose_tables(names, str(path)):
            with archive.open(name) as stream:
                yield Member(f"{path}/{name}", stream)


def _open_tar(path: Path, file: IO[bytes], kind: str) -> Iterator[Member]:
    for wanted in choose_tables(_tar_names(file, kind), str(path)):
        # A tar has no list of contents, and going back in a packed one means unpacking it again: each table
        # gets a pass of its own, in which the others are skipped.
        with ExitStack() as stack:
            archive = _stream_tar(file, kind, stack)
            for info in archive:
                stream = archive.extractfile(info) if info.name == wanted else None
                if stream is not None:
                    yield Member(f"{path}/{wanted}", stream)
                    break


def _tar_names(file: IO[bytes], kind: str) -> list[str]:
    """The names of the files in a tar; the reading ends at the first choice, for nothing can be better."""
    names = []
    with ExitStack() as stack:
        for info in _stream_tar(file, kind, stack):
            if info.isfile() and _is_wanted(info.name):
                names.append(info.name)
                if _base(info.name) == PREFERRED[0][0]:
                    break
    return names


def _stream_tar(file: IO[bytes], kind: str, stack: ExitStack) -> tarfile.TarFile:
    return stack.enter_context(tarfile.open(fileobj=_unpack(file, kind, stack), mode="r|", bufsize=_BUFFER))


def _is_wanted(name: str) -> bool:
    """Not one of the shadow files (`__MACOSX/._fer2013.csv`) that a Mac puts into archives."""
    return not any(part.startswith((".", "__MACOSX")) and part != "." for part in PurePosixPath(name).parts)
