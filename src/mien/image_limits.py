"""Bounds on the parts that an image file is made of, counted before a reader of Pillow sees them.

Pillow goes through segments, chunks and blocks one by one in Python, and joins some of them in quadratic time, so that
a few megabytes of tiny ones keep it busy for minutes. Here they are only counted, in one pass over their lengths. For
`mien.decoding` alone.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SEGMENTS = 2_000
"""Segments of a JPEG before its pixels; 255 of a color profile and some hundred of metadata are the most in use."""

MOST_EXIF = 64
"""Segments of EXIF data in a JPEG, of up to 64 KB each."""

MOST_PADDING = 1 << 16
"""Bytes between the segments of a JPEG that belong to none."""

MOST_PARTS = 10_000
"""Chunks or blocks of a file of any size; larger files may have more of them, but not smaller ones."""

MOST_PROFILES = 4
"""Color profiles of a PNG; one is allowed by the standard."""

MOST_EXTENSIONS = 1 << 20
"""Bytes of comments and other extensions in a GIF."""

MOST_RLE_PIXELS = 1_000_000
"""Pixels of a BMP with run-length encoding, which Pillow decodes in Python."""

MOST_SCANS = 100
"""Scans of a progressive JPEG; a usual one has 10."""

_LEAST_SCANS = 20
_SCANNED_PIXELS = 1_000_000_000  # pixels times scans


class PartsError(ValueError):
    """A file is made of more parts than are read; says of what."""


def check_parts(kind: str, stream: BinaryIO) -> None:
    """Count the parts of an image file; it is at its beginning before and after.

    Args:
        kind: its format, as `mien.decoding` calls it.
        stream: the file.

    Raises:
        PartsError: there are too many.
    """
    if kind in _CHECKS:
        size = stream.seek(0, os.SEEK_END)
        try:
            _CHECKS[kind](stream, size)
        finally:
            stream.seek(0)


def most_scans(pixels: int) -> int:
    """How many scans a JPEG of so many pixels may have: each goes over all of them."""
    return max(_LEAST_SCANS, min(MOST_SCANS, _SCANNED_PIXELS // max(pixels, 1)))


def _check_jpeg(stream: BinaryIO, size: int) -> None:
    place, padding, segments, exif = 2, 0, 0, 0
    while place < size:
        stream.seek(place)
        head = stream.read(64)
        start = head.find(b"\xff")
        padding += len(head) if start < 0 else start
        if start < 0:
            place += len(head)
        else:
            code = head[start : start + 12].lstrip(b"\xff")
            more = len(head[start : start + 12]) - len(code) - 1  # fill bytes
            padding += more
            place += start + 1 + more
            if not code or code[0] == 0 or len(code) < 3:
                place += bool(code)
            elif code[0] in {0xDA, 0xD9}:
                return
            elif 0xD0 <= code[0] <= 0xD8 or code[0] == 1:
                place += 1
            else:
                place += 1 + max(int.from_bytes(code[1:3]), 2)
                exif += code[0] == 0xE1 and code[3:7] == b"Exif"[: len(code[3:7])]
            segments += 1
        _expect(padding, MOST_PADDING, "bytes between its segments")
        _expect(exif, MOST_EXIF, "segments of EXIF data")
        _expect(segments, MOST_SEGMENTS, "segments before its pixels")


def _check_png(stream: BinaryIO, size: int) -> None:
    kinds, place, most = Counter[bytes](), 8, MOST_PARTS + size // 1024
    while place < size:
        stream.seek(place)
        head = stream.read(8)
        kinds[head[4:]] += 1
        place += 12 + int.from_bytes(head[:4])
        _expect(kinds.total(), most, "chunks")
        _expect(kinds[b"iCCP"], MOST_PROFILES, "color profiles")


def _check_webp(stream: BinaryIO, size: int) -> None:
    count, place, most = 0, 12, MOST_PARTS + size // 1024
    while place < size:
        stream.seek(place)
        length = int.from_bytes(stream.read(8)[4:], "little")
        count, place = count + 1, place + 8 + length + length % 2
        _expect(count, most, "chunks")


def _check_gif(stream: BinaryIO, size: int) -> None:
    """Blocks of all frames, for each is gone through where frames are counted."""
    most, blocks, extensions = MOST_PARTS + size // 64, 0, 0
    stream.seek(10)
    flags = stream.read(3)[:1] or b"\0"
    stream.seek(13 + _colors(flags[0]))
    while kind := stream.read(1):
        blocks += 1
        _expect(blocks, most, "blocks")
        if kind == b",":
            flags = stream.read(9)[8:] or b"\0"
            stream.seek(_colors(flags[0]) + 1, os.SEEK_CUR)
        elif kind == b"!":
            stream.seek(1, os.SEEK_CUR)
        elif kind == b";":
            return
        else:
            continue  # Pillow looks for the next block byte by byte
        while length := (stream.read(1) or b"\0")[0]:
            stream.seek(length, os.SEEK_CUR)
            blocks += 1
            extensions += length if kind == b"!" else 0
            _expect(blocks, most, "blocks")
            _expect(extensions, MOST_EXTENSIONS, "bytes of comments and extensions")


def _colors(flags: int) -> int:
    """Bytes of a table of colors."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_bmp(stream: BinaryIO, size: int) -> None:  # noqa: ARG001 - all of these have the same form
    stream.seek(14)
    head = stream.read(20)
    if len(head) < 20 or int.from_bytes(head[:4], "little") < 40:
        return
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (4, 8))
    if int.from_bytes(head[16:20], "little") in {1, 2} and abs(width * height) > MOST_RLE_PIXELS:
        raise PartsError(
            f"{abs(width * height):,} pixels in run-length encoding, of which {MOST_RLE_PIXELS:,} are read"
        )


def _expect(count: int, most: int, what: str) -> None:
    if count > most:
        raise PartsError(f"more than {most:,} {what}")


_CHECKS: dict[str, Callable[[BinaryIO, int], None]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "WebP": _check_webp,
    "GIF": _check_gif,
    "BMP": _check_bmp,
}
