"""Decoding of untrusted videos in a process of its own, which can be limited and killed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mien.decoders.process import Child, can_start, start
from mien.quoting import quoted_path
from mien.recognition.video.decoded_frames import (
    DecodedFrames,
    DecoderError,
    DecoderLateError,
    DecoderLimits,
    DecoderMemoryError,
)
from mien.recognition.video.frame_rate import step_of
from mien.recognition.video.frames import Frames, probe, read_frames

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DecodedFrames",
    "DecoderError",
    "DecoderLateError",
    "DecoderLimits",
    "DecoderMemoryError",
    "DecoderPool",
    "local_limits",
    "open_video",
]

_MODULE = "mien.recognition.video.decoder_child"
_LEAST_MEMORY = 2 << 30
_FRAME_SECONDS, _FRAMES = 120.0, 100  # how long so many frames of a local file may take


class DecoderPool:
    """Starts a process for each video, some of them beforehand, for the start takes a part of a second.

    Args:
        spares: processes that wait.
        limits: what each may take.
    """

    def __init__(self, spares: int = 1, limits: DecoderLimits | None = None) -> None:
        self._most, self._limits = spares, limits or DecoderLimits()
        self._lock = threading.Lock()
        self._spares: list[Child] = []
        self._busy: list[Child] = []
        self._closed = False

    def prepare(self) -> None:
        """Start the processes that wait."""
        with self._lock:
            self._spares = [one for one in self._spares if one.alive]
            while not self._closed and len(self._spares) < self._most:
                self._spares.append(_start())

    def wait_until_ready(self, seconds: float = 5.0) -> None:
        """Wait until the processes that wait can take a video; no longer than some seconds for each."""
        for child in self._spares:
            child.wait_for_output(seconds)

    def read_frames(self, data: bytes, *, every: int = 1) -> DecodedFrames:
        """The frames of a video in memory; they must be closed.

        Args:
            data: the bytes of the file.
            every: give each first, second, … frame.

        Raises:
            DataError: it cannot be decoded, or takes too much.
        """
        with self._lock:
            if self._closed:
                raise DecoderError.from_parts(
                    "the video", expected="an open pool", received="a closed one", remedy="Make another."
                )
            alive = [one for one in self._spares if one.alive]
            child = alive[0] if alive else _start()
            self._spares = alive[1:]
            self._busy = [one for one in self._busy if one.alive] + [child]
        try:
            return DecodedFrames(child, data, every, self._limits)
        finally:
            self.prepare()

    def close(self) -> None:
        """End all processes; who reads frames of one finds it gone. Safe from any thread."""
        with self._lock:
            self._closed = True
            spares, self._spares = self._spares, []
            for child in self._busy:
                child.kill()  # its pipes belong to who reads them
        for child in spares:
            child.kill()  # all of them, before one is waited for
        for child in spares:
            child.close()


def open_video(
    source: str | Path | int,
    *,
    every: int = 1,
    per_second: float | None = None,
    limits: DecoderLimits | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Frames | DecodedFrames:
    """Open a video file of unknown origin; it is decoded in a process with limits where one can be started.

    Frames and messages are those of `read_frames`.

    Args:
        source: path of a video; the number of a webcam is opened in this process.
        every: give each first, second, … frame.
        per_second: the largest `every` that gives at least so many frames for each second, by the video's frame rate.
        limits: by default those of `local_limits`.
        beat: called while the process starts, no more than the seconds of the limits apart, and when the video is open.

    Raises:
        DataError: it cannot be decoded, or takes too much.
    """
    if not can_start() or not isinstance(source, str | Path) or not isinstance(every, int):
        every = step_of(probe(source).fps, per_second) if per_second else every
        return read_frames(source, every=every)
    limits = limits or local_limits(seconds=_FRAME_SECONDS * max(1, every / _FRAMES))
    path, name = str(source), quoted_path(str(source))
    return DecodedFrames(_start(), path, every, limits, name=name, per_second=per_second, beat=beat)


def local_limits(seconds: float = _FRAME_SECONDS, processes: int = 1) -> DecoderLimits:
    """Limits for videos of this machine: half of its memory, at least 2 GB, and some time for each frame.

    Args:
        seconds: from one frame to the next.
        processes: decoders at work at once, which share the memory.
    """
    return DecoderLimits(
        memory=max(_LEAST_MEMORY, _machine_memory() // (2 * processes)),
        cpu_seconds=0,
        cpu_seconds_per_frame=int(seconds * (os.cpu_count() or 1)) + 1,
        seconds=seconds,
    )


def _machine_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _start() -> Child:
    return start(_MODULE, arenas=2)
