"""The frames of a video file or a webcam, one by one, with their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import cv2
import numpy as np

from mien.errors import DataError
from mien.recognition.video.av_capture import AvCapture, coding_of, remainder_after
from mien.recognition.video.capture import SteadyFile, header_of, open_capture, opened_again, source_name
from mien.recognition.video.headers import find_fault
from mien.recognition.video.info import VideoInfo, describe, square_size
from mien.recognition.video.orientation import IDENTITY, Orientation
from mien.recognition.video.timestamps import FileClock, LiveClock

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray


_LEAST_GAP = 3  # frames between the last one and the end that make one ask whether some were lost
_FAILURES = 1000  # packets in a row that cannot be decoded before a video counts as ended, which takes 30 ms


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of a video.

    Args:
        index: its number among those that can be decoded, from 0.
        seconds: when it is shown, counted from the video's beginning; grows from frame to frame.
        image: RGB uint8 (height, width, 3), upright.
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]


class Frames(Iterator[Frame]):
    """What `read_frames` gives: an iterator that can be closed.

    Attributes:
        info: what the video says of itself.
        lost: frames that could not be decoded, of those passed so far; what the decoder mends is not counted, and
            neither are frames that an edit list hides. After the end, also those that the file ends before.
        cut_off: whether the file ends before its header says it does; known after the last frame.
        seconds: when the latest frame is shown.
    """

    def __init__(self, source: str | Path | int | BinaryIO, every: int) -> None:
        if not isinstance(every, int) or every < 1:
            raise DataError(f"Expected every first, second, … frame (1 or more), got every={every!r}.")
        if isinstance(source, bool) or not (isinstance(source, str | Path | int) or _is_file(source)):
            raise DataError(
                "Expected a video as a path or an open file, or the number of a webcam, "
                f"got {type(source).__name__}.{_remedy(source)}"
            )
        self._source = (
            source if isinstance(source, str | Path | int) else SteadyFile(source)
        )  # OpenCV lets go of it
        self._name, self._capture = source_name(self._source), open_capture(self._source)
        header = header_of(self._source, self._capture)
        self._orientation = Orientation.from_matrix(header.matrix or IDENTITY)
        self.info = describe(self._capture, self._name, live=isinstance(source, int), header=header)
        self.lost, self.seconds, self.cut_off = 0, 0.0, False
        self._frames = self._read(every)

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the video or webcam go; no more frames come."""
        self._frames.close()
        self._capture.release()  # a generator that was never begun does not come to its `finally`

    @property
    def damage(self) -> str:
        """A sentence about what was lost so far, "" where nothing was; whole after the last frame."""
        frames, were = ("1 frame", "was") if self.lost == 1 else (f"{self.lost:,} frames", "were")
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
                stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            coding = coding_of(self._capture)
        finally:
            self._capture.release()
        if not self.info.live:
            self._check_end(index, stamp)
        if not index:
            raise DataError(self._why_nothing(coding))

    def _why_nothing(self, coding: str) -> str:
        if self.cut_off:
            return (
                f"{self._name}: expected images, got a file that is cut off before the first one ends, as when a "
                "recording or a copy was interrupted. Copy it again from where it came."
            )
        named = f" (its coding is {coding.upper()})" if coding else ""
        return (
            f"{self._name}: expected images, got none that can be decoded{named}. Save it as H.264; "
            "FFmpeg does that with: ffmpeg -i VIDEO -c:v libx264 COPY.mp4"
        )

    def _grab(self) -> bool:
        """Go to the next frame that can be decoded; `False` at the end."""
        # A failure is one packet that was bad, or the end: only trying again tells which.
        for failures in range(1 if self.info.live else _FAILURES):
            found = self._capture.grab()
            if found or getattr(self._capture, "ended", False):
                self.lost += failures
                return found
        return False

    def _check_end(self, index: int, stamp: float) -> None:
        """Find out whether the video goes on after the last of `index` frames, which its own clock shows at `stamp`."""
        if isinstance(self._source, int):
            return
        with opened_again(self._source) as file:
            if file is None:
                return
            fault = find_fault(file)
            self.cut_off = fault == "cut off"
            gap = round(((self.info.seconds or 0) - self.seconds) * self.info.fps) - 1
            if not index or (gap < _LEAST_GAP and not self.cut_off):
                return
            file.seek(0)
            rest = remainder_after(file, stamp, self.info.fps, fault=fault)
        # PyAV's capture has already counted what is in the file and could not be decoded.
        lost = rest.absent + (0 if isinstance(self._capture, AvCapture) else rest.undecoded)
        if lost >= _LEAST_GAP or self.cut_off:  # one or two may be empty, and lengths are rounded
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


def _is_file(source: object) -> bool:
    """Whether it can be read as a file; a capture has a `read` of its own, which gives an image."""
    return hasattr(source, "read") and hasattr(source, "seek")


def _remedy(source: object) -> str:
    if isinstance(source, cv2.VideoCapture):
        return (
            " Open the file or the webcam with read_frames itself, or make each image of your capture a frame: "
            "Frame(index, seconds, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))."
        )
    return ""


def read_frames(source: str | Path | int | BinaryIO, *, every: int = 1) -> Frames:
    """Open a video and give its frames one by one.

    Frames are turned and mirrored as the file's display matrix says, and pixels that are not square (old
    camcorders, DVDs) are made so. Frames that an edit list hides are left out. Damaged stretches are passed over
    and counted; a file that is cut off gives what is there.

    Args:
        source: path of a video, a video opened with "rb" or in memory (`io.BytesIO`), or the number of a webcam.
        every: give each first, second, … frame; the others are decoded but not converted.

    Returns:
        An iterator that lets the video go at its end or when it is closed; also a context manager.

    Raises:
        DataError: there is no such video or webcam, or it cannot be decoded; while iterating, when no frame at
            all can be decoded.
    """
    return Frames(source, every)


def probe(source: str | Path | int) -> VideoInfo:
    """What a video says of itself, for progress bars and for writing a copy.

    Raises:
        DataError: there is no such video or webcam, or it cannot be decoded.
    """
    capture = open_capture(source)
    try:
        header = header_of(source, capture)
        return describe(capture, source_name(source), live=isinstance(source, int), header=header)
    finally:
        capture.release()
