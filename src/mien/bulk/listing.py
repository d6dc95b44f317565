"""Expand sources into inputs: files, folders, globs, lists, tables, tars and URLs."""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import groupby
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

from mien.bulk.container_inputs import entries_of_list, entries_of_parquet
from mien.bulk.entries import Entry
from mien.bulk.input_kinds import (
    CONTAINERS,
    LISTS,
    PARQUET,
    PLAIN_TAR,
    is_http,
    is_packed_tar,
    kind_of_name,
    suffix_of,
    without_query,
)
from mien.bulk.listing_ahead import Ahead, in_order
from mien.bulk.listing_errors import hint, or_failed, or_refused, refused_packed, require_package
from mien.bulk.local_listing import MAGIC, any_match, entry_of, file_entry, walk
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
from mien.bulk.remote_listing import path_on_this_machine, remote_entry, remote_files, remote_matches
from mien.bulk.remote_reads import info_of
from mien.bulk.retries import TRIES, with_retries
from mien.bulk.tar_inputs import entries_of_tar
from mien.errors import DataError
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator


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
    leave_out: Location | None = None
    passed_over: Counter[str] = field(default_factory=Counter)
    _open_lists: list[str] = field(default_factory=list)
    _schemes: set[str] = field(default_factory=set)  # of URLs in lists, whose packages are installed
    _left_out: str | None = None
    _is_ahead: bool = False
    """Whether this one lists a tar in advance, in a thread that lists what it finds itself."""

    def __post_init__(self) -> None:
        path = path_on_this_machine(self.leave_out)
        self._left_out = os.path.realpath(path) if path is not None else None

    def entries(self, sources: Iterable[str | os.PathLike[str]]) -> Generator[Entry, None, None]:
        """Yield the inputs of all sources, in order; an input that is named twice is yielded twice.

        Closing the generator early ends the threads that list in advance.

        Raises:
            DataError: a source has no inputs or cannot be listed, or the package for a URL scheme is not installed.
            MissingExtra: the same, for a package that an extra of mien installs.
        """
        yield from in_order(self._source(source) for source in sources)

    def _source(self, source: str | os.PathLike[str]) -> Iterator[Entry]:
        if not isinstance(source, str | os.PathLike) or not str(source).strip():
            raise DataError(f"Expected a path, a glob or a URL as a source, got {quoted(source)}.")
        uri = os.fspath(source)
        path = local_path(uri)
        if path is None:
            found = self._url(uri)
        elif suffix_of(path) in PLAIN_TAR and os.path.isfile(path):  # noqa: PTH113 - any name
            found = self._ahead(Lister._local, path)
        else:
            found = self._local(path)
        return or_refused(uri, found, self.passed_over)

    def _url(self, uri: str) -> Iterator[Entry]:
        """Expand a URL; that of a tar in a thread, but not a glob of tars, each of which has a thread of its own."""
        if suffix_of(uri) in PLAIN_TAR and not _may_be_glob(uri):
            return self._ahead(Lister._remote, uri)
        return self._remote(uri)

    def _ahead(self, expand: Callable[[Lister, Any], Iterator[Entry]], what: Any) -> Iterator[Entry]:
        """Expand something with a lister of its own in a thread, which starts at once."""
        if self._is_ahead:
            return expand(self, what)
        other = replace(self, passed_over=Counter(), _open_lists=[*self._open_lists], _is_ahead=True)
        return Ahead(lambda: expand(other, what), lambda: self.passed_over.update(other.passed_over))

    def _local(self, path: str) -> Iterator[Entry]:
        if os.path.isdir(path):  # noqa: PTH112 - any name
            yield from self._folder(path)
        elif os.path.exists(path):  # noqa: PTH110
            yield from self._named(uri_of_path(path), os.stat(path))  # noqa: PTH116
        elif MAGIC.search(path):
            yield from self._glob(path)
        else:
            raise DataError(
                f"{quoted_path(path)}: expected a file, a folder, a glob or a URL, found none of that name."
            )

    def _glob(self, pattern: str) -> Iterator[Entry]:
        """Expand a glob: its files and, unless it contains `**`, which finds the files below, its folders."""
        names = sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207 - absolute ones too
        yield from in_order(self._globbed(name, pattern) for name in names)

    def _globbed(self, name: str, pattern: str) -> Iterator[Entry]:
        if os.path.isdir(name):  # noqa: PTH112
            return self._folder(name) if "**" not in pattern and not self._is_left_out(name) else iter(())
        of_a_job = suffix_of(name) == PARQUET and self._is_left_out(name)
        try:
            stat = os.stat(name)  # noqa: PTH116
        except OSError:  # a broken link, or a file that was removed since
            return iter(())
        if of_a_job or not S_ISREG(stat.st_mode) or not self._is_input(name):
            return iter(())
        return self._named(uri_of_path(name), stat)

    def _is_left_out(self, name: str) -> bool:
        return self._left_out is not None and f"{os.path.realpath(name)}/".startswith(f"{self._left_out}/")

    def _folder(self, folder: str) -> Iterator[Entry]:
        held: list[Entry] = []
        count = 0
        for item in walk(folder, self._left_out):
            if isinstance(item, Entry):
                yield item
                continue
            suffix = suffix_of(item.name)
            if kind := kind_of_name(item.name):
                count += 1
                yield entry_of(item, kind)
            elif suffix in CONTAINERS and os.path.isfile(item.path):  # noqa: PTH113 - any name
                held.append(file_entry(uri_of_path(item.path), "image", item.stat()))
            else:
                is_folder = os.path.isdir(item.path)  # noqa: PTH112 - unlike item.is_dir, of a link in a circle, too
                self.passed_over["(link to a folder)" if is_folder else suffix] += 1
        yield from self._held(held, count)

    def _held(self, held: list[Entry], count: int) -> Iterator[Entry]:
        """Expand the tars and Parquet files of a folder, only if it contains no images or videos."""
        if count:
            self.passed_over.update(suffix_of(one.uri) for one in held)
        else:
            yield from in_order(map(self._opened, held))

    def _is_input(self, name: str) -> bool:
        suffix = suffix_of(name)
        good = bool(kind_of_name(name)) or suffix in CONTAINERS
        if not good:
            self.passed_over[suffix] += 1
        return good

    def _named(self, uri: str, stat: os.stat_result) -> Iterator[Entry]:
        return self._opened(file_entry(uri, kind_of_name(uri) or "image", stat))

    def _opened(self, entry: Entry) -> Iterator[Entry]:
        """Expand a tar, Parquet file or list; yield any other file itself."""
        suffix = suffix_of(entry.uri)
        if is_packed_tar(entry.uri):
            return refused_packed(entry.uri)
        if suffix in PLAIN_TAR:
            return self._ahead(Lister._tar, entry)
        if suffix == PARQUET:
            return self._lines(entry, entries_of_parquet)
        if suffix in LISTS:
            return self._lines(entry, entries_of_list)
        return iter((entry,))

    def _tar(self, tar: Entry) -> Iterator[Entry]:
        return entries_of_tar(tar, self.storage_options, self.passed_over)

    def _lines(self, listed: Entry, entries_of: Callable[..., Iterator[Entry]]) -> Iterator[Entry]:
        """Expand a list or table, whose items may be lists as well."""
        if listed.uri in self._open_lists:
            raise DataError(f"{quoted_path(listed.uri)}: this list contains itself. Remove that line.")
        self._open_lists.append(listed.uri)
        try:
            yield from entries_of(listed, self.column, self.storage_options, self._item)
        finally:
            self._open_lists.pop()

    def _item(self, text: str, base: str) -> Iterator[Entry]:
        """Expand an item of a list as a source; if it cannot be expanded, only this item fails.

        Args:
            text: a path, relative to the current folder or else to that of the list, or a URL.
            base: path or URL of the list.

        Raises:
            DataError: a URL contains a password, or the package for its scheme is not installed.
            MissingExtra: the same, for a package that an extra of mien installs.
        """
        if local_path(text) is not None:
            return self._local_item(text, str(local_path(text)), base)
        require_no_password(text)
        require_package(text, self.storage_options, self._schemes)
        is_container = suffix_of(text) in CONTAINERS | LISTS or is_packed_tar(text)
        if is_container or without_query(text).endswith("/") or _may_be_glob(text):
            return or_failed(text, text, self._url(text))
        return iter((Entry(text, kind_of_name(text) or "image"),))  # without a request for each of millions

    def _local_item(self, text: str, path: str, base: str) -> Iterator[Entry]:
        paths = [path]
        if scheme_of(base) is None:
            paths.append(os.path.join(os.path.dirname(base), path))  # noqa: PTH118, PTH120
        first: Exception | None = None
        for one in paths:
            try:
                stat = os.stat(one)  # noqa: PTH116
            except (OSError, ValueError) as error:
                first = first or error
                continue
            uri = uri_of_path(one)
            found = self._folder(one) if S_ISDIR(stat.st_mode) else self._named(uri, stat)
            return or_failed(text, uri, found)
        uri = uri_of_path(path.replace("\0", ""))
        matching = [one for one in paths if MAGIC.search(one) and "\0" not in one and any_match(one)]
        if matching:
            return or_failed(text, uri, self._glob(matching[0]))
        if first is None:
            return iter(())
        told = f"{quoted_path(path)}: {why(first)}."
        elsewhere = uri_of_path(paths[-1].replace("\0", ""))
        file = elsewhere if elsewhere != uri else None
        return iter((Entry(uri, error=told, error_kind=kind_of_error(first), file=file),))

    def _remote(self, uri: str) -> Iterator[Entry]:
        place = locate(uri, self.storage_options)
        is_glob = bool(MAGIC.search(place.path)) and not is_http(uri)
        try:  # a name may contain the characters of a glob
            info = with_retries(lambda: info_of(place.filesystem, place.path), tries=2 if is_glob else TRIES)
        except Exception as error:
            if is_glob:
                yield from self._remote_glob(place, uri)
                return
            raise DataError(f"{quoted_path(uri)}: cannot be listed: {why(error)}.{hint(error)}") from error
        if info.get("type") == "directory":
            yield from self._remote_folder(place, uri, remote_files(place, leave_out=self.leave_out))
        else:
            yield from self._opened(remote_entry(uri, kind_of_name(uri) or "image", info))

    def _remote_folder(
        self, place: Location, uri: str, files: Iterable[tuple[str, dict[str, Any]]]
    ) -> Iterator[Entry]:
        held: list[Entry] = []
        count = 0
        for name, item in files:
            if kind := kind_of_name(name):
                count += 1
                yield remote_entry(url_in(place, uri, name), kind, item)
            elif suffix_of(name) in CONTAINERS:
                held.append(remote_entry(url_in(place, uri, name), "image", item))
            else:
                self.passed_over[suffix_of(name)] += 1
        yield from self._held(held, count)

    def _remote_glob(self, place: Location, uri: str) -> Iterator[Entry]:
        """Expand a glob in the same way as `_glob`."""
        files, folder_of = remote_matches(place, self.leave_out)
        for folder, some in groupby(files, folder_of):
            if folder:
                yield from self._remote_folder(place, uri, some)
            elif folder is not None:
                inputs = ((name, item) for name, item in some if self._is_input(name))
                yield from in_order(
                    self._opened(remote_entry(url_in(place, uri, name), kind_of_name(name) or "image", item))
                    for name, item in inputs
                )


def _may_be_glob(uri: str) -> bool:
    """Return whether a URL has the characters of a glob; in that of a web server, they have another meaning."""
    return bool(MAGIC.search(uri)) and not is_http(uri)
