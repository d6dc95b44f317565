"""Limits on the number of elements in Matroska and WebM headers: FFmpeg uses up to 100 bytes for an element of three."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mien.recognition.video.header_claims import ClaimError
from mien.recognition.video.headers import elements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.recognition.video.headers import Part, Seekable

MOST_ELEMENTS = 100_000
"""Maximum number of elements outside clusters and index: tracks, chapters, tags and attachments."""

MOST_INDEXED = 1_000_000
"""Maximum number of elements in the index, about six per key frame."""

MOST_BLOCKS = 2_000_000
"""Maximum number of elements in clusters of unknown length, as recorded by browsers: more than six hours."""

_SEGMENT, _SEEK_HEAD, _SEEK, _POSITION = (
    bytes.fromhex(kind) for kind in ("18538067", "114d9b74", "4dbb", "53ac")
)
_CLUSTER = bytes.fromhex("1f43b675")
_IN_CLUSTERS = frozenset(bytes.fromhex(kind) for kind in ("e7", "a7", "ab", "5854", "a3", "a0", "af"))
_IN_INDEX = frozenset(
    bytes.fromhex(kind) for kind in ("bb", "b3", "b7", "f7", "f1", "f0", "b2", "5378", "ea", "db")
)
_MASTERS = frozenset(
    bytes.fromhex(kind)
    for kind in (
        "18538067", "114d9b74", "4dbb", "1549a966", "1654ae6b", "ae", "e0", "e1", "6d80", "6240", "5033", "7670", "55b0",
        "55d0", "41e4",  # of a segment and its tracks
        "1c53bb6b", "bb", "b7", "db", "1941a469", "61a7", "1043a770", "45b9", "b6", "80", "8f", "6944", "1254c367",
        "7373", "63c0", "67c8",  # of cues, attachments, chapters and tags
    )
)  # fmt: skip


def check_matroska(file: Seekable, size: int) -> None:
    """Count the elements of the headers, including those that a seek head points to.

    Raises:
        ClaimError: If there are too many.
    """
    counts, segment, targets = Counter[int](), 0, set[int]()
    for part in elements(file, 0, size, into=_MASTERS):
        _count(counts, part)
        if part.kind == _SEGMENT:
            segment = part.start
        elif part.kind == _POSITION and part.end > part.start:
            file.seek(part.start)
            targets.add(segment + int.from_bytes(file.read(min(part.end - part.start, 8))))
    for target in sorted(targets):
        for part in _one(file, target, size):
            _count(counts, part)


def _one(file: Seekable, place: int, size: int) -> Iterator[Part]:
    """Yield the element at a position and its children."""
    first = next(elements(file, place, size), None)
    if first is None or first.kind in {_SEGMENT, _CLUSTER}:
        return
    yield first
    if first.kind in _MASTERS:
        yield from elements(file, first.start, min(first.end, size), into=_MASTERS)


def _count(counts: Counter[int], part: Part) -> None:
    """Count an element against the limit of its kind.

    Raises:
        ClaimError: If there are too many.
    """
    most = (
        MOST_BLOCKS
        if part.kind in _IN_CLUSTERS
        else MOST_INDEXED
        if part.kind in _IN_INDEX
        else MOST_ELEMENTS
    )
    counts[most] += 1
    if counts[most] >= most:
        raise ClaimError(f"more than {most:,} elements")
