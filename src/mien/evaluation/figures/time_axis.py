"""Ticks and labels of a time axis in a chart of a video."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def set_times(axes: Axes, span: float) -> None:
    """Set ticks at round times, about ten at most, for an axis of `span` seconds."""
    step = next(
        (step for step in _STEPS if span / step <= 10), _STEPS[-1] * math.ceil(span / _STEPS[-1] / 10)
    )
    ticks = np.arange(0, span + 1e-9, step)
    axes.set_xticks(ticks, [f"{tick:g} s" if span < 10 else _clock(tick) for tick in ticks])


def _clock(seconds: float) -> str:
    """Format a time in a video: 0:07, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def length_of(seconds: float) -> str:
    """Format a duration: 4.2 s, 1:05."""
    return f"{seconds:.1f} s" if seconds < 60 else _clock(seconds)
