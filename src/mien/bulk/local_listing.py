"""List files of this machine."""

from __future__ import annotations

import glob
import os
import re
from typing import TYPE_CHECKING, Literal

from mien.bulk.entries import Entry
from mien.bulk.locations import kind_of_error, uri_of_path, why
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = re.compile(r"[*?\[]")
"""Characters of a glob."""


def any_match(pattern: str) -> bool:
    """Return whether a glob matches any file or folder."""
    return next(glob.iglob(pattern, recursive=True), None) is not None  # noqa: PTH207


def walk(folder: str, leave_out: str | None) -> Iterator[os.DirEntry[str] | Entry]:
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
                yield from walk(one.path, leave_out)
        elif one.is_symlink() or one.is_file():  # in this order: is_file fails for a circular link
            yield one


def entry_of(item: os.DirEntry[str], kind: Literal["image", "video"]) -> Entry:
    """Create the entry for a file in a folder; a broken link becomes an entry with an error."""
    uri = uri_of_path(item.path)
    try:
        return file_entry(uri, kind, item.stat())
    except OSError as error:
        told = f"{quoted_path(item.path)}: {why(error)}."
        return Entry(uri, kind, error=told, error_kind=kind_of_error(error))


def file_entry(uri: str, kind: Literal["image", "video"], stat: os.stat_result) -> Entry:
    """Create the entry for a file from its status."""
    return Entry(uri, kind, size=stat.st_size, etag=str(stat.st_mtime_ns))
