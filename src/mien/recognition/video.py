"""Films: frame by frame from a file or a webcam, with the faces in them followed over time.

`read_frames` gives the frames with their times, `watch` finds the faces and follows them from frame to frame,
`VideoWriter` writes a film. OpenCV reads (FFmpeg inside). Only a few frames are held, however long the film.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

import cv2
import numpy as np

from mien.errors import DataError
from mien.recognition.av_capture import AvCapture, coding_of, frames_after
from mien.recognition.capture import Capture, SteadyFile, open_capture, source_name
from mien.recognition.clocks import FileClock, LiveClock
from mien.recognition.tracking import CutDetector, FaceTracker, Smoother
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

_MAX_PIXELS = 1 << 26  # 8192 x 8192, twice an 8K film; more is a damaged header or a trap
_USUAL_FPS = 30.0
_PLAUSIBLE_FPS = 480.0  # a file that a browser recorded says 1,000 and means "I do not know"
_CHUNK_BYTES = 1 << 27  # of frames that wait for the recogniser: five of a 4K film
_LEAST_GAP = 3  # frames between the last one and the end that make one ask whether some were lost
_FAILURES = 1000  # packets in a row that cannot be decoded before a film counts as ended, which takes 30 ms


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a film says of itself.

    Args:
        width: of its pictures as they are shown, upright, in pixels.
        height: likewise.
        fps: frames a second, on average; 30 where that is not known.
        frames: how many there are, `None` where that is not known. Some formats (Matroska, WebM) do not count
            them; then it is reckoned from the length and right for a steady rate only.
        seconds: its length, `None` where that is not known.
        live: whether it is a webcam.
    """

    width: int
    height: int
    fps: float
    frames: int | None = None
    seconds: float | None = None
    live: bool = False


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
        lost: frames that could not be decoded, of those passed so far; what the decoder mends is not counted.
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
        self.info = _describe(self._capture, self._name, live=isinstance(source, int))
        self.lost, self.seconds = 0, 0.0
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
        """A sentence about the frames that were lost so far, "" where none was; whole after the last frame."""
        frames, were = ("1 frame", "was") if self.lost == 1 else (f"{self.lost:,} frames", "were")
        sentence = f"{self._name}: {frames} could not be decoded and {were} left out."
        return sentence if self.lost else ""

    def _read(self, every: int) -> Generator[Frame]:
        clock = LiveClock() if self.info.live else FileClock(self._capture, self.info.fps)
        index = 0
        try:
            while self._grab():
                self.seconds = clock()
                if index % every == 0 and (image := self._picture()) is not None:
                    yield Frame(index, self.seconds, image)
                index += 1
            coding = coding_of(self._capture)
        finally:
            self._capture.release()
        self.lost += self._missing_at_end(index) if index else 0
        if not index:
            named = f" (its coding is {coding.upper()})" if coding else ""
            raise DataError(
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

    def _missing_at_end(self, index: int) -> int:
        """Frames after the last one that could be decoded, where the film is longer than that."""
        info, source = self.info, self._source
        if (
            info.live
            or info.seconds is None
            or isinstance(source, int)
            or isinstance(self._capture, AvCapture)
        ):
            return 0
        gap = round((info.seconds - self.seconds) * info.fps) - 1
        if gap < _LEAST_GAP:
            return 0
        if isinstance(source, SteadyFile):
            source.seek(0)
        film = cast("BinaryIO", source) if isinstance(source, SteadyFile) else str(source)
        after = frames_after(film, index + self.lost, self.seconds, info.fps)
        return min(gap, after) if after >= _LEAST_GAP else 0  # lengths are rounded

    def _picture(self) -> NDArray[np.uint8] | None:
        good, bgr = self._capture.retrieve()
        if not good:
            self.lost += 1
            return None
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        size = _shown_size(self._capture, rgb.shape[1], rgb.shape[0])
        return np.asarray(rgb if size == (rgb.shape[1], rgb.shape[0]) else cv2.resize(rgb, size), np.uint8)


def read_frames(source: str | Path | int | BinaryIO, *, every: int = 1) -> Frames:
    """Open a film and give its frames one by one.

    Frames are turned upright by the file's rotation, and pixels that are not square (old camcorders, DVDs) are
    made so. Damaged stretches are passed over and counted; a file that is cut off gives what is there.

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
        return _describe(capture, source_name(source), live=isinstance(source, int))
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


def _describe(capture: Capture, name: str, *, live: bool) -> VideoInfo:
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > _MAX_PIXELS:
        capture.release()
        raise DataError(f"{name}: expected a film of up to 8192x8192 pixels, got {width}x{height}.")
    width, height = _shown_size(capture, width, height)
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    known = math.isfinite(fps) and 0 < fps <= _PLAUSIBLE_FPS
    if live or not count > 0:
        return VideoInfo(width, height, fps if known else _USUAL_FPS, live=live)
    seconds = count / fps if fps > 0 else None
    return VideoInfo(width, height, fps if known else _USUAL_FPS, int(count) if known else None, seconds)


def _shown_size(capture: Capture, width: int, height: int) -> tuple[int, int]:
    """Width and height once the pixels are square, neither made less."""
    across, down = (capture.get(p) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    ratio = across / down if across > 0 and down > 0 else 1.0
    if not 0.1 < ratio < 10:
        return width, height
    return round(width * max(ratio, 1.0)), round(height * max(1 / ratio, 1.0))
