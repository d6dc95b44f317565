"""Errors of listing: what to do about them, and inputs that stand for items of a list that cannot be expanded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from mien.bulk.entries import Entry
from mien.bulk.listing_ahead import Wrapped
from mien.bulk.locations import kind_of_error, locate, scheme_of, why
from mien.bulk.missing_packages import MissingPackageError
from mien.errors import DataError, MienError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def or_failed(text: str, uri: str, entries: Iterator[Entry]) -> Iterator[Entry]:
    """Return the inputs of an item of a list, or an input with an error if it cannot be expanded or has none.

    Raises:
        MissingExtra: while the inputs are taken, if a package is not installed.
    """
    return Wrapped(_or_failed(text, uri, entries), entries)


def _or_failed(text: str, uri: str, entries: Iterator[Entry]) -> Iterator[Entry]:
    count = 0
    try:
        for entry in entries:
            count += 1
            yield entry
    except Exception as error:
        if ends_the_listing(error):
            raise
        is_told = isinstance(error, DataError)
        told = str(error) if is_told else f"{quoted_path(text)}: cannot be listed: {why(error)}."
        cause = error.__cause__ if is_told and error.__cause__ else error
        yield Entry(uri, error=told, error_kind=kind_of_error(cause))
        return
    if not count:
        told = f"{quoted_path(text)}: expected images or videos, found none."
        yield Entry(uri, error=told, error_kind="missing")


def or_refused(uri: str, entries: Iterator[Entry], passed_over: Counter[str]) -> Iterator[Entry]:
    """Return the inputs of a source.

    Args:
        uri: the source.
        entries: its inputs.
        passed_over: number of skipped files by extension, of all sources up to this one.

    Raises:
        DataError: while the inputs are taken, if the source cannot be listed or has none.
        MissingExtra: while the inputs are taken, if a package is not installed.
    """
    return Wrapped(_or_refused(uri, entries, passed_over), entries)


def _or_refused(uri: str, entries: Iterator[Entry], passed_over: Counter[str]) -> Iterator[Entry]:
    count, before = 0, Counter(passed_over)
    try:
        for entry in entries:
            count += 1
            yield entry
    except Exception as error:
        if isinstance(error, DataError) or ends_the_listing(error):
            raise
        raise DataError(f"{quoted_path(uri)}: cannot be listed: {why(error)}.{hint(error)}") from error
    if not count:
        others = _others(passed_over - before)
        raise DataError(f"{quoted_path(uri)}: expected images or videos, found none.{others}")


def ends_the_listing(error: Exception) -> bool:
    """Return whether an error ends the whole listing: a missing package or a lack of memory.

    All others are those of one source or item: file systems raise exceptions of any type.
    """
    return isinstance(error, MemoryError | MissingPackageError) or (
        isinstance(error, MienError) and not isinstance(error, DataError)
    )


def require_package(uri: str, storage_options: dict[str, Any], checked: set[str]) -> None:
    """Check that the package for the scheme of a URL in a list is installed; do nothing if its scheme was checked.

    Any other error is left to the row of the input.

    Args:
        uri: the URL.
        storage_options: options for the fsspec file systems of URLs.
        checked: schemes that were checked; that of the URL is added.

    Raises:
        MissingExtra: the package is not installed.
        MissingPackageError: the package, for which mien has no extra, is not installed.
    """
    scheme = str(scheme_of(uri))
    if scheme in checked:
        return
    try:
        locate(uri, storage_options)
    except DataError as error:
        if ends_the_listing(error):
            raise
    checked.add(scheme)


def refused_packed(uri: str) -> Iterator[Entry]:
    """Refuse a compressed tar when its inputs are taken.

    Raises:
        DataError: always.
    """
    yield from ()
    raise DataError(
        f"{quoted_path(uri)}: expected a tar that is not compressed, for members of a compressed one cannot be read one "
        "by one. Unpack it, or make a plain tar of it."
    )


def hint(error: BaseException) -> str:
    """Return a remedy for an error of a file system; empty if there is none."""
    return {
        "missing": " Is the name right?",
        "forbidden": " Check the credentials and their rights.",
        "unreachable": " Is the address right, and the server up?",
    }.get(kind_of_error(error), "")


def _others(passed_over: Counter[str]) -> str:
    """Return a sentence about the files that a source has instead of inputs."""
    named = ", ".join(f"{n:,} {suffix or 'without an ending'}" for suffix, n in passed_over.most_common(3))
    return f" There are files of other kinds ({named})." if named else " Is the name right?"
