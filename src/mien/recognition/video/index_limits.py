"""Limits on the indexes of AVI (OpenDML) and MXF files, for which FFmpeg allocates memory."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mien.recognition.video.header_claims import ClaimError, sample_limit
from mien.recognition.video.headers import read_at

if TYPE_CHECKING:
    from mien.recognition.video.headers import Seekable

# AVI

_MOST_INDEXES = 20_000  # files have one per gigabyte, or one per few seconds
_MOST_CHUNKS = 100_000


def check_avi(file: Seekable, size: int) -> None:
    """Check the indexes (OpenDML) in the header of an AVI file.

    Raises:
        ClaimError: If they claim more than the file can contain.
    """
    place, entries = 0, 0
    for _ in range(_MOST_CHUNKS):
        head = read_at(file, place, 12)
        if len(head) < 8:
            return
        kind, length = head[:4], int.from_bytes(head[4:8], "little")
        if kind in {b"RIFF", b"LIST"}:
            if head[8:12] == b"movi":  # the frames; skipped
                place += 8 + length + length % 2
                continue
            place += 12
            continue
        if kind == b"indx":
            entries += _indexed(file, place + 8, length)
            if entries > sample_limit(size):
                raise ClaimError(f"{entries:,} index entries in {size:,} bytes")
        place += 8 + length + length % 2
    raise ClaimError(f"more than {_MOST_CHUNKS:,} chunks")


def _indexed(file: Seekable, place: int, length: int) -> int:
    """Return the number of frames in an index, directly or in the indexes that it points to."""
    head = read_at(file, place, 24)
    if len(head) < 24:
        return 0
    _, _, kind, count = struct.unpack("<HBBI", head[:8])
    if kind != 0:  # frame entries, of at least 8 bytes
        return min(int(count), length // 8)
    count = min(count, max(length - 24, 0) // 16)
    if count > _MOST_INDEXES:
        raise ClaimError(f"{count:,} indexes of an index")
    total = 0
    for i in range(count):
        entry = read_at(file, place + 24 + 16 * i, 8)
        below = read_at(file, int.from_bytes(entry, "little"), 16) if len(entry) == 8 else b""
        if len(below) == 16:
            _, _, kind, entries = struct.unpack("<HBBI", below[8:])
            if kind != 1:
                raise ClaimError("an index of indexes of indexes")
            total += entries
    return total


# MXF

_KEY = b"\x06\x0e\x2b\x34"
_INDEX_SEGMENT = b"\x06\x0e\x2b\x34\x02\x53\x01\x01\x0d\x01\x02\x01\x01\x10\x01"
_DURATION = b"\x3f\x0c\x00\x08"
_ENTRIES = b"\x3f\x0a"
_MOST_PACKETS = 2_000_000  # keys with their lengths: a few per frame


def check_mxf(file: Seekable, size: int) -> None:
    """Add up the frames in the index segments of an MXF file; FFmpeg allocates memory for each.

    Raises:
        ClaimError: If they claim more than the file can contain.
    """
    place, frames = 0, 0
    for _ in range(_MOST_PACKETS):
        head = read_at(file, place, 25)
        if len(head) < 17:
            return
        if head[:4] != _KEY:  # FFmpeg would search for the next one, and could find hidden ones
            raise ClaimError(f"a packet at byte {place:,}, where there is none")
        first = head[16]
        more = first & 0x7F if first & 0x80 else 0
        if more > 8:
            return
        length = int.from_bytes(head[17 : 17 + more]) if more else first
        place += 17 + more
        if head.startswith(_INDEX_SEGMENT):
            file.seek(place)
            frames += _segment_frames(file.read(max(0, min(length, size - place))))
            if frames > sample_limit(size):
                raise ClaimError(f"{frames:,} indexed frames in {size:,} bytes")
        place += length
    raise ClaimError(f"more than {_MOST_PACKETS:,} packets")


def _segment_frames(content: bytes) -> int:
    """Return the number of frames of an index segment: the maximum of its local tags."""
    frames, place = 0, 0
    while place + 4 <= len(content):
        tag, length = content[place : place + 2], int.from_bytes(content[place + 2 : place + 4])
        value = content[place + 4 : place + 4 + length]
        if tag == _DURATION[:2] and len(value) == 8:
            frames = max(frames, int.from_bytes(value))
        if tag == _ENTRIES and len(value) >= 4:
            frames = max(frames, int.from_bytes(value[:4]))
        place += 4 + length
    return frames
