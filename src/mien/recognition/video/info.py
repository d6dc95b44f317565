"""Size, frame rate and duration of a video."""

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

_MAX_PIXELS = 1 << 26  # 8192 x 8192, twice an 8K video; more is a damaged or malicious header
_USUAL_FPS = 30.0
_PLAUSIBLE_FPS = 480.0  # recordings of browsers state 1,000 if the rate is unknown


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Size, frame rate and duration of a video.

    Args:
        width: width of the upright frames in pixels.
        height: height of the upright frames in pixels.
        fps: average frames per second; 30 if unknown.
        frames: number of frames; `None` if unknown. Some formats (Matroska, WebM) do not store it; it is then estimated
            from the duration, which is exact only for a constant frame rate.
        seconds: duration in seconds; `None` if unknown.
        live: whether it is a webcam.
    """

    width: int
    height: int
    fps: float
    frames: int | None = None
    seconds: float | None = None
    live: bool = False


def describe(capture: Capture, name: str, *, live: bool, header: VideoHeader = NO_HEADER) -> VideoInfo:
    """Return the properties of an open video. The video is closed if its frames are too large.

    Args:
        capture: the open video.
        name: name of the video for error messages.
        live: whether it is a webcam.
        header: the header fields that OpenCV does not expose.

    Raises:
        DataError: If its frames are too large.
    """
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > _MAX_PIXELS:
        capture.release()
        raise DataError.from_parts(
            name, expected="a video of up to 8192x8192 pixels", received=f"{width}x{height}"
        )
    orientation = Orientation.from_matrix(header.matrix or IDENTITY)
    width, height = orientation.size(*square_size(capture, width, height))
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    known = math.isfinite(fps) and 0 < fps <= _PLAUSIBLE_FPS
    if live or not count > 0:
        return VideoInfo(width, height, fps if known else _USUAL_FPS, live=live)
    seconds, shown = count / fps if fps > 0 else None, header.shown_seconds
    if seconds and shown is not None and shown < seconds - 1.5 / fps:  # an edit list hides some frames
        return VideoInfo(width, height, fps if known else _USUAL_FPS, None, shown)
    return VideoInfo(width, height, fps if known else _USUAL_FPS, int(count) if known else None, seconds)


def square_size(capture: Capture, width: int, height: int) -> tuple[int, int]:
    """Return width and height of a stored frame with square pixels, enlarging one of them if necessary."""
    across, down = (capture.get(p) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    ratio = across / down if across > 0 and down > 0 else 1.0
    if not 0.1 < ratio < 10:
        return width, height
    return round(width * max(ratio, 1.0)), round(height * max(1 / ratio, 1.0))
