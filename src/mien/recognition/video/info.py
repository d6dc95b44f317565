"""What a video says of itself: its size, rate and length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from mien.errors import DataError
from mien.recognition.video.headers import NO_HEADER
from mien.recognition.video.orientation import IDENTITY, Orientation

if TYPE_CHECKING:
    from mien.recognition.video.capture import Capture
    from mien.recognition.video.headers import VideoHeader

_MAX_PIXELS = 1 << 26  # 8192 x 8192, twice an 8K video; more is a damaged header or a trap
_USUAL_FPS = 30.0
_PLAUSIBLE_FPS = 480.0  # a file that a browser recorded says 1,000 and means "I do not know"


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video says of itself.

    Args:
        width: of its images as they are shown, upright, in pixels.
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


def describe(capture: Capture, name: str, *, live: bool, header: VideoHeader = NO_HEADER) -> VideoInfo:
    """What an open video says of itself; one with frames too large is let go.

    Args:
        capture: the open video.
        name: what a message calls it.
        live: whether it is a webcam.
        header: what OpenCV does not pass on.

    Raises:
        DataError: its frames are too large.
    """
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > _MAX_PIXELS:
        capture.release()
        raise DataError(f"{name}: expected a video of up to 8192x8192 pixels, got {width}x{height}.")
    orientation = Orientation.from_matrix(header.matrix or IDENTITY)
    width, height = orientation.size(*square_size(capture, width, height))
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    known = math.isfinite(fps) and 0 < fps <= _PLAUSIBLE_FPS
    if live or not count > 0:
        return VideoInfo(width, height, fps if known else _USUAL_FPS, live=live)
    seconds, shown = count / fps if fps > 0 else None, header.shown_seconds
    if seconds and shown is not None and shown < seconds - 1.5 / fps:  # an edit list hides some of them
        return VideoInfo(width, height, fps if known else _USUAL_FPS, None, shown)
    return VideoInfo(width, height, fps if known else _USUAL_FPS, int(count) if known else None, seconds)


def square_size(capture: Capture, width: int, height: int) -> tuple[int, int]:
    """Width and height of a stored frame once its pixels are square, neither made less."""
    across, down = (capture.get(p) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    ratio = across / down if across > 0 and down > 0 else 1.0
    if not 0.1 < ratio < 10:
        return width, height
    return round(width * max(ratio, 1.0)), round(height * max(1 / ratio, 1.0))
