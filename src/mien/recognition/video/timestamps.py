"""The times of a video's frames, mended so that they grow."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from mien.recognition.video.capture import Capture

_NUDGE = 0.001  # seconds


class FileClock:
    """The time of each frame after it was grabbed, in seconds, mended so that it grows."""

    def __init__(self, capture: Capture, fps: float) -> None:
        self._capture, self._step = capture, 1 / fps
        self._shift = 0.0
        self._last = -math.inf

    def __call__(self) -> float:
        """When the latest frame is shown."""
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._last = self._mended(stamp) if self._last >= 0 else max(stamp, 0.0)
        return self._last

    def _mended(self, stamp: float) -> float:
        if not stamp > 0:  # no frame but the first is at 0: this one has no time stamp
            return self._last + self._step
        if stamp + self._shift <= self._last - 1:  # the stamps begin anew, as where recordings were joined
            self._shift = self._last + self._step - stamp
        # One that is repeated or out of order moves by so little that the next one can keep its place.
        stamp += self._shift
        return stamp if stamp > self._last else self._last + _NUDGE


class LiveClock:
    """Seconds since the first frame by our own clock, for drivers of webcams do not agree on their time stamps."""

    def __init__(self) -> None:
        self._begin: float | None = None

    def __call__(self) -> float:
        """Seconds since the first call."""
        now = time.monotonic()
        self._begin = now if self._begin is None else self._begin
        return now - self._begin
