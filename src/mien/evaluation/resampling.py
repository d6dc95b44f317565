"""Bootstrap resamples of images and of groups of images, as counts, in chunks so that memory stays limited.

The chunks of a seed contain the same numbers as resamples that are drawn at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST_NUMBERS = 1 << 22
"""Maximum number of counts in an array, unless a single resample has more: 32 MB."""


def draw_counts(
    rng: np.random.Generator, count: int, shares: NDArray[np.float64], resamples: int, *, width: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Draw numbers of images or groups from a multinomial distribution.

    Args:
        rng: random generator.
        count: number of images or groups in a resample.
        shares: the probability of each outcome, (outcomes,).
        resamples: number of resamples.
        width: how many numbers the caller computes for each resample, if they are more than there are outcomes.

    Yields:
        The counts of some of the resamples, int64 (rows, outcomes).
    """
    rows = max(1, MOST_NUMBERS // max(len(shares), width, 1))
    for start in range(0, resamples, rows):
        yield rng.multinomial(count, shares, size=min(rows, resamples - start))


def draw_groups(
    rng: np.random.Generator, groups: int, resamples: int, *, width: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Draw how often each group is in a resample of groups; see `draw_counts`.

    Yields:
        int64 (rows, groups).
    """
    return draw_counts(rng, groups, np.full(groups, 1 / groups), resamples, width=width)


def resample_cells(
    rng: np.random.Generator,
    cells: NDArray[np.int64],
    groups: NDArray[np.str_] | None,
    resamples: int,
    *,
    width: int = 0,
) -> tuple[NDArray[np.int64], Iterator[NDArray[np.int64]]]:
    """Resample images, or groups as a whole, with replacement, and count the images in each cell.

    Args:
        rng: random generator.
        cells: the cell of each image, such as its place in a confusion matrix, (n,).
        groups: the group of each image, (n,); without it, single images are resampled.
        resamples: number of resamples.
        width: how many numbers the caller computes for each resample.

    Returns:
        The cells with images, sorted, int64 (kinds,), and an iterator over the number of images in each of them in some
        of the resamples, int64 (rows, kinds).
    """
    kinds, index = np.unique(cells, return_inverse=True)
    if groups is None:
        shares = np.bincount(index) / len(cells)
        return kinds, draw_counts(rng, len(cells), shares, resamples, width=width)
    names, of = np.unique(groups, return_inverse=True)
    return kinds, _count_in_groups(rng, index * len(names) + of, len(names), resamples, width)


def _count_in_groups(
    rng: np.random.Generator, places: NDArray[np.int64], groups: int, resamples: int, width: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the number of images in each kind of cell, int64 (rows, kinds).

    Args:
        rng: random generator.
        places: `kind * groups + group` of each image, (n,).
        groups: number of groups.
        resamples: number of resamples.
        width: how many numbers the caller computes for each resample.
    """
    pairs, sizes = np.unique(places, return_counts=True)  # sorted by kind
    kind, group = np.divmod(pairs, groups)
    starts = np.flatnonzero(np.diff(kind, prepend=-1))
    for drawn in draw_groups(rng, groups, resamples, width=max(width, len(pairs))):
        yield np.add.reduceat(drawn[:, group] * sizes, starts, axis=1)
