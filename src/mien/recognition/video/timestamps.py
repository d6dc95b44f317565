"""Time stamps of frames, corrected so that they strictly increase."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from mien.recognition.video.capture import Capture

_NUDGE = 0.001  # seconds


class FileClock:
    """The time of the latest grabbed frame in seconds, corrected so that it increases from frame to frame."""

    def __init__(self, capture: Capture, fps: float) -> None:
        self._capture, self._step = capture, 1 / fps
        self._shift = 0.0
        self._last = -math.inf

    def __call__(self) -> float:
        """Return the time of the latest frame."""
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._last = self._corrected(stamp) if self._last >= 0 else max(stamp, 0.0)
        return self._last

    def _corrected(self, stamp: float) -> float:
        if not stamp > 0:  # only the first frame is at 0: this one has no time stamp
            return self._last + self._step
        if stamp + self._shift <= self._last - 1:  # the time stamps restart, as in concatenated recordings
            self._shift = self._last + self._step - stamp
        # A repeated or out-of-order time stamp is moved by so little that the next one can stay unchanged.
        stamp += self._shift
        return stamp if stamp > self._last else self._last + _NUDGE


class LiveClock:
    """Seconds since the first frame by the system clock: the time stamps of webcam drivers are inconsistent."""

    def __init__(self) -> None:
        self._begin: float | None = None

    def __call__(self) -> float:
        """Return the seconds since the first call."""
        now = time.monotonic()
        self._begin = now if self._begin is None else self._begin
        return now - self._begin
