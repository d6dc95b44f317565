"""Read archives of image folders, Parquet files or arrays by unpacking them to a temporary folder."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from mien.data.packed import MOST_MEMBERS, packing_of, stream_tar
from mien.errors import DataError
from mien.unpacking import UnpackError, budget_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 50 * 2**30
"""Maximum unpacked size of an archive."""

_MOST_FILES = 5_000_000
_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm",
     ".heic", ".heif", ".avif"}
)  # fmt: skip
_DATA_ENDINGS = frozenset({".parquet", ".npz"})
_FEWEST = 2
_FEWEST_BYTES = 100  # compressed bytes per file; an image of 48x48 pixels takes about 500
_BROKEN = (
    EOFError, OSError, RuntimeError, zlib.error, lzma.LZMAError, tarfile.TarError,
    zipfile.BadZipFile,
)  # fmt: skip


def must_be_unpacked(path: Path) -> bool:
    """Return whether a file is a zip or tar archive of images in folders, of Parquet files or of an `.npz` file.

    Reading stops at the second image.

    Raises:
        UnpackError: If a tar archive has oversized headers or unpacks to more than its budget.
    """
    found = 0
    try:
        for name in _names(path):
            found += _is_image(name) and len(PurePosixPath(name).parts) > 1
            if found >= _FEWEST or PurePosixPath(name).suffix.lower() in _DATA_ENDINGS:
                return True
    except _BROKEN:
        return False
    return False


def class_folder_names(path: Path) -> set[str]:
    """Return the names of the folders that directly contain images in a zip archive; empty for other files."""
    try:
        if not zipfile.is_zipfile(path):
            return set()
        return {PurePosixPath(name).parent.name for name in _names(path) if _is_image(name)} - {""}
    except _BROKEN:
        return set()


def _names(path: Path) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from filter(_is_wanted, archive.namelist())
        return
    with path.open("rb") as file, ExitStack() as stack:
        packing = packing_of(file.read(6))
        if packing == "plain" and path.suffix != ".tar":
            return
        for info in stream_tar(file, packing, stack).entries(MOST_MEMBERS):
            if info.isfile() and _is_wanted(info.name):
                yield info.name


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack the files of an archive to a temporary folder, which is removed at the end of the block.

    Raises:
        DataError: If the archive is damaged or encrypted, or exceeds the size limits.
    """
    with tempfile.TemporaryDirectory(prefix="mien-archive-") as folder:
        try:
            _unpack(path, Path(folder))
        except _BROKEN as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"{path}: expected an archive that can be unpacked, got: {reason[:80]}. Unpack it yourself "
                "and give the folder."
            ) from error
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    packed = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir() and _is_wanted(info.filename)]
            _require_bounded(path, packed, sum(info.file_size for info in infos), len(infos))
            for info in infos:
                with archive.open(info) as stream:
                    _copy(stream, folder, info.filename)
        return
    with path.open("rb") as file, ExitStack() as stack:
        tar = stream_tar(file, packing_of(file.read(6)), stack)
        size = 0
        for count, entry in enumerate(tar.entries(_most_files(packed)), start=1):
            if entry.isfile() and _is_wanted(entry.name) and (member := tar.extractfile(entry)) is not None:
                size += entry.size
                _require_bounded(path, packed, size, count)
                _copy(member, folder, entry.name)


def _copy(stream: IO[bytes], folder: Path, name: str) -> None:
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in {"/", "..", "."}]
    target = folder.joinpath(*(part.replace(":", "_") for part in parts))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(stream, file)


def _require_bounded(path: Path, packed: int, size: int, count: int) -> None:
    most, files = min(_MOST_BYTES, budget_of(packed)), _most_files(packed)
    if size > most or count > files:
        raise UnpackError(
            f"{path}: expected an archive of at most {most >> 20:,} MB unpacked and {files:,} files, got "
            f"{size >> 20:,} MB in {count:,} files. Unpack it yourself and give the folder."
        )


def _most_files(packed: int) -> int:
    """Return the maximum number of files in an archive of a size in bytes."""
    return min(max(MOST_MEMBERS, packed // _FEWEST_BYTES), _MOST_FILES)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _ENDINGS


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts) and not name.endswith("/")
