"""`DecodedFrames`: the frames of a video decoded by a child process, and the limits of that process."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mien.decoders.process import Child, ChildGone, ChildLate
from mien.errors import DataError, MienError, TooLargeError
from mien.quoting import printable
from mien.recognition.video.frames import Frame
from mien.recognition.video.info import VideoInfo

_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """Limits for decoding one video.

    Args:
        memory: maximum memory in bytes, in addition to that of the interpreter and the libraries.
        cpu_seconds: maximum CPU time for the whole video in seconds, on all cores together; 0 for no limit.
        seconds: timeout for each returned frame in seconds, after which the process is killed.
        max_pixels: maximum number of pixels of each frame.
        cpu_seconds_per_frame: maximum CPU time per returned frame in seconds, used if `cpu_seconds` is 0; 0 for no
            limit.
    """

    memory: int = 2 << 30
    cpu_seconds: int = 1200
    seconds: float = 30.0
    max_pixels: int = 1 << 26
    cpu_seconds_per_frame: int = 0


class DecoderError(DataError):
    """The decoding process exited before the end of the video: it was killed, or needed too much memory."""


class DecoderMemoryError(DecoderError):
    """Decoding needed more memory than the limit, or than the system has."""


class DecoderLateError(DecoderError):
    """Decoding exceeded the timeout of a frame or the limit of CPU time; the process was killed."""


class DecodedFrames(Iterator[Frame]):
    """Iterator over the frames of a video decoded by a child process. It is also a context manager.

    Attributes:
        info: size, frame rate and duration of the video.
        damage: a sentence about lost frames, "" if none were lost; set after the last frame.

    Args:
        child: the process, just started.
        source: the bytes of a video, or its path.
        every: return only every Nth frame.
        limits: limits for the decoding.
        name: name of the video for error messages.
        per_second: minimum number of frames to return per second, instead of `every`.
        beat: heartbeat callback, called while the process starts, at most `limits.seconds` apart, and when the video is
            open.
    """

    def __init__(
        self,
        child: Child,
        source: bytes | str,
        every: int,
        limits: DecoderLimits,
        *,
        name: str = "the video",
        per_second: float | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._child, self._limits, self._name = child, limits, name
        self.damage, self._ended = "", False
        is_path = isinstance(source, str)
        size = 0 if is_path else len(source)
        order = {
            "size": size,
            "path": source if is_path else None,
            "every": every,
            "per_second": per_second,
            "memory": limits.memory + 2 * size,
            "cpu_seconds": limits.cpu_seconds,
            "cpu_seconds_per_frame": limits.cpu_seconds_per_frame,
            "max_pixels": limits.max_pixels,
        }
        with self._closed_on_error():
            self._wait_until_ready(beat)
            self._child.send(json.dumps(order).encode() + b"\n", self._until())
            if isinstance(source, bytes):
                self._child.send(source, self._until())
            self.info = _info(self._expect("info")["info"])
            beat()

    def _wait_until_ready(self, beat: Callable[[], None]) -> None:
        """Wait for the start of the process, and call the heartbeat callback at least once per timeout of a frame."""
        end = self._until(max(self._limits.seconds, _START_SECONDS))
        while (left := end - time.monotonic()) > 0:
            if self._child.wait_for_output(min(left, self._limits.seconds)):
                break
            beat()
        self._expect("ready", end)
        beat()

    def __next__(self) -> Frame:
        with self._closed_on_error():
            frame = None if self._ended else self._next()
        if frame is None:
            self.close()
            raise StopIteration
        return frame

    def _next(self) -> Frame | None:
        until = self._until()
        head = self._expect("shape", until)
        if "end" in head:
            self.damage = str(head["damage"])
            return None
        height, width = head["shape"]
        if height * width > self._limits.max_pixels:
            raise self._too_large(width, height)
        image = np.empty((height, width, 3), np.uint8)
        view = memoryview(image).cast("B")  # type: ignore[arg-type]  # NumPy's arrays are buffers
        self._child.read_into(view, until)
        return Frame(int(head["index"]), float(head["seconds"]), image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Terminate the process. Call it in the thread that reads the frames."""
        self._ended = True
        self._child.close()

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Terminate the process on any error; an invalid message is reported as if the process had exited."""
        try:
            yield
        except ChildLate as error:
            self.close()
            raise DecoderLateError.from_parts(
                self._name,
                expected=f"the next frame within {self._limits.seconds:g} seconds",
                received="none",
                remedy="Convert it to H.264, or scale it down.",
            ) from error
        except ChildGone as error:
            status = self._child.exit_status()  # before `close`, which kills a process that still runs
            self.close()
            raise self._gone(status) from error
        except BaseException as error:
            self.close()
            if isinstance(error, _NONSENSE) and not isinstance(error, MienError):
                raise self._gone() from error
            raise

    def _expect(self, what: str, until: float | None = None) -> dict[str, Any]:
        """Return the next message, which must contain the field `what` or be the last one.

        Args:
            what: name of the field.
            until: deadline, as a time of `time.monotonic`; by default the timeout of a frame from now.

        Raises:
            DataError: If it is an error message, or an unexpected one.
        """
        head: dict[str, Any] = json.loads(self._child.read_line(until or self._until()))
        if head.get("memory"):
            raise DecoderMemoryError.from_parts(
                self._name,
                expected=f"one that is decoded with at most {self._limits.memory / 2**20:,.0f} MB of memory",
                received="one that takes more",
                remedy="Scale it down.",
            )
        if "error" in head:
            raise self._refused(head)
        if "large" in head:
            width, height = head["large"]
            raise self._too_large(width, height)
        if what not in head and "end" not in head:
            raise self._gone()
        return head

    def _until(self, seconds: float | None = None) -> float:
        return time.monotonic() + (seconds or self._limits.seconds)

    def _refused(self, head: dict[str, Any]) -> DataError:
        message = str(head["error"])
        if not head.get("received"):  # an error raised by a library
            return DataError.from_parts(
                self._name,
                expected="a video that can be decoded",
                received=f"one on which the decoder failed ({printable(message):.80})",
                remedy="Convert it to H.264.",
            )
        fields = {name: str(head[name]) for name in ("expected", "received", "remedy") if head.get(name)}
        return DataError(message, **fields)

    def _too_large(self, width: int, height: int) -> TooLargeError:
        return TooLargeError.from_parts(
            self._name,
            expected=f"frames of at most {self._limits.max_pixels / 1e6:g} million pixels",
            received=f"{width}x{height}",
            remedy="Scale it down.",
        )

    def _gone(self, status: int | None = None) -> DecoderError:
        """Return the error for a process that ended with this exit status; `None` if the status is unknown."""
        # The kernel kills the process if memory is short; a decoder in C++ aborts if an allocation fails.
        if status in {-signal.SIGKILL, -signal.SIGABRT} and not self._child.was_killed:
            return DecoderMemoryError.from_parts(
                self._name,
                expected="enough free memory to decode it",
                received="less, because the process that decodes it was killed",
                remedy="Retry later, or scale it down.",
            )
        if status == -signal.SIGXCPU:
            return DecoderLateError.from_parts(
                self._name,
                expected="one that is decoded within the limit of processor time",
                received="one that takes longer",
                remedy="Convert it to H.264, or scale it down.",
            )
        return DecoderError.from_parts(
            self._name,
            expected="frames",
            received="none, because the process that decodes it ended",
            remedy="It is damaged, or takes too much memory or time. Convert it to H.264, or scale it down.",
        )


def _info(fields: Mapping[str, Any]) -> VideoInfo:
    """Return the properties of a video, converted to the expected types."""
    frames, seconds = fields["frames"], fields["seconds"]
    return VideoInfo(
        int(fields["width"]),
        int(fields["height"]),
        float(fields["fps"]),
        None if frames is None else int(frames),
        None if seconds is None else float(seconds),
    )
