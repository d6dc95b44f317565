"""Expand sources into inputs: files, folders, globs, lists, tables, tars and URLs."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.bulk.container_inputs import (
    PARQUET,
    PLAIN_TAR,
    entries_of_list,
    entries_of_parquet,
    entries_of_tar,
    is_packed_tar,
    kind_of_name,
)
from mien.bulk.entries import Entry
from mien.bulk.locations import (
    Location,
    kind_of_error,
    local_path,
    locate,
    require_no_password,
    scheme_of,
    uri_of_path,
    url_in,
    why,
)
from mien.bulk.retries import with_retries
from mien.errors import DataError
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LISTS = frozenset({".txt", ".lst", ".list", ".csv", ".tsv"})
"""Extensions of files that list inputs."""

_CONTAINERS = PLAIN_TAR | {PARQUET}
_ETAGS = (
    "ETag", "etag", "md5Hash", "mtime", "blob_id", "last_modified", "LastModified", "modificationTime", "modify",
)  # fmt: skip
"""Keys of fsspec file systems for a value that changes with the content of a file."""

_MAGIC = re.compile(r"[*?\[]")


@dataclass
class Lister:
    """Expands sources into entries.

    Args:
        column: table column that holds URIs or image bytes; detected by default.
        storage_options: options for the fsspec file systems of URLs.
        leave_out: folder that is not searched: the output folder.
        passed_over: number of skipped files by extension.
    """

    column: str | None = None
    storage_options: dict[str, Any] = field(default_factory=dict)
    leave_out: str | None = None
    passed_over: Counter[str] = field(default_factory=Counter)

    def entries(self, sources: Iterable[str | os.PathLike[str]]) -> Iterator[Entry]:
        """Yield the inputs of all sources, in order; an input that is named twice is yielded twice.

        Raises:
            DataError: a source has no inputs or cannot be listed.
            MissingExtra: the package for a URL scheme is not installed.
        """
        for source in sources:
            if not isinstance(source, str | os.PathLike) or not str(source).strip():
                raise DataError(f"Expected a path, a glob or a URL as a source, got {quoted(source)}.")
            uri, count = os.fspath(source), 0
            path = local_path(uri)
            try:
                for entry in self._local(path) if path is not None else self._remote(uri):
                    count += 1
                    yield entry
            except (OSError, ValueError) as error:
                if isinstance(error, DataError):
                    raise
                raise DataError(
                    f"{quoted_path(uri)}: cannot be listed: {why(error)}.{_hint(error)}"
                ) from error
            if not count:
                raise DataError(f"{quoted_path(uri)}: expected images or videos, found none.{self._others()}")

    def _others(self) -> str:
        named = ", ".join(
            f"{n:,} {suffix or 'without an ending'}" for suffix, n in self.passed_over.most_common(3)
        )
        return f" There are files of other kinds ({named})." if named else " Is the name right?"

    def _local(self, path: str) -> Iterator[Entry]:
        if os.path.isdir(path):  # noqa: PTH112 - any name
            yield from self._folder(path)
        elif os.path.exists(path):  # noqa: PTH110
            yield from self._named(uri_of_path(path), os.stat(path))  # noqa: PTH116
        elif _MAGIC.search(path):
            names = sorted(glob.iglob(path, recursive=True))  # noqa: PTH207 - absolute ones too
            for name in names:
                if os.path.isfile(name) and self._is_input(name):  # noqa: PTH113
                    yield from self._named(uri_of_path(name), os.stat(name))  # noqa: PTH116
        else:
            raise DataError(
                f"{quoted_path(path)}: expected a file, a folder, a glob or a URL, found none of that name."
            )

    def _folder(self, folder: str) -> Iterator[Entry]:
        held: list[Entry] = []
        count = 0
        for item in _walk(folder, self.leave_out):
            if isinstance(item, Entry):
                yield item
                continue
            suffix = os.path.splitext(item.name)[1].lower()  # noqa: PTH122
            if kind := kind_of_name(item.name):
                count += 1
                yield _entry_of(item, kind)
            elif suffix in _CONTAINERS and os.path.isfile(item.path):  # noqa: PTH113 - any name
                held.append(_file_entry(uri_of_path(item.path), "image", item.stat()))
            else:
                is_folder = os.path.isdir(item.path)  # noqa: PTH112 - unlike item.is_dir, of a link in a circle, too
                self.passed_over["(link to a folder)" if is_folder else suffix] += 1
        yield from self._held(held, count)

    def _held(self, held: list[Entry], count: int) -> Iterator[Entry]:
        """Expand the tars and Parquet files of a folder, only if it contains no images or videos."""
        for one in held:
            if count:
                self.passed_over[Path(one.uri).suffix] += 1
            else:
                yield from self._opened(one)

    def _is_input(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
        good = bool(kind_of_name(name)) or suffix in _CONTAINERS
        if not good:
            self.passed_over[suffix] += 1
        return good

    def _named(self, uri: str, stat: os.stat_result) -> Iterator[Entry]:
        yield from self._opened(_file_entry(uri, kind_of_name(uri) or "image", stat))

    def _opened(self, entry: Entry) -> Iterator[Entry]:
        """Expand a tar, Parquet file or list; yield any other file itself."""
        suffix = Path(entry.uri).suffix.lower()
        if is_packed_tar(entry.uri):
            raise DataError(
                f"{quoted_path(entry.uri)}: expected a tar that is not compressed, for members of a compressed one "
                "cannot be read one by one. Unpack it, or make a plain tar of it."
            )
        if suffix in PLAIN_TAR:
            yield from entries_of_tar(entry, self.storage_options, self.passed_over)
        elif suffix == PARQUET:
            yield from entries_of_parquet(entry, self.column, self.storage_options, self._of_uri)
        elif suffix in LISTS:
            yield from entries_of_list(entry, self.column, self.storage_options, self._of_uri)
        else:
            yield entry

    def _of_uri(self, text: str, base: str) -> Entry:
        """Create the entry for an item of a list; a path is relative to the current folder or else to the list's."""
        if local_path(text) is None:
            require_no_password(text)
            return Entry(text, kind_of_name(text) or "image")
        path = str(local_path(text))
        beside = os.path.join(os.path.dirname(base), path)  # noqa: PTH118, PTH120
        if not os.path.exists(path) and scheme_of(base) is None and os.path.exists(beside):  # noqa: PTH110
            path = beside
        try:
            return _file_entry(uri_of_path(path), kind_of_name(path) or "image", os.stat(path))  # noqa: PTH116
        except (OSError, ValueError) as error:
            name = uri_of_path(path.replace("\0", ""))
            return Entry(name, error=f"{quoted_path(path)}: {why(error)}.", error_kind=kind_of_error(error))

    def _remote(self, uri: str) -> Iterator[Entry]:
        place = locate(uri, self.storage_options)
        if _MAGIC.search(place.path) and not str(scheme_of(uri)).startswith("http"):
            yield from self._remote_glob(place, uri)
            return
        try:
            info = with_retries(lambda: place.filesystem.info(place.path))
        except Exception as error:
            raise DataError(f"{quoted_path(uri)}: cannot be listed: {why(error)}.{_hint(error)}") from error
        if info.get("type") != "directory":
            yield from self._opened(_remote_entry(uri, kind_of_name(uri) or "image", info))
            return
        held: list[Entry] = []
        count = 0
        for name, item in _remote_files(place):
            if kind := kind_of_name(name):
                count += 1
                yield _remote_entry(url_in(place, uri, name), kind, item)
            elif Path(name).suffix.lower() in _CONTAINERS:
                held.append(_remote_entry(url_in(place, uri, name), "image", item))
            else:
                self.passed_over[Path(name).suffix.lower()] += 1
        yield from self._held(held, count)

    def _remote_glob(self, place: Location, uri: str) -> Iterator[Entry]:
        from fsspec.utils import glob_translate

        wanted = re.compile(glob_translate(place.path))
        literal = place.path[: _MAGIC.search(place.path).start()]  # type: ignore[union-attr]
        prefix = literal.rpartition("/")[0]
        for name, item in _remote_files(Location(place.filesystem, prefix), literal):
            if wanted.match(name) and self._is_input(name):
                yield from self._opened(
                    _remote_entry(url_in(place, uri, name), kind_of_name(name) or "image", item)
                )


def _walk(folder: str, leave_out: str | None) -> Iterator[os.DirEntry[str] | Entry]:
    """Yield the files below a folder, by name; a folder that cannot be opened becomes an entry with an error."""
    try:
        found = sorted(os.scandir(folder), key=lambda one: one.name)
    except OSError as error:
        yield Entry(
            uri_of_path(folder),
            error=f"{quoted_path(folder)}: this folder cannot be opened: {why(error)}.",
            error_kind=kind_of_error(error),
        )
        return
    for one in found:
        if one.name.startswith("."):
            continue
        if one.is_dir(follow_symlinks=False):
            if leave_out is None or os.path.realpath(one.path) != leave_out:
                yield from _walk(one.path, leave_out)
        elif one.is_symlink() or one.is_file():  # in this order: is_file fails for a circular link
            yield one


def _entry_of(item: os.DirEntry[str], kind: Literal["image", "video"]) -> Entry:
    """Create the entry for a file in a folder; a broken link becomes an entry with an error."""
    uri = uri_of_path(item.path)
    try:
        return _file_entry(uri, kind, item.stat())
    except OSError as error:
        told = f"{quoted_path(item.path)}: {why(error)}."
        return Entry(uri, kind, error=told, error_kind=kind_of_error(error))


def _file_entry(uri: str, kind: Literal["image", "video"], stat: os.stat_result) -> Entry:
    return Entry(uri, kind, size=stat.st_size, etag=str(stat.st_mtime_ns))


def _remote_entry(uri: str, kind: Literal["image", "video"], info: dict[str, Any]) -> Entry:
    etag = next((str(info[key]) for key in _ETAGS if info.get(key)), "")
    size = info.get("size")
    return Entry(uri, kind, size=-1 if size is None else int(size), etag=etag.strip('"'))


def _remote_files(place: Location, prefix: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the files below a folder of an object store; S3 is listed page by page, in constant memory."""
    filesystem = place.filesystem
    if "s3" in filesystem.protocol and hasattr(filesystem, "call_s3"):
        yield from _s3_files(filesystem, prefix or f"{place.path.rstrip('/')}/")
        return
    found = with_retries(lambda: filesystem.find(place.path, detail=True))
    for name in sorted(found):
        if found[name].get("type") == "file" and "/." not in name:
            yield name, found[name]


def _s3_files(filesystem: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    bucket, _, prefix = path.partition("/")
    more: dict[str, str] = {}
    while True:
        page = with_retries(
            lambda: filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)  # noqa: B023
        )
        for one in page.get("Contents", ()):
            if not one["Key"].endswith("/") and not re.search(r"(?:^|/)\.", one["Key"]):
                yield f"{bucket}/{one['Key']}", {"size": one["Size"], "ETag": one.get("ETag")}
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _hint(error: BaseException) -> str:
    return {
        "missing": " Is the name right?",
        "forbidden": " Check the credentials and their rights.",
        "unreachable": " Is the address right, and the server up?",
    }.get(kind_of_error(error), "")
