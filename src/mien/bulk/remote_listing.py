"""List the files of object stores and other fsspec file systems."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Literal

from mien.bulk.entries import Entry
from mien.bulk.local_listing import MAGIC
from mien.bulk.locations import Location
from mien.bulk.retries import with_retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HIDDEN = re.compile(r"(?:^|/)\.")

_ETAGS = (
    "ETag", "etag", "md5Hash", "mtime", "blob_id", "last_modified", "LastModified", "modificationTime", "modify",
)  # fmt: skip
"""Keys of fsspec file systems for a value that changes with the content of a file."""


def remote_entry(uri: str, kind: Literal["image", "video"], info: dict[str, Any]) -> Entry:
    """Create the entry for a file from what its file system tells about it."""
    etag = next((str(info[key]) for key in _ETAGS if info.get(key)), "")
    size = info.get("size")
    return Entry(uri, kind, size=-1 if size is None else int(size), etag=etag.strip('"'))


def remote_files(
    place: Location, prefix: str | None = None, leave_out: Location | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the files below a folder, with what their file system tells about them.

    Files and folders below it are left out if they are hidden: their names begin with a dot. The folder itself may be.
    S3 is listed page by page, in constant memory; other file systems return all files at once.

    Args:
        place: the folder.
        prefix: the part of a glob before its first special character, by default the folder. Names in S3 begin with it.
        leave_out: a folder that is left out.
    """
    filesystem = place.filesystem
    asked = prefix or f"{place.path.rstrip('/')}/"
    if "s3" in filesystem.protocol and hasattr(filesystem, "call_s3"):
        files = _s3_files(filesystem, asked)
    else:
        files = _other_files(place)
    left_out = path_there(filesystem, leave_out)
    for name, info in files:
        if not _is_hidden(name, asked) and (left_out is None or not name.startswith(left_out)):
            yield name, info


def _is_hidden(name: str, asked: str) -> bool:
    """Return whether the name of a file is hidden after the part that was asked for."""
    # The last character of that part may be the slash before a dot.
    return bool(_HIDDEN.search(name, len(asked) - 1 if name.startswith(asked) else 0))


def remote_matches(
    place: Location, leave_out: Location | None = None
) -> tuple[Iterator[tuple[str, dict[str, Any]]], Callable[[tuple[str, dict[str, Any]]], str | None]]:
    """Return the files that may match a glob, and a function that tells how one of them matches.

    Args:
        place: the glob.
        leave_out: a folder that is left out.

    Returns:
        The files as from `remote_files`, and a function from one of them to the folder that matches; an empty text for
        a file that matches itself, `None` for neither.
    """
    from fsspec.utils import glob_translate

    wanted = re.compile(glob_translate(place.path))
    literal = MAGIC.split(place.path, maxsplit=1)[0]
    parts = place.path.count("/") + 1

    def folder_of(file: tuple[str, dict[str, Any]]) -> str | None:
        if wanted.match(file[0]):
            return ""
        folder = "/".join(file[0].split("/")[:parts])
        return folder if "**" not in place.path and folder != file[0] and wanted.match(folder) else None

    return remote_files(Location(place.filesystem, literal.rpartition("/")[0]), literal, leave_out), folder_of


def path_there(filesystem: Any, folder: Location | None) -> str | None:
    """Return the path of a folder in a file system, with a slash at its end; `None` if it is in another one."""
    if folder is None:
        return None
    if _is_local(filesystem):
        path = path_on_this_machine(folder)
    else:
        path = folder.path if filesystem == folder.filesystem else None
    return None if path is None else f"{path.rstrip('/')}/"


def path_on_this_machine(place: Location | None) -> str | None:
    """Return a local path, also of a `local://` URL; `None` for other URLs."""
    return os.path.abspath(place.path) if place and _is_local(place.filesystem) else None  # noqa: PTH100


def _is_local(filesystem: Any) -> bool:
    return filesystem is None or "file" in filesystem.protocol


def _other_files(place: Location) -> Iterator[tuple[str, dict[str, Any]]]:
    found = with_retries(lambda: place.filesystem.find(place.path, detail=True))
    for name in sorted(found):
        if found[name].get("type") == "file":
            yield name, found[name]


def _s3_files(filesystem: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    bucket, _, prefix = path.partition("/")
    more: dict[str, str] = {}
    while True:
        page = with_retries(
            lambda: filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)  # noqa: B023
        )
        for one in page.get("Contents", ()):
            if not one["Key"].endswith("/"):
                yield f"{bucket}/{one['Key']}", {"size": one["Size"], "ETag": one.get("ETag")}
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}
