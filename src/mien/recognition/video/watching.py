"""`watch`: find and track the faces in a video or webcam.

>>> for frame, faces in watch(recognizer, "clip.mp4"):  # doctest: +SKIP
...     print(frame.seconds, [(face.track, face.expression.label) for face in faces])

`read_frames` reads the frames with their times, and `VideoWriter` writes a video. Only a few frames are in memory at a
time, whatever the length of the video.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from mien.errors import DataError
from mien.quoting import quoted
from mien.recognition.faces import Face
from mien.recognition.values import is_finite, is_iterable, whole_number
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
"""Suffixes of video files, used to find them in a folder. The format of a file is detected from its content."""

_CHUNK_BYTES = 1 << 27  # maximum size of the frames of a chunk: five frames of a 4K video


class BatchRecognizer(Protocol):
    """Protocol of recognizers for `watch`. `mien.Recognizer` implements it."""

    def predict_batch(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
        """Return the faces of each image, RGB uint8 (height, width, 3)."""


class OldBatchRecognizer(Protocol):
    """Recognizers with the former name of `predict_batch`, which are still accepted."""

    def many(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
        """Return the faces of each image, RGB uint8 (height, width, 3)."""


def watch(
    recognizer: BatchRecognizer | OldBatchRecognizer,
    frames: str | Path | int | Iterable[Frame],
    *,
    chunk: int = 8,
    tracker: FaceTracker | None = None,
    smoothing_seconds: float = 0.5,
) -> Generator[tuple[Frame, list[Face]]]:
    """Find the faces in the frames of a video, track them, and smooth their probabilities over time.

    The number of a face, `face.track`, is the same in all frames. After a cut to another scene all faces get new
    numbers.

    Args:
        recognizer: the recognizer.
        frames: the path of a video or the number of a webcam, which is opened and closed here; or an iterable of frames,
            such as the result of `read_frames`. Frames of a webcam are processed one by one, to avoid a delay.
        chunk: maximum number of frames per call of the recognizer; fewer for large frames.
        tracker: the face tracker; a new `FaceTracker` by default.
        smoothing_seconds: time constant of the smoothing in seconds; 0 turns it off.

    Yields:
        Each frame and its faces.

    Raises:
        DataError: If the video cannot be read, an item is not a `Frame` with an RGB image, the recognizer does not
            return a list of faces per image, `chunk` is less than 1, or a time is negative.
    """
    _check_arguments(recognizer, frames)
    if tracker is not None and not (hasattr(tracker, "update") and hasattr(tracker, "forget")):
        raise DataError.from_parts(expected="tracker as a FaceTracker", received=quoted(tracker))
    if whole_number(chunk, "chunk", "frames") < 1:
        raise DataError.from_parts(expected="a chunk of 1 frame or more", received=quoted(chunk))
    if isinstance(frames, str | Path | int):
        with read_frames(frames) as opened:
            yield from watch(
                recognizer, opened, chunk=chunk, tracker=tracker, smoothing_seconds=smoothing_seconds
            )
        return
    tracker, smoother, cuts = tracker or FaceTracker(), Smoother(smoothing_seconds), CutDetector()
    live = isinstance(frames, Frames) and frames.info.live
    predict_batch = getattr(recognizer, "predict_batch", None) or cast("OldBatchRecognizer", recognizer).many
    for batch in _chunks(frames, 1 if live else chunk):
        found = _check_result(predict_batch([frame.image for frame in batch]), len(batch))
        for frame, faces in zip(batch, found, strict=True):
            if cuts.update(frame.image):
                tracker.forget()
            yield frame, smoother.update(frame.seconds, tracker.update(frame.seconds, faces))


def _chunks(frames: Iterable[Frame], size: int) -> Generator[list[Frame]]:
    """Yield lists of up to `size` frames with a total size of up to `_CHUNK_BYTES`."""
    batch: list[Frame] = []
    for frame in frames:
        _check_frame(frame)
        batch.append(frame)
        if len(batch) >= size or (len(batch) + 1) * frame.image.nbytes > _CHUNK_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _check_arguments(recognizer: object, frames: object) -> None:
    if not hasattr(recognizer, "predict_batch") and not hasattr(recognizer, "many"):
        raise DataError.from_parts(
            expected="a recognizer, such as mien.Recognizer()",
            received=type(recognizer).__name__,
        )
    is_table = hasattr(type(frames), "columns")  # which would yield the names of its columns
    is_source = isinstance(frames, int | Path) or is_iterable(frames)
    if is_table or not is_source:
        raise DataError.from_parts(
            expected="the path of a video, the number of a webcam, or frames",
            received=type(frames).__name__,
            remedy="Use read_frames, or create Frame(index, seconds, image) from each of your images.",
        )


def _check_frame(frame: object) -> None:
    """Raise an error unless an object is a frame with an RGB image and a time."""
    if not isinstance(frame, Frame):
        raise DataError.from_parts(
            expected="frames as Frame(index, seconds, image)",
            received=type(frame).__name__,
            remedy="Read a video with read_frames, or create a Frame from each image and its time.",
        )
    name, image = f"frame {quoted(frame.index, 20)}", frame.image
    if not isinstance(image, np.ndarray):
        raise DataError.from_parts(
            expected=f"the image of {name} as an RGB array, uint8 (height, width, 3)",
            received=type(image).__name__,
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError.from_parts(
            expected=f"the image of {name} to be RGB, uint8 (height, width, 3)",
            received=f"{image.dtype} {image.shape}",
            remedy="Convert a gray one with cv2.cvtColor(image, cv2.COLOR_GRAY2RGB).",
        )
    if not is_finite(frame.seconds):
        raise DataError.from_parts(expected=f"the time of {name} in seconds", received=quoted(frame.seconds))


def _check_result(found: object, images: int) -> list[list[Face]]:
    """Raise an error unless the result of a recognizer is a list of faces per image."""
    complete = isinstance(found, list | tuple) and len(found) == images
    if not complete or not all(isinstance(faces, list | tuple) for faces in cast("Sequence[object]", found)):
        raise DataError.from_parts(
            expected=f"a list of faces for each of {images} images from the recognizer",
            received=quoted(found),
        )
    for face in (face for faces in cast("Sequence[Sequence[object]]", found) for face in faces):
        if not isinstance(face, Face):
            raise DataError.from_parts(
                expected="faces as mien.Face from the recognizer", received=quoted(face)
            )
    return [list(faces) for faces in cast("Sequence[Sequence[Face]]", found)]
