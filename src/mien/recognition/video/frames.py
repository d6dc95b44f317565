"""Read the frames of a video file or webcam one by one, with their times.

>>> with read_frames("clip.mp4") as frames:  # doctest: +SKIP
...     for frame in frames:
...         print(frame.index, frame.seconds, frame.image.shape)
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import cv2
import numpy as np

from mien.errors import DataError
from mien.quoting import quoted
from mien.recognition.video.av_capture import AvCapture, coding_of, remainder_after
from mien.recognition.video.capture import header_of, open_capture, opened_again, source_name
from mien.recognition.video.headers import find_fault
from mien.recognition.video.info import VideoInfo, describe, square_size
from mien.recognition.video.orientation import IDENTITY, Orientation
from mien.recognition.video.steady_file import SteadyFile
from mien.recognition.video.timestamps import FileClock, LiveClock
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray


_MIN_GAP = 3  # minimum number of frames missing at the end to check for lost frames
_FAILURES = 1000  # maximum number of consecutive undecodable packets; trying them takes 30 ms
_PAUSES = (0.05, 0.2, 0.5)  # seconds before a webcam that gave no frame is asked again


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of a video.

    Args:
        index: index among the decodable frames, from 0.
        seconds: time from the start of the video; it increases from frame to frame.
        image: RGB uint8 (height, width, 3), upright.
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]


class Frames(Iterator[Frame]):
    """Iterator over the frames of a video, returned by `read_frames`. It is also a context manager.

    Attributes:
        info: size, frame rate and duration of the video.
        lost: number of undecodable frames so far. Frames that the decoder conceals or an edit list hides are not
            counted. After the last frame, frames that are missing because the file is cut off are included.
        cut_off: whether the file is shorter than its header says; set after the last frame.
        stopped: whether a webcam stopped responding; set after the last frame.
        seconds: time of the latest frame.
    """

    def __init__(self, source: str | Path | int | BinaryIO, every: int) -> None:
        if not isinstance(every, int) or every < 1:
            raise DataError.from_parts(
                expected="every as an integer of at least 1", received=f"every={quoted(every)}"
            )
        self._source = _openable(source)  # OpenCV does not keep a reference to it
        self._name, self._capture = source_name(self._source), open_capture(self._source)
        header = header_of(self._source, self._capture)
        self._orientation = Orientation.from_matrix(header.matrix or IDENTITY)
        self.info = describe(self._capture, self._name, live=isinstance(source, int), header=header)
        self.lost, self.seconds, self.cut_off, self.stopped, self._count = 0, 0.0, False, False, 0
        self._frames = self._read(every)

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the video or webcam."""
        self._frames.close()
        self._capture.release()  # a generator that was never started does not run its `finally` block

    @property
    def damage(self) -> str:
        """A sentence about the frames lost so far, "" if none were lost; complete after the last frame."""
        frames, were = counted(self.lost, "frame"), "was" if self.lost == 1 else "were"
        if self.stopped:
            missing = f"; {frames} could not be decoded" if self.lost else ""
            return f"{self._name}: stopped responding after {counted(self._count, 'frame')}{missing}."
        if self.cut_off:
            missing = f"; {frames} could not be decoded or {were} missing" if self.lost else ""
            return f"{self._name}: the file is cut off after {self.seconds:.1f} seconds{missing}."
        sentence = f"{self._name}: {frames} could not be decoded and {were} left out."
        return sentence if self.lost else ""

    def _read(self, every: int) -> Generator[Frame]:
        clock = LiveClock() if self.info.live else FileClock(self._capture, self.info.fps)
        index, stamp = 0, 0.0
        try:
            while self._grab():
                self.seconds = clock()
                if index % every == 0 and (image := self._image()) is not None:
                    yield Frame(index, self.seconds, image)
                index += 1
                self._count = index
                stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            coding = coding_of(self._capture)
        finally:
            self._capture.release()
        self.stopped = self.info.live
        if not self.info.live:
            self._check_end(index, stamp)
        if not index:
            raise self._no_frames(coding)

    def _no_frames(self, coding: str) -> DataError:
        if self.info.live:
            return DataError.from_parts(
                self._name,
                expected="frames",
                received="none",
                remedy="Check that it is connected and not used by another program.",
            )
        if self.cut_off:
            return DataError.from_parts(
                self._name,
                expected="frames",
                received="a file that is cut off before the end of the first one, as after an interrupted recording",
                remedy="Copy it again from its source.",
            )
        codec = f" (the codec is {coding.upper()})" if coding else ""
        return DataError.from_parts(
            self._name,
            expected="frames",
            received=f"none that can be decoded{codec}",
            remedy="Convert it to H.264, for example with: ffmpeg -i VIDEO -c:v libx264 COPY.mp4",
        )

    def _grab(self) -> bool:
        """Advance to the next decodable frame; return `False` at the end."""
        if self.info.live:
            return self._grab_live()
        # A failure is either one bad packet or the end: only another attempt shows which.
        for failures in range(_FAILURES):
            found = self._capture.grab()
            if found or getattr(self._capture, "ended", False):
                self.lost += failures
                return found
        return False

    def _grab_live(self) -> bool:
        """Wait for the next frame of a webcam; return `False` if it does not respond."""
        if self._capture.grab():
            return True
        for pause in _PAUSES:
            time.sleep(pause)
            if self._capture.grab():
                return True
        return False

    def _check_end(self, index: int, stamp: float) -> None:
        """Detect frames after the last of `index` decoded frames, whose time stamp in the file is `stamp`."""
        if isinstance(self._source, int):
            return
        with opened_again(self._source) as file:
            if file is None:
                return
            fault = find_fault(file)
            self.cut_off = fault == "cut off"
            gap = round(((self.info.seconds or 0) - self.seconds) * self.info.fps) - 1
            if not index or (gap < _MIN_GAP and not self.cut_off):
                return
            file.seek(0)
            rest = remainder_after(file, stamp, self.info.fps, fault=fault)
        # AvCapture has already counted the undecodable frames in the file.
        lost = rest.absent + (0 if isinstance(self._capture, AvCapture) else rest.undecoded)
        if lost >= _MIN_GAP or self.cut_off:  # one or two can be empty frames or rounding
            self.lost += lost

    def _image(self) -> NDArray[np.uint8] | None:
        good, bgr = self._capture.retrieve()
        if not good:
            self.lost += 1
            return None
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        size = square_size(self._capture, rgb.shape[1], rgb.shape[0])
        square = rgb if size == (rgb.shape[1], rgb.shape[0]) else cv2.resize(rgb, size)
        return self._orientation.apply(np.asarray(square, np.uint8))


def _openable(source: Any) -> str | Path | int | SteadyFile:
    """Return a source as OpenCV opens it.

    Raises:
        DataError: If it is not a path, a file opened with "rb" or the number of a webcam.
    """
    if isinstance(source, str | Path | int) and not isinstance(source, bool):
        return source
    if isinstance(source, io.TextIOBase):
        raise DataError.from_parts(
            expected="a video as a path or an open file, or the number of a webcam",
            received="a file opened as text",
            remedy="Open it with mode 'rb'.",
        )
    if not _is_file(source):
        raise DataError(
            "Expected a video as a path or an open file, or the number of a webcam, "
            f"got {type(source).__name__}.{_remedy(source)}"
        )
    return SteadyFile(source)


def _is_file(source: object) -> bool:
    """Return whether an object is a file; `cv2.VideoCapture` has a `read` method, but no `seek`."""
    return hasattr(source, "read") and hasattr(source, "seek")


def _remedy(source: object) -> str:
    if isinstance(source, cv2.VideoCapture):
        return (
            " Open the file or webcam with read_frames instead, or convert each image of your capture to a frame: "
            "Frame(index, seconds, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))."
        )
    return ""


def read_frames(source: str | Path | int | BinaryIO, *, every: int = 1) -> Frames:
    """Open a video and iterate over its frames.

    Frames are rotated and mirrored according to the display matrix of the file, and non-square pixels (old camcorders,
    DVDs) are resampled to square ones. Frames hidden by an edit list are left out. Undecodable frames are skipped and
    counted; of a file that is cut off, the available frames are read.

    Args:
        source: path of a video, a video opened with "rb" or in memory (`io.BytesIO`), or the number of a webcam.
        every: return only every Nth frame; the others are decoded but not converted.

    Returns:
        An iterator and context manager. The video is closed at its end, or with `close()`.

    Raises:
        DataError: If there is no such video or webcam, or it cannot be opened; during iteration, if no frame can be
            decoded.
    """
    return Frames(source, every)


def probe(source: str | Path | int | BinaryIO) -> VideoInfo:
    """Return size, frame rate and duration of a video, without decoding its frames.

    Args:
        source: path of a video, a video opened with "rb" or in memory (`io.BytesIO`), or the number of a webcam.

    Raises:
        DataError: If there is no such video or webcam, or it cannot be opened.
    """
    opened = _openable(source)
    capture = open_capture(opened)
    try:
        header = header_of(opened, capture)
        return describe(capture, source_name(opened), live=isinstance(opened, int), header=header)
    finally:
        capture.release()
