"""Films: frame by frame from a file or a webcam, with the faces in them followed over time.

`read_frames` gives the frames with their times, `watch` finds the faces and follows them from frame to frame,
`VideoWriter` writes a film. OpenCV reads (FFmpeg inside). Only a few frames are held, however long the film.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

import cv2
import numpy as np

from mien.errors import DataError
from mien.recognition.av_capture import AvCapture, coding_of, remainder_after
from mien.recognition.capture import SteadyFile, header_of, open_capture, opened_again, source_name
from mien.recognition.clocks import FileClock, LiveClock
from mien.recognition.orientation import IDENTITY, Orientation
from mien.recognition.tracking import CutDetector, FaceTracker, Smoother
from mien.recognition.video_headers import find_fault
from mien.recognition.video_info import VideoInfo, describe, square_size
from mien.recognition.video_writer import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Face

__all__ = ["VIDEO_SUFFIXES", "Frame", "Frames", "VideoInfo", "VideoWriter", "probe", "read_frames", "watch"]

VIDEO_SUFFIXES = frozenset(
    {
        ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
        ".ogv", ".ts", ".vob", ".webm", ".wmv",
    }
)  # fmt: skip
"""Endings of names that say a file is a film."""

_CHUNK_BYTES = 1 << 27  # of frames that wait for the recogniser: five of a 4K film
_LEAST_GAP = 3  # frames between the last one and the end that make one ask whether some were lost
_FAILURES = 1000  # packets in a row that cannot be decoded before a film counts as ended, which takes 30 ms


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a film.

    Args:
        index: its number among those that can be decoded, from 0.
        seconds: when it is shown, counted from the film's beginning; grows from frame to frame.
        image: RGB uint8 (height, width, 3), upright.
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]


class Frames(Iterator[Frame]):
    """What `read_frames` gives: an iterator that can be closed.

    Attributes:
        info: what the film says of itself.
        lost: frames that could not be decoded, of those passed so far; what the decoder mends is not counted, and
            neither are frames that an edit list hides. After the end, also those that the file ends before.
        cut_off: whether the file ends before its header says it does; known after the last frame.
        seconds: when the latest frame is shown.
    """

    def __init__(self, source: str | Path | int | BinaryIO, every: int) -> None:
        if not isinstance(every, int) or every < 1:
            raise DataError(f"Expected every first, second, … frame (1 or more), got every={every!r}.")
        if isinstance(source, bool) or not (isinstance(source, str | Path | int) or hasattr(source, "read")):
            kind = type(source).__name__
            raise DataError(
                f"Expected a film as a path or an open file, or the number of a webcam, got {kind}."
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
        """Let the film or webcam go; no more frames come."""
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
                if index % every == 0 and (image := self._picture()) is not None:
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
                f"{self._name}: expected pictures, got a file that is cut off before the first one ends, as when a "
                "recording or a copy was interrupted. Copy it again from where it came."
            )
        named = f" (its coding is {coding.upper()})" if coding else ""
        return (
            f"{self._name}: expected pictures, got none that can be decoded{named}. Save it as H.264; "
            "FFmpeg does that with: ffmpeg -i FILM -c:v libx264 COPY.mp4"
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
        self.lost += (
            lost if lost >= _LEAST_GAP or self.cut_off else 0
        )  # one or two may be empty, lengths are rounded

    def _picture(self) -> NDArray[np.uint8] | None:
        good, bgr = self._capture.retrieve()
        if not good:
            self.lost += 1
            return None
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        size = square_size(self._capture, rgb.shape[1], rgb.shape[0])
        square = rgb if size == (rgb.shape[1], rgb.shape[0]) else cv2.resize(rgb, size)
        return self._orientation.apply(np.asarray(square, np.uint8))


def read_frames(source: str | Path | int | BinaryIO, *, every: int = 1) -> Frames:
    """Open a film and give its frames one by one.

    Frames are turned and mirrored as the file's display matrix says, and pixels that are not square (old
    camcorders, DVDs) are made so. Frames that an edit list hides are left out. Damaged stretches are passed over
    and counted; a file that is cut off gives what is there.

    Args:
        source: path of a film, a film opened with "rb" or in memory (`io.BytesIO`), or the number of a webcam.
        every: give each first, second, … frame; the others are decoded but not converted.

    Returns:
        An iterator that lets the film go at its end or when it is closed; also a context manager.

    Raises:
        DataError: there is no such film or webcam, or it cannot be decoded; while iterating, when no frame at
            all can be decoded.
    """
    return Frames(source, every)


def probe(source: str | Path | int) -> VideoInfo:
    """What a film says of itself, for progress bars and for writing a copy.

    Raises:
        DataError: there is no such film or webcam, or it cannot be decoded.
    """
    capture = open_capture(source)
    try:
        header = header_of(source, capture)
        return describe(capture, source_name(source), live=isinstance(source, int), header=header)
    finally:
        capture.release()


class FindsFaces(Protocol):
    """What `watch` needs of a recogniser; `mien.Recognizer` is one."""

    def many(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
        """The faces of each of some pictures, RGB uint8 (height, width, 3)."""


def watch(
    recognizer: FindsFaces,
    frames: Iterable[Frame],
    *,
    chunk: int = 8,
    tracker: FaceTracker | None = None,
    smoothing_seconds: float = 0.5,
) -> Generator[tuple[Frame, list[Face]]]:
    """Find the faces of a film and follow them: each keeps its `track`, and its probabilities are smoothed.

    For the raw probabilities set the smoothing to 0. After a cut all faces count as new ones.

    Args:
        recognizer: what finds the faces and names their expressions.
        frames: what `read_frames` gives; a webcam's go through one by one, so that nothing waits.
        chunk: frames that go to the recogniser in one call; fewer where they are large.
        tracker: what numbers the faces; a new `FaceTracker` by default.
        smoothing_seconds: time constant of the smoothing; 0 turns it off.

    Yields:
        Each frame with its faces.

    Raises:
        DataError: the film is at fault, or a setting is negative.
    """
    tracker, smoother, cuts = tracker or FaceTracker(), Smoother(smoothing_seconds), CutDetector()
    live = isinstance(frames, Frames) and frames.info.live
    for some in _chunks(frames, 1 if live else chunk):
        for frame, faces in zip(some, recognizer.many([frame.image for frame in some]), strict=True):
            if cuts.update(frame.image):
                tracker.forget()
            yield frame, smoother.update(frame.seconds, tracker.update(frame.seconds, faces))


def _chunks(frames: Iterable[Frame], size: int) -> Generator[list[Frame]]:
    """Lists of up to `size` frames that do not take more than `_CHUNK_BYTES` together."""
    some: list[Frame] = []
    for frame in frames:
        some.append(frame)
        if len(some) >= size or (len(some) + 1) * frame.image.nbytes > _CHUNK_BYTES:
            yield some
            some = []
    if some:
        yield some
