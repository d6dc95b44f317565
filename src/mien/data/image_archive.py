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
from typing import IO, TYPE_CHECKING, NoReturn

from mien.data.archive_links import ends_of, goal_of, is_wanted, place_of
from mien.data.packed import MOST_MEMBERS, packing_of, stream_tar
from mien.errors import DataError
from mien.labels import quote
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
_MOST_NESTED = 16  # maximum depth of links to folders that contain links to folders
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
            yield from filter(is_wanted, archive.namelist())
        return
    with path.open("rb") as file, ExitStack() as stack:
        packing = packing_of(file.read(6))
        if packing == "plain" and path.suffix != ".tar":
            return
        for info in stream_tar(file, packing, stack).entries(MOST_MEMBERS):
            if (info.isfile() or info.islnk() or info.issym()) and is_wanted(info.name):
                yield info.name


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack the files of an archive to a temporary folder, which is removed at the end of the block.

    A link in a tar archive becomes a copy of the file or folder in the archive that it leads to.

    Raises:
        DataError: If the archive is damaged or encrypted, exceeds the size limits, has two members for one file, or has
            links that lead to no file in it.
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
    packed, target = path.stat().st_size, _Target(path, folder)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir() and is_wanted(info.filename)]
            _require_bounded(path, packed, sum(info.file_size for info in infos), len(infos))
            for info in infos:
                with archive.open(info) as stream:
                    target.write(stream, info.filename)
        return
    with path.open("rb") as file, ExitStack() as stack:
        tar = stream_tar(file, packing_of(file.read(6)), stack)
        for entry in tar.entries(_most_files(packed)):
            target.count += 1
            if not is_wanted(entry.name):
                continue
            if entry.issym() or entry.islnk():
                target.add_link(entry)
            elif entry.isfile() and (member := tar.extractfile(entry)) is not None:
                target.require_space(entry.size)
                target.write(member, entry.name)
    target.resolve_links()


class _Target:
    """The folder that the members of an archive are unpacked to, each to its place: a path below the folder.

    Args:
        archive: the archive.
        folder: the folder.

    Attributes:
        count: number of members and of copied files.
    """

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive, self._folder = archive, folder
        self._packed = archive.stat().st_size
        self._names: dict[str, str] = {}
        self._links: dict[str, str | None] = {}
        self._size = self.count = 0

    def require_space(self, size: int) -> None:
        """Count the bytes of a file that will be written.

        Raises:
            UnpackError: If the limits are exceeded.
        """
        self._size += size
        _require_bounded(self._archive, self._packed, self._size, self.count)

    def write(self, stream: IO[bytes], name: str) -> None:
        """Write a member; of several members with one name, the last one stays.

        Raises:
            DataError: If a member with another name has the same place.
        """
        place = self._claim(name)
        self._links.pop(place, None)
        target = self._folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(stream, file)

    def add_link(self, entry: tarfile.TarInfo) -> None:
        """Remember a link, because the file that it leads to may come later.

        Raises:
            DataError: If a member with another name has the same place.
        """
        place, goal = self._claim(entry.name), goal_of(entry)
        if goal == place and (self._folder / place).is_file():  # tar's entry for a file that is added again
            return
        (self._folder / place).unlink(missing_ok=True)
        self._links[place] = goal

    def resolve_links(self) -> None:
        """Copy the files and folders that links lead to.

        Raises:
            DataError: If a link leads to none in the archive, or the limits are exceeded.
        """
        links = ends_of(self._links)
        for _ in range(_MOST_NESTED):
            unfinished = {str(parent) for place in links for parent in PurePosixPath(place).parents}
            rest = {
                place: goal for place, goal in links.items() if not self._resolve(place, goal, unfinished)
            }
            if not rest:
                return
            if len(rest) == len(links):
                break
            links = rest
        if not (links := {place: goal for place, goal in links.items() if _may_be_data(place)}):
            return
        lead = "link that leads" if len(links) == 1 else "links that lead"
        raise DataError(
            f"{self._archive}: expected links to files in the archive, got {len(links):,} {lead} to none, such as "
            f"{quote(self._names[next(iter(links))])}. Unpack it yourself and give the folder."
        )

    def _resolve(self, place: str, goal: str | None, unfinished: set[str]) -> bool:
        """Copy the file or folder that a link leads to; return whether it is there, without links below it."""
        if goal is None or goal in unfinished:
            return False
        source, target = self._folder / goal, self._folder / place
        files = [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]
        if not files:
            return False
        self._require_free(place, self._names[place])
        self.count += len(files) - 1  # the link is counted already
        for file in files:
            self.require_space(file.stat().st_size)
            copy = target if file == source else target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        return True

    def _claim(self, name: str) -> str:
        """Return the place of a member, which no member with another name may have."""
        place, plain = place_of(name), str(PurePosixPath(name))
        if place not in self._names:
            self._require_free(place, name)
        elif self._names[place] != plain:
            self._refuse(place, name)
        self._names[place] = plain
        return place

    def _require_free(self, place: str, name: str) -> None:
        """Check that a place is free, also on a file system that ignores case."""
        if (self._folder / place).exists():
            self._refuse(place, name)

    def _refuse(self, place: str, name: str) -> NoReturn:
        raise DataError(
            f"{self._archive}: expected members that are different files when they are unpacked, got {quote(name)} for "
            f"{quote(place)}, which is taken by another one. Unpack it yourself and give the folder."
        )


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


def _may_be_data(name: str) -> bool:
    """Return whether a link may lead to data: by its ending, or, without one, to a folder of images."""
    return PurePosixPath(name).suffix.lower() in {"", ".csv", ".tsv", ".txt", *_ENDINGS, *_DATA_ENDINGS}
