"""The course of one face through a video: gathered in bins, given as pieces that can be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS = 512
"""Bins of a course; as many as a chart has room for."""


class Bins:
    """Sums and counts of one face in bins."""

    def __init__(self, classes: int) -> None:
        self.sums = np.zeros((BINS, classes))
        self.counts = np.zeros(BINS, np.int64)

    def add(self, place: int, values: Sequence[float]) -> None:
        """Take in what one frame showed, probabilities (classes,), into one of the bins."""
        self.sums[place] += values
        self.counts[place] += 1

    def add_class(self) -> None:
        """Make room for one more class, which was 0 so far."""
        self.sums = np.pad(self.sums, ((0, 0), (0, 1)))

    def widen(self) -> None:
        """Two bins become one."""
        for array in (self.sums, self.counts):
            half = array.reshape(BINS // 2, 2, *array.shape[1:]).sum(axis=1)
            array[: BINS // 2], array[BINS // 2 :] = half, 0

    def course(self, track: int, width: float, bridged: float) -> Course:
        """The course of the face with this number.

        Args:
            track: its number.
            width: of a bin in seconds.
            bridged: seconds out of view that do not break it.
        """
        filled = np.flatnonzero(self.counts)
        means = self.sums[filled] / self.counts[filled, None]
        ends = np.flatnonzero(np.diff(filled) * width > bridged + width) + 1
        pieces = zip(np.split(filled, ends), np.split(means, ends), strict=True)
        shares = self.sums.sum(axis=0) / self.counts.sum()
        return Course(track, [_piece(at, mean, width) for at, mean in pieces], shares)


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What a face showed.

    Args:
        track: its number.
        pieces: for each time it was in view, seconds (n,) and probabilities (n, classes).
        shares: mean probabilities (classes,) over all frames.
    """

    track: int
    pieces: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    shares: NDArray[np.float64]

    @property
    def in_view(self) -> float:
        """Seconds in view."""
        return float(sum(at[-1] - at[0] for at, _ in self.pieces))


def _piece(
    filled: NDArray[np.int64], means: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middles of the filled bins, and the outer edges of the first and the last."""
    at = np.concatenate([[filled[0]], filled + 0.5, [filled[-1] + 1]]) * width
    return at, np.concatenate([means[:1], means, means[-1:]])
