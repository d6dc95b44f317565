"""The output folder, on this machine or in an object store: files that are there whole or not at all."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.locations import Location, join, kind_of_error, locate, why
from mien.bulk.retries import with_retries
from mien.errors import DataError, MienError
from mien.files import remove_leftovers, replacing
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa


class Storage:
    """Files below one folder. It can be pickled, so that workers on other machines get it.

    Names are relative and use `/`. A file is written aside, flushed to the disk and renamed, or uploaded in one
    request, which object stores make visible at its end; a kill at any moment leaves the old file or the new one.

    Args:
        root: a folder of this machine or a URL of fsspec.
        storage_options: what the URL's file system takes.

    Raises:
        MissingExtra: a package for this kind of URL is not installed.
    """

    def __init__(self, root: str, storage_options: dict[str, Any] | None = None) -> None:
        self.root = root
        self._options = dict(storage_options or {})
        self._place = locate(root, self._options)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.root, self._options)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self._place.filesystem is None

    def path(self, name: str = "") -> str:
        """The path or URL of a file, as a user would write it."""
        return join(self.root, name) if name else self.root

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        place = self._at(name)
        if place.filesystem is None:
            return os.path.exists(place.path)  # noqa: PTH110
        with _telling(self.path(name)):
            _forget_listings(place)
            return bool(with_retries(lambda: place.filesystem.exists(place.path)))

    def names(self, folder: str = "") -> list[str]:
        """The names of the files and folders in a folder, sorted; none where there is no such folder."""
        place = self._at(folder)
        try:
            if place.filesystem is None:
                return sorted(os.listdir(place.path))  # noqa: PTH208
            _forget_listings(place)
            found = with_retries(lambda: place.filesystem.ls(place.path, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:
            raise _error(self.path(folder), error) from error
        inside = place.path.rstrip("/") + "/"
        return sorted(one.rstrip("/").rsplit("/", 1)[-1] for one in found if one.rstrip("/") + "/" != inside)

    def sizes(self, folder: str) -> dict[str, int]:
        """The files in a folder that end in .parquet, with their sizes in bytes."""
        place = self._at(folder)
        if place.filesystem is None:
            root = Path(place.path)
            found = {one.name: one.stat().st_size for one in root.glob("*.parquet")} if root.is_dir() else {}
        else:
            try:
                _forget_listings(place)
                listed = with_retries(lambda: place.filesystem.ls(place.path, detail=True))
            except FileNotFoundError:
                listed = []
            except Exception as error:
                raise _error(self.path(folder), error) from error
            found = {one["name"].rsplit("/", 1)[-1]: int(one["size"] or 0) for one in listed}
        return {name: found[name] for name in sorted(found) if name.endswith(".parquet") and name[0] != "."}

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: it cannot be read.
        """
        place = self._at(name)
        with _telling(self.path(name)):
            if place.filesystem is None:
                return Path(place.path).read_bytes()
            return bytes(with_retries(lambda: place.filesystem.cat_file(place.path)))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object.

        Raises:
            DataError: it cannot be read or is damaged.
        """
        try:
            data = json.loads(self.read(name))
        except ValueError as error:
            raise DataError(f"{quoted_path(self.path(name))}: expected JSON, got a damaged file.") from error
        if not isinstance(data, dict):
            raise DataError(f"{quoted_path(self.path(name))}: expected a JSON object, got something else.")
        return data

    def write(self, name: str, data: bytes, before: Callable[[], None] = lambda: None) -> None:
        """Write a file whole or not at all; one of that name is replaced.

        Args:
            name: of the file.
            data: its content.
            before: called at the last moment at which the file can be held back: on this machine before it is renamed,
                on a file system of fsspec before it is uploaded. If it raises an error, nothing is written.

        Raises:
            DataError: it cannot be written.
        """
        place = self._at(name)
        if place.filesystem is not None:
            before()
            with _telling(self.path(name)):
                with_retries(lambda: place.filesystem.pipe_file(place.path, data))
            return
        path = Path(place.path)
        try:
            with replacing(path) as aside:
                aside.write_bytes(data)
                before()
        except OSError as error:
            raise DataError(
                f"{quoted_path(str(path))}: this file cannot be written: {why(error)}. What is committed stays; run it "
                "again with `resume=True` when it can."
            ) from error
        _flush_folder(path.parent)

    def write_json(self, name: str, data: Any) -> None:
        """Write JSON."""
        self.write(name, json.dumps(data, indent=1).encode())

    def remove(self, name: str) -> None:
        """Remove a file; it is no error where there is none."""
        place = self._at(name)
        with _telling(self.path(name)), suppress(FileNotFoundError):
            if place.filesystem is None:
                Path(place.path).unlink(missing_ok=True)
            else:
                with_retries(lambda: place.filesystem.rm_file(place.path))

    def remove_leftovers(self, folder: str) -> None:
        """Remove what a process that was killed left half written."""
        place = self._at(folder)
        if place.filesystem is None and Path(place.path).is_dir():
            remove_leftovers(place.path)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file, or some of its columns."""
        import pyarrow.parquet as pq

        with _telling(self.path(name)):
            return with_retries(lambda: pq.read_table(self._source(name), columns=columns, partitioning=None))

    def parquet(self, name: str) -> Any:
        """A Parquet file that is opened (`pyarrow.parquet.ParquetFile`)."""
        import pyarrow.parquet as pq

        with _telling(self.path(name)):
            return with_retries(lambda: pq.ParquetFile(self._source(name)))

    def filesystem_paths(self, names: list[str]) -> tuple[list[str], Any]:
        """The paths of files and the file system of fsspec that they are on; `None` for this machine's."""
        return [self._at(name).path for name in names], self._place.filesystem

    def _source(self, name: str) -> Any:
        place = self._at(name)
        return place.path if place.filesystem is None else place.filesystem.open(place.path, "rb")

    def _at(self, name: str) -> Location:
        filesystem, path = self._place
        return Location(filesystem, f"{path.rstrip('/')}/{name}" if name else path)


def _forget_listings(place: Location) -> None:
    """Have a folder listed anew: other processes write there, too."""
    for path in {place.path, place.filesystem._parent(place.path)}:  # noqa: SLF001 - what every file system of fsspec has
        place.filesystem.invalidate_cache(path)


def _flush_folder(folder: Path) -> None:
    """Have a rename on disk, where the system can do that for a folder."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class _telling:  # noqa: N801 - reads as a statement
    """Errors of a file system as one sentence."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, MienError) or not isinstance(error, Exception):
            return
        raise _error(self._name, error) from error


def _error(name: str, error: Exception) -> DataError:
    remedy = {
        "missing": "Is the name right?",
        "forbidden": "Check the credentials and their rights.",
        "unreachable": "Run it again with `resume=True` when it can be reached.",
    }.get(kind_of_error(error), "")
    return DataError(f"{quoted_path(name)}: {why(error)}. {remedy}".rstrip())


def encode_table(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file, compressed by zstd."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def iterate_batches(storage: Storage, name: str, columns: list[str] | None = None) -> Iterator[Any]:
    """The record batches of a Parquet file, a few thousand rows each."""
    yield from storage.parquet(name).iter_batches(batch_size=4096, columns=columns)
