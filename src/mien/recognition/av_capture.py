"""Films that OpenCV opens but cannot decode, AV1 above all, decoded by PyAV behind OpenCV's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CODINGS = frozenset({"av01", "AV01"})
"""Names of codings that OpenCV's wheels have no decoder for."""


def coding_of(capture: cv2.VideoCapture | AvCapture) -> str:
    """The four letters that name the coding of a film, "" where it has none."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    name = code.to_bytes(4, "little").decode("ascii", "replace").strip()
    return name if name.isalnum() else ""


def frames_after(source: str | BinaryIO, frames: int, seconds: float, fps: float) -> int:
    """How many frames a film holds after the last one that was seen, decodable or not; 0 where that is not known.

    They are counted by the film itself, reckoned from the length of its pictures, or else counted here.

    Args:
        source: path of a film, or one opened with "rb".
        frames: those up to the last one, with those that were lost on the way.
        seconds: when the last one is shown.
        fps: frames a second, on average.
    """
    try:
        import av

        with av.open(source) as container:
            stream = container.streams.video[0]
            if stream.frames:
                return max(0, int(stream.frames) - frames)
            if length := _length_of(stream):
                return max(0, round((length - seconds) * fps) - 1)
            return max(0, sum(1 for packet in container.demux(stream) if packet.size) - frames)
    except (ImportError, OSError, ValueError, IndexError):
        return 0


def _length_of(stream: Any) -> float | None:
    """Seconds that the pictures last, without the sound: Matroska has it as a tag."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) != 3:
        return None
    hours, minutes, seconds = (float(part) for part in parts)
    return 3600 * hours + 60 * minutes + seconds


class AvCapture:
    """The part of `cv2.VideoCapture` that reading a film needs, by PyAV.

    Args:
        source: path of a film, or one opened with "rb".

    Attributes:
        ended: whether all of it was read; until then a `grab` that gives `False` is one packet that is damaged.

    Raises:
        ImportError: PyAV is not installed.
        OSError, ValueError: it cannot open the film, or there are no pictures in it.
    """

    def __init__(self, source: str | BinaryIO) -> None:
        import av

        self._errors = av.error.FFmpegError
        self._container = av.open(source)
        if not self._container.streams.video:
            self._container.close()
            raise ValueError("no pictures")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._packets = iter(self._container.demux(self._stream))
        self._decoded: Iterator[Any] = iter(())
        self._frame: Any = None
        self.ended = False
        self._waiting = self.grab()  # the first frame tells the rotation
        self._turns = round(getattr(self._frame, "rotation", 0) / 90) % 4

    def grab(self) -> bool:
        """Go to the next frame; `False` for a packet that cannot be decoded, and at the end."""
        if getattr(self, "_waiting", False):
            self._waiting = False
            return True
        while True:
            frame = next(self._decoded, None)
            if frame is not None:
                self._frame = frame
                return True
            try:
                packet = next(self._packets, None)
                if packet is None:
                    self.ended = True
                    return False
                self._decoded = iter(packet.decode())
            except (self._errors, ValueError):
                return False

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        """The frame as BGR uint8 (height, width, 3), upright."""
        picture = self._frame.to_ndarray(format="bgr24")
        return True, np.ascontiguousarray(np.rot90(picture, self._turns))

    def get(self, what: int) -> float:
        """A property by OpenCV's number of it, 0 where it is not known."""
        stream, context = self._stream, self._stream.codec_context
        width, height = (context.width, context.height)[:: -1 if self._turns % 2 else 1]
        aspect = stream.sample_aspect_ratio or 0
        if aspect and self._turns % 2:
            aspect = 1 / aspect
        fps = float(stream.average_rate or 0)
        seconds = _length_of(stream) or (self._container.duration or 0) / 1_000_000
        values = {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_SAR_NUM: aspect and aspect.numerator,
            cv2.CAP_PROP_SAR_DEN: aspect and aspect.denominator,
            cv2.CAP_PROP_FPS: fps,
            cv2.CAP_PROP_FRAME_COUNT: stream.frames or round(seconds * fps),
            cv2.CAP_PROP_POS_MSEC: 1000 * (self._frame.time or 0) if self._frame else 0,
            cv2.CAP_PROP_FOURCC: int.from_bytes(b"av01", "little"),
        }
        return float(values.get(what, 0))

    def release(self) -> None:
        """Let the film go."""
        self._container.close()
