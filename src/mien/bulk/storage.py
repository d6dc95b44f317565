"""The output folder, local or in an object store, with atomic file writes."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.locations import Location, join, kind_of_error, locate, why
from mien.bulk.remote_reads import info_of
from mien.bulk.retries import with_retries
from mien.errors import DataError, MienError
from mien.files import remove_leftovers, replacing
from mien.quoting import quoted_path

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

    import pyarrow as pa


class Storage:
    """Files below one folder. Instances can be pickled and sent to workers on other machines.

    Names are relative and use `/`. A local file is written under a temporary name, flushed to disk and renamed; a
    remote file is uploaded in one request, which object stores make visible when it completes. A kill at any time
    leaves the old file or the new one.

    Args:
        root: a local folder or an fsspec URL.
        storage_options: options for the file system of the URL.

    Raises:
        MissingExtra: fsspec or s3fs is not installed.
    """

    def __init__(self, root: str, storage_options: dict[str, Any] | None = None) -> None:
        self.root = root
        self._options = dict(storage_options or {})
        self._place = locate(root, self._options)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.root, self._options)

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine."""
        return self._place.filesystem is None

    @property
    def place(self) -> Location:
        """File system and path of the folder."""
        return self._place

    @property
    def options(self) -> dict[str, Any]:
        """Options for the file system of the URL."""
        return self._options

    def path(self, name: str = "") -> str:
        """Return the path or URL of a file, as a user would write it."""
        return join(self.root, name) if name else self.root

    def exists(self, name: str) -> bool:
        """Return whether a file exists.

        Raises:
            DataError: the file system cannot be asked. The method `exists` of fsspec would return false then.
        """
        place = self._at(name)
        with _telling(self.path(name)):
            try:
                if place.filesystem is None:
                    Path(place.path).stat()
                else:
                    _forget_listings(place)
                    with_retries(lambda: info_of(place.filesystem, place.path))
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def names(self, folder: str = "") -> list[str]:
        """Return the sorted names of the files and folders in a folder; empty if the folder does not exist."""
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

    def documents(self, folder: str) -> list[str]:
        """Return the sorted names of the .json files in a folder, without temporary ones that a killed process left."""
        return [name for name in self.names(folder) if name.endswith(".json") and name[0] != "."]

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the .parquet files in a folder, sorted by name, with their sizes in bytes."""
        place = self._at(folder)
        try:
            if place.filesystem is None:
                found = _local_sizes(place.path)
            else:
                _forget_listings(place)
                listed = with_retries(lambda: place.filesystem.ls(place.path, detail=True))
                found = {one["name"].rsplit("/", 1)[-1]: int(one["size"] or 0) for one in listed}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except Exception as error:
            raise _error(self.path(folder), error) from error
        return {name: found[name] for name in sorted(found) if name.endswith(".parquet") and name[0] != "."}

    def read(self, name: str) -> bytes:
        """Read the content of a file.

        Raises:
            DataError: the file cannot be read.
        """
        place = self._at(name)
        with _telling(self.path(name)):
            if place.filesystem is None:
                return Path(place.path).read_bytes()
            return bytes(with_retries(lambda: place.filesystem.cat_file(place.path)))

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object.

        Raises:
            DataError: the file cannot be read or is damaged.
        """
        try:
            data = json.loads(self.read(name))
        except ValueError as error:
            raise DataError(f"{quoted_path(self.path(name))}: expected JSON, got a damaged file.") from error
        if not isinstance(data, dict):
            raise DataError(f"{quoted_path(self.path(name))}: expected a JSON object, got something else.")
        return data

    def write(self, name: str, data: bytes, before: Callable[[], None] = lambda: None) -> None:
        """Write a file atomically; an existing file is replaced.

        Args:
            name: name of the file.
            data: content of the file.
            before: callback at the last moment before the file becomes visible: before the rename of a local file, or
                before the upload to an fsspec file system. If it raises an error, nothing is written.

        Raises:
            DataError: the file cannot be written.
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
        """Write data as JSON."""
        self.write(name, json.dumps(data, indent=1).encode())

    def remove(self, name: str) -> None:
        """Remove a file; do nothing if it does not exist."""
        place = self._at(name)
        with _telling(self.path(name)), suppress(FileNotFoundError):
            if place.filesystem is None:
                Path(place.path).unlink(missing_ok=True)
            else:
                with_retries(lambda: place.filesystem.rm_file(place.path))

    def remove_folder(self, folder: str, names: re.Pattern[str]) -> None:
        """Remove the files of a folder whose names match a pattern, and the folder if it is empty then.

        Partially written files of killed processes are removed, too.
        """
        self.remove_leftovers(folder)
        for name in self.names(folder):
            if names.fullmatch(name):
                self.remove(f"{folder}/{name}")
        place = self._at(folder)
        if place.filesystem is None:
            with suppress(OSError):  # it holds other files
                Path(place.path).rmdir()

    def remove_leftovers(self, folder: str) -> None:
        """Remove partially written files of killed processes from a local folder."""
        place = self._at(folder)
        if place.filesystem is None and Path(place.path).is_dir():
            remove_leftovers(place.path)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a Parquet file, or some of its columns."""
        import pyarrow.parquet as pq

        with _telling(self.path(name)):
            return with_retries(lambda: pq.read_table(self._source(name), columns=columns, partitioning=None))

    def parquet(self, name: str) -> Any:
        """Open a Parquet file as a `pyarrow.parquet.ParquetFile`."""
        import pyarrow.parquet as pq

        with _telling(self.path(name)):
            return with_retries(lambda: pq.ParquetFile(self._source(name)))

    def filesystem_paths(self, names: list[str]) -> tuple[list[str], Any]:
        """Return the paths of files and their fsspec file system; `None` for local files."""
        return [self._at(name).path for name in names], self._place.filesystem

    def _source(self, name: str) -> Any:
        place = self._at(name)
        return place.path if place.filesystem is None else place.filesystem.open(place.path, "rb")

    def _at(self, name: str) -> Location:
        filesystem, path = self._place
        return Location(filesystem, f"{path.rstrip('/')}/{name}" if name else path)


def _local_sizes(folder: str) -> dict[str, int]:
    """Return the files in a folder with their sizes, without those that are hidden, or renamed or removed meanwhile."""
    found = {}
    for item in os.scandir(folder):
        with suppress(FileNotFoundError):
            if not item.name.startswith("."):
                found[item.name] = item.stat().st_size
    return found


def _forget_listings(place: Location) -> None:
    """Invalidate cached listings of a folder, because other processes also write to it."""
    for path in {place.path, place.filesystem._parent(place.path)}:  # noqa: SLF001 - what every file system of fsspec has
        place.filesystem.invalidate_cache(path)


def _flush_folder(folder: Path) -> None:
    """Flush a rename to disk, if the operating system supports this for folders."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class _telling:  # noqa: N801 - reads as a statement
    """Context manager that converts errors of a file system to `DataError`."""

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
    """Encode a table as Parquet with zstd compression."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def iterate_batches(storage: Storage, name: str, columns: list[str] | None = None) -> Iterator[Any]:
    """Yield the record batches of a Parquet file, up to 4096 rows each."""
    yield from storage.parquet(name).iter_batches(batch_size=4096, columns=columns)
