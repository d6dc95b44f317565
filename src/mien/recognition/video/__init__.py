"""Videos and webcams: frames with their times, and the faces in them tracked from frame to frame.

>>> from mien.recognition.video import read_frames, watch

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.recognition.video.frames import Frame, Frames, probe, read_frames
    from mien.recognition.video.info import VideoInfo
    from mien.recognition.video.watching import VIDEO_SUFFIXES, watch
    from mien.recognition.video.writer import VideoWriter

__all__ = ["VIDEO_SUFFIXES", "Frame", "Frames", "VideoInfo", "VideoWriter", "probe", "read_frames", "watch"]

_HOMES = {
    "VIDEO_SUFFIXES": "watching",
    "Frame": "frames",
    "Frames": "frames",
    "VideoInfo": "info",
    "VideoWriter": "writer",
    "probe": "frames",
    "read_frames": "frames",
    "watch": "watching",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
