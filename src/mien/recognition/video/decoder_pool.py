"""Decode untrusted videos in child processes with resource limits, which can be killed."""

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
_FRAME_SECONDS, _FRAMES = 120.0, 100  # timeout for decoding up to this many frames of a local file


class DecoderPool:
    """Decodes each video in a new process. Some are started in advance, because a start takes a fraction of a second.

    Args:
        spares: number of processes to keep ready.
        limits: limits for each video.
    """

    def __init__(self, spares: int = 1, limits: DecoderLimits | None = None) -> None:
        self._most, self._limits = spares, limits or DecoderLimits()
        self._lock = threading.Lock()
        self._spares: list[Child] = []
        self._busy: list[Child] = []
        self._closed = False

    def prepare(self) -> None:
        """Start the processes that are kept ready, without waiting for them."""
        with self._lock:
            self._spares = [one for one in self._spares if one.alive]
            while not self._closed and len(self._spares) < self._most:
                self._spares.append(_start())

    def wait_until_ready(self, seconds: float = 5.0) -> None:
        """Wait until the processes that are kept ready have started.

        Args:
            seconds: timeout for each process in seconds.
        """
        for child in self._spares:
            child.wait_for_output(seconds)

    def read_frames(self, data: bytes, *, every: int = 1) -> DecodedFrames:
        """Return the frames of a video in memory. They must be closed.

        Args:
            data: the bytes of the file.
            every: return only every Nth frame.

        Raises:
            DataError: If the video cannot be decoded, or exceeds a limit.
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
        """Kill all processes; reading more frames raises an error. This method is thread-safe."""
        with self._lock:
            self._closed = True
            spares, self._spares = self._spares, []
            for child in self._busy:
                child.kill()  # the thread that reads its frames closes its pipes
        for child in spares:
            child.kill()  # kill all of them before waiting for one
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
    """Open an untrusted video file, which is decoded in a child process with limits if one can be started.

    Frames and error messages are those of `read_frames`.

    Args:
        source: path of a video, or the number of a webcam, which is opened in this process.
        every: return only every Nth frame.
        per_second: minimum number of frames to return per second, instead of `every`; the largest possible step is
            computed from the frame rate of the video.
        limits: limits for the decoding; by default those of `local_limits`.
        beat: heartbeat callback, called while the process starts, at most `limits.seconds` apart, and when the video is
            open. It is not called if the video is opened in this process.

    Raises:
        DataError: If the video cannot be decoded, or exceeds a limit.
    """
    if not can_start() or not isinstance(source, str | Path) or not isinstance(every, int):
        every = step_of(probe(source).fps, per_second) if per_second else every
        return read_frames(source, every=every)
    limits = limits or local_limits(seconds=_FRAME_SECONDS * max(1, every / _FRAMES))
    path, name = str(source), quoted_path(str(source))
    return DecodedFrames(_start(), path, every, limits, name=name, per_second=per_second, beat=beat)


def local_limits(seconds: float = _FRAME_SECONDS, processes: int = 1) -> DecoderLimits:
    """Return limits for local videos: half of the machine's memory (2 GB or more), and a timeout for each frame.

    Args:
        seconds: timeout for each frame in seconds.
        processes: number of concurrent decoding processes, which share the memory.
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
