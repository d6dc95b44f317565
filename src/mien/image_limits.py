"""Limits on the number of segments, chunks and blocks in image files, checked before Pillow parses them.

Pillow processes these parts one by one in Python and concatenates some of them in quadratic time, so a few megabytes of
tiny parts would keep it busy for minutes. Here they are only counted, in one pass over their lengths. Used only by
`mien.decoding`.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SEGMENTS = 2_000
"""Maximum number of segments of a JPEG before its pixels. In practice, at most 255 contain a color profile and a few
hundred contain metadata."""

MOST_EXIF = 64
"""Maximum number of EXIF segments in a JPEG, of up to 64 KB each."""

MOST_PADDING = 1 << 16
"""Maximum number of padding bytes between the segments of a JPEG."""

MOST_PARTS = 10_000
"""Maximum number of chunks or blocks in a small file; the limit increases in proportion to the file size."""

MOST_PROFILES = 4
"""Maximum number of color profiles in a PNG; the standard allows one."""

MOST_EXTENSIONS = 1 << 20
"""Maximum number of bytes of comments and other extensions in a GIF."""

MOST_RLE_PIXELS = 1_000_000
"""Maximum number of pixels of a run-length encoded BMP, which Pillow decodes in Python."""

MOST_SCANS = 100
"""Maximum number of scans of a progressive JPEG; about 10 are usual. Large images have a lower limit."""

_LEAST_SCANS = 20
_SCANNED_PIXELS = 1_000_000_000  # maximum product of pixels and scans


class PartsError(ValueError):
    """An image file has more parts than the limit. The message names the parts."""


def check_parts(kind: str, stream: BinaryIO) -> None:
    """Count the parts of an image file.

    Args:
        kind: the format, by its name in `mien.decoding`.
        stream: the file, at its start; its position afterwards is the start, too.

    Raises:
        PartsError: If there are too many parts.
    """
    if kind in _CHECKS:
        size = stream.seek(0, os.SEEK_END)
        try:
            _CHECKS[kind](stream, size)
        finally:
            stream.seek(0)


def most_scans(pixels: int) -> int:
    """Return the maximum number of scans of a JPEG with this many pixels; each scan touches all pixels."""
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
    """Count the blocks of all frames: Pillow parses all of them to count the frames."""
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
            continue  # Pillow searches for the next block byte by byte
        while length := (stream.read(1) or b"\0")[0]:
            stream.seek(length, os.SEEK_CUR)
            blocks += 1
            extensions += length if kind == b"!" else 0
            _expect(blocks, most, "blocks")
            _expect(extensions, MOST_EXTENSIONS, "bytes of comments and extensions")


def _colors(flags: int) -> int:
    """Return the size of a color table in bytes."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_bmp(stream: BinaryIO, size: int) -> None:  # noqa: ARG001 - all checks have the same signature
    stream.seek(14)
    head = stream.read(20)
    if len(head) < 20 or int.from_bytes(head[:4], "little") < 40:
        return
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (4, 8))
    if int.from_bytes(head[16:20], "little") in {1, 2} and abs(width * height) > MOST_RLE_PIXELS:
        raise PartsError(
            f"{abs(width * height):,} run-length encoded pixels, more than the limit of {MOST_RLE_PIXELS:,}"
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
