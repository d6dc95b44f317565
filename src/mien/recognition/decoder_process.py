"""Decoding of untrusted videos in a process of its own, which can be bounded and killed."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from mien.errors import DataError, MienError, TooLargeError
from mien.recognition.video.frames import Frame
from mien.recognition.video.info import VideoInfo

_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SYSTEMROOT",
)
_LONGEST_LINE = 1 << 16
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """What the decoding of one video may take.

    Args:
        memory: bytes, besides those of the interpreter and the libraries.
        cpu_seconds: of the processor, on all cores together.
        seconds: from one frame to the next; the process is killed then.
        max_pixels: of a frame, of each anew.
    """

    memory: int = 2 << 30
    cpu_seconds: int = 1200
    seconds: float = 30.0
    max_pixels: int = 1 << 26


class DecoderError(DataError):
    """The process that decodes ended before the video did: it was killed, or took too much memory."""


class DecodedFrames(Iterator[Frame]):
    """The frames of a video that another process decodes, with what `mien.recognition.video.frames.Frames` tells.

    Attributes:
        info: what the video says of itself.
        damage: what was lost; known after the last frame.
    """

    def __init__(
        self, child: subprocess.Popen[bytes], data: bytes, every: int, limits: DecoderLimits
    ) -> None:
        self._child, self._limits, self._kept = child, limits, bytearray()
        self.damage, self._ended = "", False
        order = {
            "size": len(data),
            "every": every,
            "memory": limits.memory + 2 * len(data),
            "cpu_seconds": limits.cpu_seconds,
            "max_pixels": limits.max_pixels,
        }
        with self._closed_on_error():
            self._expect("ready")
            self._send(json.dumps(order).encode() + b"\n")
            self._send(data)
            self.info = _info(self._expect("info")["info"])

    def __next__(self) -> Frame:
        with self._closed_on_error():
            frame = None if self._ended else self._next()
        if frame is None:
            self.close()
            raise StopIteration
        return frame

    def _next(self) -> Frame | None:
        head = self._expect("shape")
        if "end" in head:
            self.damage = str(head["damage"])
            return None
        height, width = head["shape"]
        if height * width > self._limits.max_pixels:
            raise _too_large(width, height, self._limits.max_pixels)
        image = np.empty((height, width, 3), np.uint8)
        self._read_into(memoryview(image).cast("B"))  # type: ignore[arg-type]  # NumPy's arrays are buffers
        return Frame(int(head["index"]), float(head["seconds"]), image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; by the thread that reads the frames."""
        self._ended = True
        _end(self._child)

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """End the process on any error; nonsense that it said is told as its end."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, _NONSENSE) and not isinstance(error, MienError):
                raise self._gone() from error
            raise

    def _expect(self, what: str) -> dict[str, Any]:
        """The next message; it must have a field, or be the end.

        Raises:
            DataError: it is an error instead, or none.
        """
        head: dict[str, Any] = json.loads(self._read_line())
        if head.get("memory"):
            raise DecoderError(
                f"the video: expected one that is decoded with at most {self._limits.memory / 2**20:,.0f} MB of memory, "
                "got one that takes more. Scale it down."
            )
        if "error" in head:
            raise DataError(str(head["error"]))
        if "large" in head:
            width, height = head["large"]
            raise _too_large(width, height, self._limits.max_pixels)
        if what not in head and "end" not in head:
            raise self._gone()
        return head

    def _send(self, data: bytes) -> None:
        try:
            cast("Any", self._child.stdin).write(data)
            cast("Any", self._child.stdin).flush()
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def _read_line(self) -> bytes:
        until = time.monotonic() + self._limits.seconds
        while b"\n" not in self._kept:
            self._kept += self._some(_LONGEST_LINE, until)
            if len(self._kept) > _LONGEST_LINE and b"\n" not in self._kept:
                raise self._gone()
        line, _, rest = self._kept.partition(b"\n")
        self._kept = bytearray(rest)
        return bytes(line)

    def _read_into(self, view: memoryview) -> None:
        until = time.monotonic() + self._limits.seconds
        kept = min(len(self._kept), len(view))
        view[:kept] = self._kept[:kept]
        del self._kept[:kept]
        while kept < len(view):
            some = self._some(len(view) - kept, until)
            view[kept : kept + len(some)] = some
            kept += len(some)

    def _some(self, most: int, until: float) -> bytes:
        """Some bytes that the process wrote.

        Raises:
            DecoderError: it took too long, or it is gone.
        """
        try:
            pipe = cast("Any", self._child.stdout).fileno()
            ready, _, _ = select.select([pipe], [], [], max(until - time.monotonic(), 0))
            some = os.read(pipe, min(most, 1 << 20)) if ready else None
        except (OSError, ValueError) as error:
            raise self._gone() from error
        if some is None:
            self._child.kill()
            raise DecoderError(
                f"the video: expected the next frame within {self._limits.seconds:g} seconds, got none. Convert it to "
                "H.264, or scale it down."
            )
        if not some:
            raise self._gone()
        return some

    def _gone(self) -> DecoderError:
        return DecoderError(
            "the video: expected frames, but the process that decodes it ended. It is damaged, or takes too much memory "
            "or time. Convert it to H.264, or scale it down."
        )


class DecoderPool:
    """Starts a process for each video, some of them beforehand, for the start takes a part of a second.

    Args:
        spares: processes that wait.
        limits: what each may take.
    """

    def __init__(self, spares: int = 1, limits: DecoderLimits | None = None) -> None:
        self._most, self._limits = spares, limits or DecoderLimits()
        self._lock = threading.Lock()
        self._spares: list[subprocess.Popen[bytes]] = []
        self._busy: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def prepare(self) -> None:
        """Start the processes that wait."""
        with self._lock:
            self._spares = [one for one in self._spares if one.poll() is None]
            while not self._closed and len(self._spares) < self._most:
                self._spares.append(_start())

    def wait_until_ready(self, seconds: float = 5.0) -> None:
        """Wait until the processes that wait can take a video; no longer than some seconds for each."""
        for child in self._spares:
            select.select([cast("Any", child.stdout)], [], [], seconds)

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
                raise DecoderError("the video: expected a pool that is open, got a closed one. Make another.")
            alive = [one for one in self._spares if one.poll() is None]
            child = alive[0] if alive else _start()
            self._spares = alive[1:]
            self._busy = [one for one in self._busy if one.poll() is None] + [child]
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
            _end(child)


def _info(fields: Mapping[str, Any]) -> VideoInfo:
    """What a video says of itself, of the types that it should have."""
    frames, seconds = fields["frames"], fields["seconds"]
    return VideoInfo(
        int(fields["width"]),
        int(fields["height"]),
        float(fields["fps"]),
        None if frames is None else int(frames),
        None if seconds is None else float(seconds),
    )


def can_start() -> bool:
    """Whether a process can be started for decoding; in a program that was frozen to one file it cannot."""
    return os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)


def _start() -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}  # no key and no secret
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return subprocess.Popen(
        [sys.executable, "-m", "mien.recognition.decoder_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    for file in (child.stdin, child.stdout):
        with suppress(OSError):
            cast("Any", file).close()
    with suppress(subprocess.TimeoutExpired):
        child.wait(5)


def _too_large(width: int, height: int, most: int) -> TooLargeError:
    return TooLargeError(
        f"the video: expected frames of at most {most / 1e6:g} million pixels, got {width}x{height}. Scale it down."
    )
