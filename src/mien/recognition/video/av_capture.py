"""Videos that OpenCV opens but cannot decode, AV1 above all, decoded by PyAV behind OpenCV's calls."""

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
"""Names of codings that OpenCV's wheels have no decoder for."""

_FIRST_PACKETS = 100  # within which a first frame is looked for
_SAME = 0.0005  # seconds: half of the coarsest tick, a millisecond
_DISCARDED = 2  # AVINDEX_DISCARD_FRAME: in the index, and not to be shown


def coding_of(capture: cv2.VideoCapture | AvCapture) -> str:
    """The four letters that name the coding of a video, "" where it has none."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    name = code.to_bytes(4, "little").decode("ascii", "replace").strip()
    return name if name.isalnum() else ""


@dataclass(frozen=True, slots=True)
class Remainder:
    """What a video holds after the last frame that could be shown; hidden frames do not count.

    Args:
        undecoded: frames that are in the file.
        absent: frames that its index or its length tells of, but that are not in the file or cannot be found.
    """

    undecoded: int = 0
    absent: int = 0


def remainder_after(source: str | BinaryIO, seconds: float, fps: float, *, fault: Fault | None) -> Remainder:
    """Count the frames after the last one that was seen, as the container lists them; none without PyAV.

    Frames that an edit list hides, and those that are shown before others but stored after them, are not counted.

    Args:
        source: path of a video, or one opened with "rb".
        seconds: when the last frame is shown, counted from the first.
        fps: frames a second, on average.
        fault: what is wrong with the file as a whole.
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
    """To the key frame before a time; a container that cannot seek is read from its beginning."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        container.seek(int((stream.start_time or 0) + seconds / stream.time_base), stream=stream)


def _absent(container: Any, stream: Any, last: float, fps: float) -> int:
    """Frames that cannot be found: by the index of an MP4 file, elsewhere by the length of the track."""
    if "mp4" in container.format.name:
        entries = ((entry.pos + entry.size, entry.flags) for entry in stream.index_entries)
        return sum(end > container.size and not flags & _DISCARDED for end, flags in entries)
    length = _length_of(stream)
    return max(0, round((length - last) * fps) - 1) if length else 0


def first_frame_matrix(source: str | BinaryIO) -> Matrix | None:
    """The display matrix of a video's first frame, as FFmpeg finds it in container or bitstream.

    `None` where there is none, or without PyAV.
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
    """All that opening and reading a video with PyAV may raise, where it is not installed too."""
    usual = (ImportError, OSError, ValueError, LookupError)
    try:
        import av
    except ImportError:
        return usual
    return (*usual, av.error.FFmpegError)


def open_container(source: str | BinaryIO) -> Any:
    """Open a video with PyAV, by which nothing but this one file is read and no decoder but a usual one is chosen.

    Raises:
        ImportError: PyAV is not installed.
        OSError, ValueError: it cannot open the file, or a video in it is of a rare coding.
    """
    import av

    options = ffmpeg_options(_kind_of(source), in_memory=not isinstance(source, str))
    container = av.open(source, container_options=options)
    for stream in container.streams.video:
        codec = getattr(stream.codec_context, "name", None)
        if codec is not None and codec not in CODECS:
            container.close()
            raise ValueError(f"the coding {codec} is not read")
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
    """Seconds that the images last, without the sound: Matroska has it as a tag."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) != 3:
        return None
    hours, minutes, seconds = (float(part) for part in parts)
    return 3600 * hours + 60 * minutes + seconds


class AvCapture:
    """The part of `cv2.VideoCapture` that reading a video needs, by PyAV.

    Args:
        source: path of a video, or one opened with "rb".

    Attributes:
        ended: whether all of it was read; until then a `grab` that gives `False` is one packet that is damaged.
        matrix: how frames are turned and mirrored for display, `None` where nothing is said.

    Raises:
        ImportError: PyAV is not installed.
        OSError, ValueError: it cannot open the video, or there are no images in it.
    """

    def __init__(self, source: str | BinaryIO) -> None:
        import av

        self._errors = av.error.FFmpegError
        self._container = open_container(source)
        if not self._container.streams.video:
            self._container.close()
            raise ValueError("no images")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._packets = iter(self._container.demux(self._stream))
        self._decoded: Iterator[Any] = iter(())
        self._frame: Any = None
        self.ended = False
        self._waiting = self.grab()
        self.matrix = _matrix_of(self._frame)

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
        """The frame as BGR uint8 (height, width, 3), as it is stored."""
        return True, np.asarray(self._frame.to_ndarray(format="bgr24"), np.uint8)

    def get(self, what: int) -> float:
        """A property by OpenCV's number of it, 0 where it is not known."""
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
        """When the frame is shown, counted from the beginning of the track."""
        time = getattr(self._frame, "time", None) or 0.0
        return float(time - (self._stream.start_time or 0) * self._stream.time_base)

    def release(self) -> None:
        """Let the video go."""
        self._container.close()
