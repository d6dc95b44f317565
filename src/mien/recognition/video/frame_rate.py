"""Process a few frames of each second of a video, whatever its frame rate.

>>> step_of(29.97, per_second=1)
29
>>> [frame.seconds for frame in sampled(frames, per_second=1)]  # doctest: +SKIP
[0.0, 1.001, 2.002]
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mien.recognition.video.frames import Frame

_TOLERANCE = 1e-3  # maximum number of seconds by which a frame may be early
_LARGEST_STEP = 300  # frames, so that the time between two frames of a decoder stays below its timeout


def step_of(rate: float, per_second: float) -> int:
    """Return the largest N for which every Nth frame is still at least `per_second` frames per second.

    Args:
        rate: frames per second of the video; 0 or not finite if unknown.
        per_second: frames to process of each second.

    Returns:
        N, from 1 to 300.
    """
    return min(_LARGEST_STEP, max(1, math.floor(rate / per_second))) if rate and math.isfinite(rate) else 1


def sampled(frames: Iterable[Frame], per_second: float) -> Iterator[Frame]:
    """Leave out frames so that at most about `per_second` remain of each second; the first one is kept.

    Args:
        frames: frames in order.
        per_second: frames to keep of each second of the video.
    """
    due = 0.0
    for frame in frames:
        if frame.seconds + _TOLERANCE >= due:
            yield frame
            due = (math.floor(frame.seconds * per_second + _TOLERANCE) + 1) / per_second
