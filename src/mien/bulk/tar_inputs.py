"""Inputs stored in tars: members with their offsets, and hard links to members."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.entries import Entry
from mien.bulk.input_kinds import kind_of_name
from mien.bulk.listing_errors import ends_the_listing
from mien.bulk.locations import kind_of_error, why
from mien.bulk.retried_files import open_retried
from mien.errors import DataError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

_BLOCK = 256 * 1024
"""Block size in bytes for reading a tar in an object store; it covers the headers of small members."""

_MOST_TARGETS = 100_000
"""Number of members to which the hard links of one tar may point, which bounds the memory; further links are skipped."""


def entries_of_tar(tar: Entry, storage_options: dict[str, Any], passed_over: Counter[str]) -> Iterator[Entry]:
    """Yield the images and videos of a tar with their offsets; a damaged tar ends with an entry that has an error.

    Hard links follow at the end, with the offset of the member that they repeat. The headers are read again for them.
    """
    count = 0
    try:
        with open_retried(tar.uri, storage_options, _BLOCK) as file:
            targets: set[str] = set()
            for member in _inputs(file, passed_over):
                if member.islnk():
                    if len(targets) < _MOST_TARGETS:
                        targets.add(member.linkname)
                    continue
                count += 1
                yield _entry(tar, member, member.offset_data, member.size)
            for link, offset, size in _links(file, targets, passed_over):
                count += 1
                yield _entry(tar, link, offset, size)
    except Exception as error:
        if ends_the_listing(error):
            raise
        yield _failed_tar(tar, error, count)


def _entry(tar: Entry, member: tarfile.TarInfo, offset: int, size: int) -> Entry:
    name = member.name.encode(errors="backslashreplace").decode()
    kind = kind_of_name(member.name) or "image"
    return Entry(tar.uri, kind, "tar", offset, size, tar.size, tar.etag, member=name)


def _inputs(file: Any, passed_over: Counter[str]) -> Iterator[tarfile.TarInfo]:
    """Yield the members and hard links of a tar that are named as images or videos; others are counted as skipped."""
    for member in _members(file):
        if _is_hidden(member) or not (member.isreg() or member.islnk() or member.issym()):
            continue
        if kind_of_name(member.name) is None or member.sparse is not None:
            passed_over[Path(member.name).suffix.lower()] += 1
        elif member.issym():
            passed_over["(symbolic link)"] += 1
        else:
            yield member


def _links(
    file: Any, targets: set[str], passed_over: Counter[str]
) -> Iterator[tuple[tarfile.TarInfo, int, int]]:
    """Yield the hard links of a tar that are named as images or videos, with the offset and size of their targets.

    A link whose target is not found before it is counted as skipped.

    Args:
        file: the open tar.
        targets: names of members to which they point; if there are none, the tar is not read.
        passed_over: number of skipped files by extension.
    """
    found: dict[str, tuple[int, int]] = {}
    for member in _members(file) if targets else ():
        if member.isreg() and member.sparse is None and member.name in targets:
            found[member.name] = member.offset_data, member.size
        elif member.islnk() and not _is_hidden(member) and kind_of_name(member.name):
            if member.linkname in found:
                yield member, *found[member.linkname]
            else:
                passed_over["(hard link)"] += 1


def _is_hidden(member: tarfile.TarInfo) -> bool:
    return os.path.basename(member.name).startswith(".")  # noqa: PTH119


def _members(file: Any) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar from its beginning.

    Raises:
        ReadError: it is damaged or no tar.
    """
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as members:
        for member in members:
            members.members.clear()  # type: ignore[attr-defined] # it would keep every header
            yield member
        _require_end(file, members.offset)


def _require_end(file: Any, offset: int) -> None:
    """Check that a tar ends where tarfile has stopped: at something that is no member, it stops without an error.

    Raises:
        ReadError: it goes on.
    """
    file.seek(offset)
    end = file.read(tarfile.BLOCKSIZE)
    if end.strip(b"\0") or len(end) not in {0, tarfile.BLOCKSIZE}:
        raise tarfile.ReadError("what follows is no member")


def _failed_tar(tar: Entry, error: Exception, count: int) -> Entry:
    """Return the input that stands for the rest of a tar that cannot be read or is damaged."""
    if isinstance(error, DataError | OSError):
        cause = error.__cause__ if isinstance(error, DataError) and error.__cause__ else error
        reason, kind = why(cause), kind_of_error(cause)
    else:
        reason, kind = f"it is damaged or no tar ({str(error)[:80]})", "unreadable"
    return Entry(
        tar.uri, where="tar", size=tar.size, etag=tar.etag,
        error=f"{quoted_path(tar.uri)}: {reason}; {count:,} of its images and videos were found before.",
        error_kind=kind,
    )  # fmt: skip
