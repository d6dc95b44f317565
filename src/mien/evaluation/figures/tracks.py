"""The track of a face in a video: probabilities over time, accumulated in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS = 512
"""Number of bins of a track; a chart has space for about as many."""


class Bins:
    """Sums of probabilities and numbers of frames of a face in bins of equal duration."""

    def __init__(self, classes: int) -> None:
        self.sums = np.zeros((BINS, classes))
        self.counts = np.zeros(BINS, np.int64)

    def add(self, place: int, values: Sequence[float]) -> None:
        """Add the probabilities (classes,) of a frame to a bin."""
        self.sums[place] += values
        self.counts[place] += 1

    def add_class(self) -> None:
        """Add a class, with a probability of 0 so far."""
        self.sums = np.pad(self.sums, ((0, 0), (0, 1)))

    def widen(self) -> None:
        """Double the duration of the bins, by merging pairs of bins."""
        for array in (self.sums, self.counts):
            half = array.reshape(BINS // 2, 2, *array.shape[1:]).sum(axis=1)
            array[: BINS // 2], array[BINS // 2 :] = half, 0

    def to_track(self, number: int, width: float, max_gap: float) -> Track:
        """Convert the bins to a track.

        Args:
            number: number of the face.
            width: duration of a bin in seconds.
            max_gap: maximum time in seconds out of view that does not split the track into segments.
        """
        filled = np.flatnonzero(self.counts)
        means = self.sums[filled] / self.counts[filled, None]
        ends = np.flatnonzero(np.diff(filled) * width > max_gap + width) + 1
        pieces = zip(np.split(filled, ends), np.split(means, ends), strict=True)
        shares = self.sums.sum(axis=0) / self.counts.sum()
        return Track(number, [_segment(at, mean, width) for at, mean in pieces], shares)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The probabilities of a face over time.

    Args:
        number: number of the face.
        segments: for each period in view, seconds (n,) and probabilities (n, classes).
        shares: mean probabilities (classes,) over all frames.
    """

    number: int
    segments: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    shares: NDArray[np.float64]

    @property
    def track(self) -> int:
        """Former name of `number`."""
        return self.number

    @property
    def pieces(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Former name of `segments`."""
        return self.segments

    @property
    def in_view(self) -> float:
        """Time in view in seconds."""
        return float(sum(at[-1] - at[0] for at, _ in self.segments))


Course = Track
"""Former name of `Track`."""


def _segment(
    filled: NDArray[np.int64], means: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centers of the bins, plus the outer edges of the first and the last one."""
    at = np.concatenate([[filled[0]], filled + 0.5, [filled[-1] + 1]]) * width
    return at, np.concatenate([means[:1], means, means[-1:]])
