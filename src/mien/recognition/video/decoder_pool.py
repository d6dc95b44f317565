"""Decoding of untrusted videos in a process of its own, which can be limited and killed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from mien.decoders.process import Child, ChildGone, ChildLate, can_start, start
from mien.errors import DataError, MienError, TooLargeError
from mien.quoting import quoted_path
from mien.recognition.video.frames import Frame, Frames, read_frames
from mien.recognition.video.info import VideoInfo

_MODULE = "mien.recognition.video.decoder_child"
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
_LEAST_MEMORY = 2 << 30
_FRAME_SECONDS, _FRAMES = 120.0, 100  # how long so many frames of a local file may take


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """What the decoding of one video may take.

    Args:
        memory: bytes, besides those of the interpreter and the libraries.
        cpu_seconds: of the processor, on all cores together; 0 for no limit.
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
        self, child: Child, source: bytes | str, every: int, limits: DecoderLimits, name: str = "the video"
    ) -> None:
        self._child, self._limits, self._name = child, limits, name
        self.damage, self._ended = "", False
        is_path = isinstance(source, str)
        size = 0 if is_path else len(source)
        order = {
            "size": size,
            "path": source if is_path else None,
            "every": every,
            "memory": limits.memory + 2 * size,
            "cpu_seconds": limits.cpu_seconds,
            "max_pixels": limits.max_pixels,
        }
        with self._closed_on_error():
            self._expect("ready")
            self._child.send(json.dumps(order).encode() + b"\n", self._until())
            if isinstance(source, bytes):
                self._child.send(source, self._until())
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
            raise self._too_large(width, height)
        image = np.empty((height, width, 3), np.uint8)
        view = memoryview(image).cast("B")  # type: ignore[arg-type]  # NumPy's arrays are buffers
        self._child.read_into(view, self._until())
        return Frame(int(head["index"]), float(head["seconds"]), image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; by the thread that reads the frames."""
        self._ended = True
        self._child.close()

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """End the process on any error; nonsense that it said is told as its end."""
        try:
            yield
        except ChildLate as error:
            self.close()
            raise DecoderError(
                f"{self._name}: expected the next frame within {self._limits.seconds:g} seconds, got none. Convert it "
                "to H.264, or scale it down."
            ) from error
        except ChildGone as error:
            self.close()
            raise self._gone() from error
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
        head: dict[str, Any] = json.loads(self._child.read_line(self._until()))
        if head.get("memory"):
            raise DecoderError(
                f"{self._name}: expected one that is decoded with at most {self._limits.memory / 2**20:,.0f} MB of "
                "memory, got one that takes more. Scale it down."
            )
        if "error" in head:
            fields = {name: str(head[name]) for name in ("expected", "received", "remedy") if head.get(name)}
            raise DataError(str(head["error"]), **fields)
        if "large" in head:
            width, height = head["large"]
            raise self._too_large(width, height)
        if what not in head and "end" not in head:
            raise self._gone()
        return head

    def _until(self) -> float:
        return time.monotonic() + self._limits.seconds

    def _too_large(self, width: int, height: int) -> TooLargeError:
        most = self._limits.max_pixels / 1e6
        return TooLargeError(
            f"{self._name}: expected frames of at most {most:g} million pixels, got {width}x{height}. Scale it down."
        )

    def _gone(self) -> DecoderError:
        return DecoderError(
            f"{self._name}: expected frames, but the process that decodes it ended. It is damaged, or takes too much "
            "memory or time. Convert it to H.264, or scale it down."
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
                raise DecoderError("the video: expected a pool that is open, got a closed one. Make another.")
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
            child.close()


def open_video(
    source: str | Path | int, *, every: int = 1, limits: DecoderLimits | None = None
) -> Frames | DecodedFrames:
    """Open a video file of unknown origin; it is decoded in a process with limits where one can be started.

    The process may take half of the machine's memory, at least 2 GB, and two minutes from one frame to the next. Frames
    and messages are those of `read_frames`.

    Args:
        source: path of a video; the number of a webcam is opened in this process.
        every: give each first, second, … frame.
        limits: other limits.

    Raises:
        DataError: it cannot be decoded, or takes too much.
    """
    if not can_start() or not isinstance(source, str | Path) or not isinstance(every, int):
        return read_frames(source, every=every)
    limits = limits or DecoderLimits(
        memory=max(_LEAST_MEMORY, _machine_memory() // 2),
        cpu_seconds=0,
        seconds=_FRAME_SECONDS * max(1, every / _FRAMES),
    )
    return DecodedFrames(_start(), str(source), every, limits, name=quoted_path(str(source)))


def _machine_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _start() -> Child:
    return start(_MODULE, arenas=2)


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
