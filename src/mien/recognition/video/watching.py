"""Videos: frame by frame from a file or a webcam, with the faces in them followed over time.

`read_frames` gives the frames with their times, `watch` finds the faces and follows them from frame to frame,
`VideoWriter` writes a video. OpenCV reads (FFmpeg inside). Only a few frames are held, however long the video.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from mien.errors import DataError
from mien.recognition.faces import Face
from mien.recognition.video.frames import Frame, Frames, probe, read_frames
from mien.recognition.video.info import VideoInfo
from mien.recognition.video.tracking import CutDetector, FaceTracker, Smoother
from mien.recognition.video.writer import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["VIDEO_SUFFIXES", "Frame", "Frames", "VideoInfo", "VideoWriter", "probe", "read_frames", "watch"]

VIDEO_SUFFIXES = frozenset(
    {
        ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
        ".ogv", ".ts", ".vob", ".webm", ".wmv",
    }
)  # fmt: skip
"""Endings of names that say a file is a video."""

_CHUNK_BYTES = 1 << 27  # of frames that wait for the recognizer: five of a 4K video


class FindsFaces(Protocol):
    """What `watch` needs of a recognizer; `mien.Recognizer` is one."""

    def many(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
        """The faces of each of some images, RGB uint8 (height, width, 3)."""


def watch(
    recognizer: FindsFaces,
    frames: str | Path | int | Iterable[Frame],
    *,
    chunk: int = 8,
    tracker: FaceTracker | None = None,
    smoothing_seconds: float = 0.5,
) -> Generator[tuple[Frame, list[Face]]]:
    """Find the faces of a video and follow them: each keeps its `track`, and its probabilities are smoothed.

    For the raw probabilities set the smoothing to 0. After a cut all faces count as new ones.

    Args:
        recognizer: what finds the faces and names their expressions.
        frames: what `read_frames` gives, or frames of your own; or the path of a video or the number of a webcam,
            which is then opened and closed here. Those of a webcam go through one by one, so that nothing waits.
        chunk: frames that go to the recognizer in one call; fewer where they are large.
        tracker: what numbers the faces; a new `FaceTracker` by default.
        smoothing_seconds: time constant of the smoothing; 0 turns it off.

    Yields:
        Each frame with its faces.

    Raises:
        DataError: the video is at fault, a frame is no `Frame` with an RGB image, the recognizer does not give a
            list of faces for each image, or a setting is negative.
    """
    _check_arguments(recognizer, frames)
    if isinstance(frames, str | Path | int):
        with read_frames(frames) as opened:
            yield from watch(
                recognizer, opened, chunk=chunk, tracker=tracker, smoothing_seconds=smoothing_seconds
            )
        return
    tracker, smoother, cuts = tracker or FaceTracker(), Smoother(smoothing_seconds), CutDetector()
    live = isinstance(frames, Frames) and frames.info.live
    for some in _chunks(frames, 1 if live else chunk):
        found = _checked(recognizer.many([frame.image for frame in some]), len(some))
        for frame, faces in zip(some, found, strict=True):
            if cuts.update(frame.image):
                tracker.forget()
            yield frame, smoother.update(frame.seconds, tracker.update(frame.seconds, faces))


def _chunks(frames: Iterable[Frame], size: int) -> Generator[list[Frame]]:
    """Lists of up to `size` frames that do not take more than `_CHUNK_BYTES` together."""
    some: list[Frame] = []
    for frame in frames:
        _check_frame(frame)
        some.append(frame)
        if len(some) >= size or (len(some) + 1) * frame.image.nbytes > _CHUNK_BYTES:
            yield some
            some = []
    if some:
        yield some


def _check_arguments(recognizer: object, frames: object) -> None:
    if not hasattr(recognizer, "many"):
        raise DataError(
            f"Expected a recognizer first, such as mien.Recognizer(), got {type(recognizer).__name__}."
        )
    if not hasattr(frames, "__iter__") and not isinstance(frames, int | Path):
        raise DataError(
            f"Expected the path of a video, the number of a webcam, or frames, got {type(frames).__name__}. "
            "read_frames gives frames; of images of your own make Frame(index, seconds, image) each."
        )


def _check_frame(frame: object) -> None:
    """Refuse what is no frame, before anything is made of it."""
    if not isinstance(frame, Frame):
        raise DataError(
            f"Expected frames as Frame(index, seconds, image), got {type(frame).__name__}. Read a video with "
            "read_frames, or make a Frame of each image with the time when it is shown."
        )
    name, image = f"frame {frame.index!r:.20}", frame.image
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"Expected the image of {name} as an RGB array, uint8 (height, width, 3), got {type(image).__name__}."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError(
            f"Expected the image of {name} to be RGB, uint8 (height, width, 3), got {image.dtype} {image.shape}. "
            "Convert a gray one with cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)."
        )
    if not isinstance(frame.seconds, int | float | np.number) or not math.isfinite(frame.seconds):
        raise DataError(f"Expected the time of {name} in seconds, got {frame.seconds!r:.80}.")


def _checked(found: object, images: int) -> list[list[Face]]:
    """What a recognizer gave for some images: as many lists of faces."""
    whole = isinstance(found, list | tuple) and len(found) == images
    if not whole or not all(isinstance(faces, list | tuple) for faces in cast("Sequence[object]", found)):
        raise DataError(
            f"Expected a list of faces for each of {images} images from the recognizer, got {found!r:.80}."
        )
    for face in (face for faces in cast("Sequence[Sequence[object]]", found) for face in faces):
        if not isinstance(face, Face):
            raise DataError(f"Expected faces as mien.Face from the recognizer, got {face!r:.80}.")
    return [list(faces) for faces in cast("Sequence[Sequence[Face]]", found)]
