"""Limits on the tables of MP4 and QuickTime files (ISO/IEC 14496-12), for which FFmpeg allocates memory."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mien.recognition.video.header_claims import SPARE_SAMPLES, ClaimError, sample_limit
from mien.recognition.video.headers import boxes, read_at

if TYPE_CHECKING:
    from mien.recognition.video.headers import Part, Seekable

_CONTAINERS = frozenset(
    b"moov trak mdia minf stbl edts dinf mvex moof traf udta tref ilst wave sinf schi iprp ipco strk gmhd mfra".split()
)
_ENTRY_BYTES = {
    b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4, b"stps": 4, b"elst": 12, b"sbgp": 8,
}  # fmt: skip
_TABLES = re.compile(rb"st(?:sz|z2|ts|sc|co|ss|ps)|co64|ctts|elst|trun|senc|saiz|tfra|cmov|trak|moov")
_MOST_BOXES = 1_000_000
_MOST_DEPTH = 12  # FFmpeg parses 10 levels
_MOST_DESCRIPTION = 1 << 20  # number of bytes of the sample description that are searched
_PCM_SAMPLES_A_BYTE = 32  # of audio stored in chunks; the densest format has 16


@dataclass(eq=False)
class _Track:
    """The counts claimed by the tables of a track."""

    handlers: set[bytes] = field(default_factory=set)
    samples: int = 0
    edits: int = 0
    chunks: int = 0
    times: tuple[int, int] = (0, 0)  # entries, samples
    one_tick: bool = False  # the table of durations has one entry: each sample lasts one tick
    offsets: int = 0
    runs: bytes = b""

    @property
    def chunked(self) -> bool:
        """Whether it is audio that FFmpeg reads in chunks."""
        return b"soun" in self.handlers and b"vide" not in self.handlers and self.one_tick


def check_mp4(file: Seekable, size: int) -> None:
    """Check the counts claimed by the tables of all tracks and fragments.

    Raises:
        ClaimError: If they claim more than the file can contain.
    """
    scan = _Scan(file, size)
    scan.walk(0, size, 0)
    scan.end_track()


class _Scan:
    """One pass over the boxes of a file."""

    def __init__(self, file: Seekable, size: int) -> None:
        self._file, self._size = file, size
        self._boxes = self._missing = self._samples = 0
        self._track = _Track()

    def walk(self, start: int, end: int, depth: int) -> None:
        """Visit the boxes between two positions and their children."""
        for part in boxes(self._file, start, end):
            self._boxes += 1
            if self._boxes > _MOST_BOXES:
                raise ClaimError(f"more than {_MOST_BOXES:,} boxes")
            begin, stop = part.start, min(part.end, end)
            if part.kind == b"cmov":
                raise ClaimError("a compressed header, which is not supported")
            if part.kind == b"trak":
                self.end_track()
            if self._holds_boxes(part) and depth < _MOST_DEPTH:
                self.walk(begin, stop, depth + 1)
            elif (
                part.kind == b"meta" and depth < _MOST_DEPTH
            ):  # has a version field in MP4, but not in QuickTime
                plain = read_at(self._file, begin + 4, 4) in {b"hdlr", b"mhdr", b"keys"}
                self.walk(begin if plain else begin + 4, stop, depth + 1)
            elif part.kind == b"stsd":
                self._search(begin, stop)
            else:
                self._look_at(part.kind, begin, stop)

    def end_track(self) -> None:
        """Check the counts of the current track, and start the next one."""
        track, self._track = self._track, _Track()
        most = sample_limit(self._size)
        dense = _PCM_SAMPLES_A_BYTE * self._size + SPARE_SAMPLES
        samples = max(track.samples, track.times[1], track.offsets)
        if samples > (dense if track.chunked else most):
            raise ClaimError(f"{samples:,} samples in {self._size:,} bytes")
        entries = samples // 1024 if track.chunked else samples
        self._add_samples(entries)
        if max(track.edits - 2, 0) * entries > most:
            raise ClaimError(f"{track.edits:,} edits of {samples:,} samples")
        if (pieces := _in_chunks(track)) > dense:
            raise ClaimError(f"{pieces:,} samples of chunks in {self._size:,} bytes")

    def _holds_boxes(self, part: Part) -> bool:
        if part.kind in {b"free", b"hoov"}:  # FFmpeg accepts a header inside them
            return read_at(self._file, part.start + 4, 4) in {b"mvhd", b"cmov"}
        return part.kind in _CONTAINERS

    def _search(self, begin: int, end: int) -> None:
        """Search the sample description for tables: FFmpeg parses them as if they were outside."""
        self._file.seek(begin)
        content = self._file.read(max(0, min(end - begin, _MOST_DESCRIPTION)))
        for found in _TABLES.finditer(content):
            if found[0] in {b"trak", b"moov", b"cmov"}:
                raise ClaimError("a header in the description of a track")
            self._look_at(found[0], begin + found.end(), end)

    def _look_at(self, kind: bytes, begin: int, end: int) -> None:
        """Read the counts of a table; other boxes are ignored."""
        track = self._track
        if kind == b"hdlr":
            track.handlers.add(read_at(self._file, begin + 8, 4))
        elif kind in {b"stsz", b"stz2"}:
            self._take_sizes(kind, begin, end)
        elif kind == b"trun":
            self._take_run(begin, end)
        elif kind in {b"senc", b"saiz", b"tfra"}:
            self._take_other(kind, begin, end)
        elif kind in _ENTRY_BYTES:
            self._take_table(kind, begin, end)

    def _take_sizes(self, kind: bytes, begin: int, end: int) -> None:
        head = read_at(self._file, begin, 12)
        if len(head) < 12:
            return
        each, count = struct.unpack(">II", head[4:])
        bits = (each & 0xFF) if kind == b"stz2" else 0 if each else 32
        self._miss(count if not bits else count - max(0, end - begin - 12) * 8 // bits, free=not bits)
        self._track.samples = max(self._track.samples, count)

    def _take_run(self, begin: int, end: int) -> None:
        head = read_at(self._file, begin, 8)
        if len(head) < 8:
            return
        flags, count = struct.unpack(">II", head)
        width = 4 * (flags & 0xF00).bit_count()
        self._miss(count - max(0, end - begin - 8) // width if width else count, free=not width)
        self._add_samples(count)

    def _take_other(self, kind: bytes, begin: int, end: int) -> None:
        """Read the counts of sample encryption and of the index of a fragmented file."""
        flags = int.from_bytes(read_at(self._file, begin, 4)) & 0xFFFFFF
        place = {b"senc": 4, b"saiz": 5 + 8 * (flags & 1), b"tfra": 12}[kind]
        count = int.from_bytes(read_at(self._file, begin + place, 4))
        if count > max(end - begin, sample_limit(self._size)):
            raise ClaimError(f"{count:,} samples in {self._size:,} bytes")

    def _take_table(self, kind: bytes, begin: int, end: int) -> None:
        track, place = self._track, 8 if kind == b"sbgp" else 4
        head = read_at(self._file, begin, place + 4)
        width = 20 if kind == b"elst" and head[:1] == b"\1" else _ENTRY_BYTES[kind]
        if len(head) < place + 4 or not width:
            return
        count = int.from_bytes(head[place:])
        held = max(0, end - begin - place - 4) // width
        self._miss(count - held, free=False)
        count = min(count, held)
        if kind == b"elst":
            track.edits = max(track.edits, count)
        elif kind in {b"stco", b"co64"}:
            track.chunks = max(track.chunks, count)
        elif kind in {b"stts", b"ctts", b"stsc"}:
            self._file.seek(begin + place + 4)
            content = self._file.read(count * width)
            content = content[: len(content) // width * width]
            if kind == b"stsc":
                track.runs = content if len(content) > len(track.runs) else track.runs
                return
            pairs = np.frombuffer(content, ">u4").reshape(-1, 2).astype(np.int64)
            total = int(pairs[:, 0].sum())
            if kind == b"ctts":
                track.offsets = max(track.offsets, total)
                return
            track.times = max(track.times[0], len(pairs)), max(track.times[1], total)
            track.one_tick = track.times[0] == 1 and len(pairs) == 1 and int(pairs[0, 1]) == 1

    def _miss(self, entries: int, *, free: bool) -> None:
        """Count entries that are missing in the file; entries without bytes are counted as samples instead."""
        if free:
            return
        self._missing += max(0, entries)
        if self._missing > SPARE_SAMPLES:
            raise ClaimError(f"tables with {self._missing:,} entries more than it contains")

    def _add_samples(self, count: int) -> None:
        self._samples += count
        if self._samples > sample_limit(self._size):
            raise ClaimError(f"{self._samples:,} samples in {self._size:,} bytes")


def _in_chunks(track: _Track) -> int:
    """Return the samples of a track by its chunks: the chunks of each run times the samples per chunk."""
    runs = np.frombuffer(track.runs, ">u4").reshape(-1, 3).astype(np.int64)
    if not len(runs) or not track.chunks:
        return 0
    first, each = runs[:, 0], runs[:, 1]
    lengths = np.diff(np.append(first, track.chunks + 1))
    if (lengths < 0).any():  # FFmpeg reorders them
        return track.chunks * int(each.max())
    return int(sum(int(a) * int(b) for a, b in zip(lengths, each, strict=True) if b))
