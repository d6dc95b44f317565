"""Archives of folders of images, as Kaggle gives them (`archive.zip`), read from a temporary folder."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 50 * 2**30
"""What an archive may hold unpacked."""

_MOST_FILES = 5_000_000
_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm",
     ".heic", ".heif", ".avif"}
)  # fmt: skip
_FEWEST = 2


def holds_images(path: Path) -> bool:
    """Whether a file is a zip or tar archive of images in folders, and of no table of pixels."""
    try:
        names = _names(path)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError):
        return False
    images = [name for name in names if _is_image(name) and len(PurePosixPath(name).parts) > 1]
    return len(images) >= _FEWEST


def _names(path: Path) -> list[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if _is_wanted(name)]
    with path.open("rb") as file:
        head = file.read(6)
    if not (head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or path.suffix == ".tar"):
        return []
    with tarfile.open(path) as archive:
        return [info.name for info in archive if info.isfile() and _is_wanted(info.name)]


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The images of an archive in a temporary folder, which is removed at the end.

    Raises:
        DataError: the archive is damaged or locked, or holds more than a disk should take.
    """
    with tempfile.TemporaryDirectory(prefix="mien-archive-") as folder:
        try:
            _unpack(path, Path(folder))
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"{path}: expected an archive of images that can be unpacked, got: {reason[:80]}. Unpack it yourself "
                "and give the folder."
            ) from error
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir() and _is_wanted(info.filename)]
            _require_bounded(path, [info.file_size for info in infos])
            for info in infos:
                with archive.open(info) as stream:
                    _copy(stream, folder, info.filename)
        return
    with tarfile.open(path) as tar:
        members = [info for info in tar.getmembers() if info.isfile() and _is_wanted(info.name)]
        _require_bounded(path, [info.size for info in members])
        for entry in members:
            if (member := tar.extractfile(entry)) is not None:
                _copy(member, folder, entry.name)


def _copy(stream: IO[bytes], folder: Path, name: str) -> None:
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in {"/", "..", "."}]
    target = folder.joinpath(*(part.replace(":", "_") for part in parts))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(stream, file)


def _require_bounded(path: Path, sizes: list[int]) -> None:
    if sum(sizes) > _MOST_BYTES or len(sizes) > _MOST_FILES:
        raise DataError(
            f"{path}: expected an archive of at most {_MOST_BYTES >> 30} GiB unpacked and {_MOST_FILES:,} files, got "
            f"{sum(sizes) / 2**30:.1f} GiB in {len(sizes):,} files. Unpack it yourself and give the folder."
        )


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _ENDINGS


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts) and not name.endswith("/")
