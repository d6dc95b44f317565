"""Read videos with PyAV through the interface of `cv2.VideoCapture`, for codecs that OpenCV cannot decode, such as AV1.

Also contains checks of the end of a video that need PyAV. Without PyAV they return empty results.
"""

from __future__ import annotations

import itertools
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np

from mien.recognition.video.containers import BEGINNING, CODECS, container_kind, ffmpeg_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mien.recognition.video.containers import ContainerKind
    from mien.recognition.video.headers import Fault
    from mien.recognition.video.orientation import Matrix

CODINGS = frozenset({"av01", "AV01"})
"""FourCC codes of codecs without a decoder in OpenCV's wheels."""

_FIRST_PACKETS = 100  # maximum number of packets before the first frame
_SAME = 0.0005  # seconds: half of the coarsest time unit, a millisecond
_DISCARDED = 2  # AVINDEX_DISCARD_FRAME: in the index, but not shown


def coding_of(capture: cv2.VideoCapture | AvCapture) -> str:
    """Return the FourCC code of the codec of a video; "" if there is none."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    name = code.to_bytes(4, "little").decode("ascii", "replace").strip()
    return name if name.isalnum() else ""


@dataclass(frozen=True, slots=True)
class Remainder:
    """Number of frames after the last decoded frame; hidden frames are not counted.

    Args:
        undecoded: frames that are in the file.
        absent: frames that are missing according to the index or the duration of the video.
    """

    undecoded: int = 0
    absent: int = 0


def remainder_after(source: str | BinaryIO, seconds: float, fps: float, *, fault: Fault | None) -> Remainder:
    """Count the frames after the last decoded frame, as listed by the container; none without PyAV.

    Frames hidden by an edit list, and frames shown before but stored after the last one, are not counted.

    Args:
        source: path of a video, or one opened with "rb".
        seconds: time of the last frame, from the first.
        fps: average frames per second.
        fault: fault of the whole file, if any.
    """
    try:
        with open_container(source) as container:
            stream = container.streams.video[0]
            tick, start = float(stream.time_base or 0), stream.start_time or 0
            last, undecoded = seconds, 0
            _go_near(container, stream, seconds)
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard and not packet.is_corrupt:
                    stamp = packet.dts if packet.pts is None else packet.pts
                    at = last if stamp is None else (stamp - start) * tick
                    undecoded += at > seconds + _SAME
                    last = max(last, at)
            return Remainder(undecoded, _absent(container, stream, last, fps) if fault else 0)
    except faults():
        return Remainder()


def _go_near(container: Any, stream: Any, seconds: float) -> None:
    """Seek to the key frame before a time; containers without seeking are read from the start."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        container.seek(int((stream.start_time or 0) + seconds / stream.time_base), stream=stream)


def _absent(container: Any, stream: Any, last: float, fps: float) -> int:
    """Count missing frames by the index of an MP4 file, and in other formats by the duration of the track."""
    if "mp4" in container.format.name:
        entries = ((entry.pos + entry.size, entry.flags) for entry in stream.index_entries)
        return sum(end > container.size and not flags & _DISCARDED for end, flags in entries)
    length = _length_of(stream)
    return max(0, round((length - last) * fps) - 1) if length else 0


def first_frame_matrix(source: str | BinaryIO) -> Matrix | None:
    """Return the display matrix of the first frame, from the container or the bitstream.

    `None` if there is none, or without PyAV.
    """
    try:
        with open_container(source) as container:
            for packet in itertools.islice(container.demux(video=0), _FIRST_PACKETS):
                if frames := packet.decode():
                    return _matrix_of(frames[0])
    except faults():
        pass
    return None


def _matrix_of(frame: Any) -> Matrix | None:
    for data in getattr(frame, "side_data", ()):
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= 36:
            a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
            return float(a), float(b), float(c), float(d)
    return None


def faults() -> tuple[type[Exception], ...]:
    """Return the exceptions that opening and reading a video with PyAV can raise, including those without PyAV."""
    usual = (ImportError, OSError, ValueError, LookupError)
    try:
        import av
    except ImportError:
        return usual
    return (*usual, av.error.FFmpegError)


def open_container(source: str | BinaryIO) -> Any:
    """Open a video with PyAV, restricted to this file and to the decoders in `CODECS`.

    Raises:
        ImportError: If PyAV is not installed.
        OSError, ValueError: If the file cannot be opened, or its codec is not in `CODECS`.
    """
    import av

    options = ffmpeg_options(_kind_of(source), in_memory=not isinstance(source, str))
    container = av.open(source, container_options=options)
    for stream in container.streams.video:
        codec = getattr(stream.codec_context, "name", None)
        if codec is not None and codec not in CODECS:
            container.close()
            raise ValueError(f"the codec {codec} is not supported")
    return container


def _kind_of(source: str | BinaryIO) -> ContainerKind:
    if isinstance(source, str):
        with Path(source).open("rb") as file:
            return container_kind(file.read(BEGINNING))
    place = source.tell() if hasattr(source, "tell") else 0
    source.seek(0)
    kind = container_kind(source.read(BEGINNING))
    source.seek(place)
    return kind


def _length_of(stream: Any) -> float | None:
    """Return the duration of the video stream in seconds; Matroska stores it in a tag."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) != 3:
        return None
    hours, minutes, seconds = (float(part) for part in parts)
    return 3600 * hours + 60 * minutes + seconds


class AvCapture:
    """The methods of `cv2.VideoCapture` needed to read a video, implemented with PyAV.

    Args:
        source: path of a video, or one opened with "rb".

    Attributes:
        ended: whether the end was reached; before that, `False` from `grab` means a damaged packet.
        matrix: display matrix of the first frame; `None` if there is none.

    Raises:
        ImportError: If PyAV is not installed.
        OSError, ValueError: If the video cannot be opened or contains no frames.
    """

    def __init__(self, source: str | BinaryIO) -> None:
        import av

        self._errors = av.error.FFmpegError
        self._container = open_container(source)
        if not self._container.streams.video:
            self._container.close()
            raise ValueError("no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._packets = iter(self._container.demux(self._stream))
        self._decoded: Iterator[Any] = iter(())
        self._frame: Any = None
        self.ended = False
        self._waiting = self.grab()
        self.matrix = _matrix_of(self._frame)

    def grab(self) -> bool:
        """Advance to the next frame; return `False` for an undecodable packet, and at the end."""
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
        """Return the frame as BGR uint8 (height, width, 3), in its stored orientation."""
        return True, np.asarray(self._frame.to_ndarray(format="bgr24"), np.uint8)

    def get(self, what: int) -> float:
        """Return a property by its OpenCV constant; 0 if unknown."""
        stream, context = self._stream, self._stream.codec_context
        aspect = stream.sample_aspect_ratio or 0
        fps = float(stream.average_rate or 0)
        seconds = _length_of(stream) or (self._container.duration or 0) / 1_000_000
        values = {
            cv2.CAP_PROP_FRAME_WIDTH: context.width,
            cv2.CAP_PROP_FRAME_HEIGHT: context.height,
            cv2.CAP_PROP_SAR_NUM: aspect and aspect.numerator,
            cv2.CAP_PROP_SAR_DEN: aspect and aspect.denominator,
            cv2.CAP_PROP_FPS: fps,
            cv2.CAP_PROP_FRAME_COUNT: stream.frames or round(seconds * fps),
            cv2.CAP_PROP_POS_MSEC: 1000 * self._seconds(),
            cv2.CAP_PROP_FOURCC: int.from_bytes(b"av01", "little"),
        }
        return float(values.get(what, 0))

    def _seconds(self) -> float:
        """Return the time of the frame from the start of the track."""
        time = getattr(self._frame, "time", None) or 0.0
        return float(time - (self._stream.start_time or 0) * self._stream.time_base)

    def release(self) -> None:
        """Close the video."""
        self._container.close()
