"""Read the parts of video headers that OpenCV does not expose: display matrix, edit list, truncation.

MP4 and QuickTime consist of boxes (ISO/IEC 14496-12), Matroska and WebM of EBML elements (RFC 8794, RFC 9559), and
AVI of RIFF chunks. Only headers are read; frames are skipped by their lengths.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from mien.recognition.video.orientation import IDENTITY, Matrix, product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Seekable(Protocol):
    """Protocol of files: `io.BytesIO`, a file opened with "rb" or a `SteadyFile`."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        """Change the position and return the new one."""


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """Header fields of the first video track.

    Args:
        matrix: display matrix (rotation and mirroring); `None` if there is none.
        shown_seconds: duration of the parts shown by the edit list; `None` without an edit list.
    """

    matrix: Matrix | None = None
    shown_seconds: float | None = None


NO_HEADER = VideoHeader()


@dataclass(frozen=True, slots=True)
class Part:
    """A box, element or chunk: its kind, and the start and end of its content."""

    kind: bytes
    start: int
    end: int


Fault = Literal["cut off", "damaged"]
"""A fault of a whole file: it is shorter than its headers say, or contains unknown parts."""

_MOST_PARTS = 2_000_000  # an hour recorded by a browser has 300,000; more are an attack
_MOST_BYTES = 1 << 16  # of a header field
_AHEAD = 1 << 10
_UNIT = 1 << 16  # matrices are 16.16 fixed-point numbers


def read_header(file: Seekable) -> VideoHeader:
    """Read the header of a video file; return `NO_HEADER` if the format is another or the file is damaged."""
    try:
        beginning = read_at(file, 0, 12)
        if beginning[:4] == _EBML:
            return VideoHeader(_matroska_matrix(file))
        if beginning[4:8] in _FIRST_BOXES:
            return _mp4_header(file)
    except (struct.error, OverflowError, IndexError):
        pass
    return NO_HEADER


def find_fault(file: Seekable) -> Fault | None:
    """Detect whether a video file is cut off or damaged; `None` if it is complete, or that is unknown."""
    try:
        end, beginning = file.seek(0, os.SEEK_END), read_at(file, 0, 12)
        if beginning[:4] == _EBML:
            return _matroska_fault(file, end)
        if beginning[4:8] in _FIRST_BOXES:
            cut = any(part.end > end and part.kind in _FRAME_BOXES for part in boxes(file, 0, end))
            return "cut off" if cut else None
        if beginning[:4] == b"RIFF":
            return "cut off" if any(part.end > end for part in _chunks(file, 0, end)) else None
    except (struct.error, OverflowError, IndexError):
        pass
    return None


def whole_boxes(file: Seekable) -> set[bytes]:
    """Return the kinds of the complete top-level boxes of an MP4 file."""
    end = file.seek(0, os.SEEK_END)
    return {part.kind for part in boxes(file, 0, end) if part.end <= end}


def read_at(file: Seekable, place: int, size: int) -> bytes:
    """Read up to `size` bytes, at most 64 KB, from a position."""
    file.seek(place)
    return file.read(max(0, min(size, _MOST_BYTES)))


def _heads(file: Seekable, size: int) -> Callable[[int], bytes]:
    """Return a function that reads `size` bytes from a position, with read-ahead for small parts."""
    window, begin = b"", 0

    def head_at(place: int) -> bytes:
        nonlocal window, begin
        if not begin <= place <= begin + len(window) - size:
            window, begin = read_at(file, place, _AHEAD), place
        return window[place - begin : place - begin + size]

    return head_at


# MP4 and QuickTime

_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot"})

_FRAME_BOXES = frozenset({b"mdat", b"moof", b"moov"})  # other incomplete boxes are data appended by a camera


def boxes(file: Seekable, start: int, end: int) -> Iterator[Part]:
    """Yield the boxes between two positions; the last one can end after `end`."""
    head_at = _heads(file, 16)
    for _ in range(_MOST_PARTS):
        header = head_at(start) if start < end else b""
        if len(header) < 8:
            return
        size, kind, begin = int.from_bytes(header[:4]), header[4:8], start + 8
        if size == 1:
            size, begin = int.from_bytes(header[8:]), start + 16
        size = size or end - start  # 0: up to the end of the file
        yield Part(kind, begin, start + size)
        start += max(size, 8)


def _box(file: Seekable, parent: Part, *kinds: bytes) -> Part | None:
    """Return the first box of a kind in another box, in that the first of the next kind, and so on."""
    for kind in kinds:
        found = next((part for part in boxes(file, parent.start, parent.end) if part.kind == kind), None)
        if found is None:
            return None
        parent = found
    return parent


def _mp4_header(file: Seekable) -> VideoHeader:
    whole = Part(b"", 0, file.seek(0, os.SEEK_END))
    movie = _box(file, whole, b"moov")
    if movie is None:
        return NO_HEADER
    tracks = [part for part in boxes(file, movie.start, movie.end) if part.kind == b"trak"]
    for track in tracks:
        handler = _box(file, track, b"mdia", b"hdlr")
        if handler and read_at(file, handler.start + 8, 4) == b"vide":
            return VideoHeader(_mp4_matrix(file, movie, track), _edited_seconds(file, movie, track))
    return NO_HEADER


def _mp4_matrix(file: Seekable, movie: Part, track: Part) -> Matrix | None:
    """Return the matrix of the track multiplied by that of the movie."""
    matrix = IDENTITY
    for parent, kind, place in ((track, b"tkhd", 40), (movie, b"mvhd", 36)):
        if box := _box(file, parent, kind):
            longer = 12 if read_at(file, box.start, 1) == b"\x01" else 0  # version 1 has times of 64 bits
            a, b, _, c, d = struct.unpack(">5i", read_at(file, box.start + place + longer, 20))
            if any((a, b, c, d)):
                matrix = product(matrix, (a / _UNIT, b / _UNIT, c / _UNIT, d / _UNIT))
    return None if matrix == IDENTITY else matrix


def _edited_seconds(file: Seekable, movie: Part, track: Part) -> float | None:
    """Return the total duration of the edits that show frames; an empty edit only delays the start."""
    edits, times = _box(file, track, b"edts", b"elst"), _box(file, movie, b"mvhd")
    if edits is None or times is None:
        return None
    scale_at = 20 if read_at(file, times.start, 1) == b"\x01" else 12
    (scale,) = struct.unpack(">I", read_at(file, times.start + scale_at, 4))
    head = read_at(file, edits.start, 8)
    version, (count,) = head[:1], struct.unpack(">I", head[4:])
    shape = ">QqI" if version == b"\x01" else ">IiI"
    content = read_at(file, edits.start + 8, count * struct.calcsize(shape))
    whole = content[: len(content) // struct.calcsize(shape) * struct.calcsize(shape)]
    shown = [length for length, begin, _ in struct.iter_unpack(shape, whole) if begin >= 0]
    return sum(shown) / scale if scale and shown and all(shown) else None  # 0 is "up to the end"


# Matroska and WebM

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _TRACKS = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b"
_TRACK, _TYPE, _VIDEO, _PROJECTION = b"\xae", b"\x83", b"\xe0", b"\x76\x70"
_NUMBER, _BLOCK = b"\xd7", b"\xa3"
_KIND, _YAW, _PITCH, _ROLL = b"\x76\x71", b"\x76\x73", b"\x76\x74", b"\x76\x75"
_HOLDS_FRAMES = frozenset({_SEGMENT, _CLUSTER})
_ELEMENTS = _HOLDS_FRAMES | {
    _EBML, _TRACKS, b"\xec", b"\xbf", b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x10\x43\xa7\x70",
    b"\x1c\x53\xbb\x6b", b"\x19\x41\xa4\x69", b"\x12\x54\xc3\x67",  # up to here: of a file and a segment
    b"\xe7", b"\xa7", b"\xab", b"\x58\x54", _BLOCK, b"\xa0", b"\xaf",  # of a cluster
}  # fmt: skip
_UNKNOWN = -1  # the end of an element whose length was not known when it was written


def elements(file: Seekable, start: int, end: int, *, into: frozenset[bytes] = frozenset()) -> Iterator[Part]:
    """Yield the elements between two positions, each followed by its children if its kind is in `into`."""
    head_at = _heads(file, 12)
    for _ in range(_MOST_PARTS):
        header = head_at(start) if start < end else b""
        if len(header) < 2 or not header[0]:
            return
        kind = header[: 9 - header[0].bit_length()]
        first = header[len(kind)] if len(kind) < len(header) else 0
        length = 9 - first.bit_length()
        if not first or len(header) < len(kind) + length:
            return
        size = int.from_bytes(header[len(kind) : len(kind) + length]) & (1 << 7 * length) - 1
        begin = start + len(kind) + length
        unknown = size == (1 << 7 * length) - 1
        yield Part(kind, begin, _UNKNOWN if unknown else begin + size)
        start = begin if unknown or kind in into else begin + size


def _matroska_fault(file: Seekable, end: int) -> Fault | None:
    last, tracks = 0, set[bytes]()
    for part in elements(file, 0, end, into=_HOLDS_FRAMES):
        if part.end > end:
            return "cut off"
        if part.kind == _TRACKS:
            tracks = {_field(file, track, _NUMBER) for track in elements(file, part.start, part.end)}
        lost = part.kind == _BLOCK and bytes([read_at(file, part.start, 1)[0] & 0x7F]) not in tracks
        if lost or part.kind not in _ELEMENTS:
            return "damaged"
        last = part.start if part.end == _UNKNOWN or part.kind in _HOLDS_FRAMES else part.end
    return None if last == end else "damaged"


def _matroska_matrix(file: Seekable) -> Matrix | None:
    end = file.seek(0, os.SEEK_END)
    for part in elements(file, 0, end, into=frozenset({_SEGMENT})):
        if part.kind == _TRACKS:
            for track in elements(file, part.start, part.end):
                if track.kind == _TRACK and _field(file, track, _TYPE) == b"\x01":
                    return _pose_matrix(file, track)
    return None


def _field(file: Seekable, parent: Part, *kinds: bytes) -> bytes:
    """Return the content of the first element of a kind in another, and so on; b"" if there is none."""
    for kind in kinds:
        parts = elements(file, parent.start, parent.end)
        found = next((part for part in parts if part.kind == kind), None)
        if found is None:
            return b""
        parent = found
    return read_at(file, parent.start, parent.end - parent.start)


def _pose_matrix(file: Seekable, track: Part) -> Matrix | None:
    """Return the matrix of a flat projection with a roll, mirrored if the yaw is 180 degrees, as FFmpeg does."""
    if int.from_bytes(_field(file, track, _VIDEO, _PROJECTION, _KIND)):
        return None  # a sphere or a cube
    yaw, pitch, roll = (
        _number(_field(file, track, _VIDEO, _PROJECTION, kind)) for kind in (_YAW, _PITCH, _ROLL)
    )
    if pitch or abs(yaw) not in {0, 180} or not (yaw or roll) or not math.isfinite(roll):
        return None
    mirrored = -1 if yaw else 1
    turn = math.radians(-mirrored * roll)
    cosine, sine = math.cos(turn), math.sin(turn)
    return mirrored * cosine, sine, -mirrored * sine, cosine


def _number(content: bytes) -> float:
    shape = {4: ">f", 8: ">d"}.get(len(content))
    return float(struct.unpack(shape, content)[0]) if shape else 0.0


# AVI


def _chunks(file: Seekable, start: int, end: int) -> Iterator[Part]:
    """Yield the top-level chunks; files of more than a gigabyte have several."""
    for _ in range(_MOST_PARTS):
        header = read_at(file, start, 8) if start < end else b""
        if len(header) < 8 or header[:4] != b"RIFF":
            return
        size = int.from_bytes(header[4:], "little")
        yield Part(header[:4], start + 8, start + 8 + size)
        start += 8 + max(size + size % 2, 1)
