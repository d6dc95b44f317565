"""Read videos and webcams frame by frame, track faces and their expressions, and write videos.

>>> from mien.recognition.video import read_frames, watch
>>> for frame, faces in watch(recognizer, "clip.mp4"):  # doctest: +SKIP
...     print(frame.seconds, [face.expression.label for face in faces])

Each name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.recognition.video.frames import Frame, Frames, probe, read_frames
    from mien.recognition.video.info import VideoInfo
    from mien.recognition.video.tracking import FaceTracker
    from mien.recognition.video.watching import VIDEO_SUFFIXES, watch
    from mien.recognition.video.writer import VideoWriter

__all__ = [
    "VIDEO_SUFFIXES", "FaceTracker", "Frame", "Frames", "VideoInfo", "VideoWriter", "probe", "read_frames", "watch",
]  # fmt: skip

_HOMES = {
    "VIDEO_SUFFIXES": "watching",
    "FaceTracker": "tracking",
    "Frame": "frames",
    "Frames": "frames",
    "VideoInfo": "info",
    "VideoWriter": "writer",
    "probe": "frames",
    "read_frames": "frames",
    "watch": "watching",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
