"""Sorted arrays of ids: a job may have billions, so operations avoid copies of whole arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_BLOCK = 2**20
"""Number of ids that are looked up together; each takes 40 bytes meanwhile."""


def is_among(ids: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a boolean mask of the ids that are in `known`, which must be sorted.

    Memory: 1 byte per id, and that of a block.
    """
    mask = np.zeros(len(ids), bool)
    for start in range(0, len(ids) if len(known) else 0, _BLOCK):
        some = ids[start : start + _BLOCK]
        order = np.argsort(some)  # looking up ids in their order is several times as fast
        some = some[order]
        places = np.minimum(np.searchsorted(known, some), len(known) - 1)
        mask[start : start + len(some)][order] = known[places] == some
    return mask


def gathered(arrays: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the ids of all arrays, sorted; an id that occurs more than once is kept as often.

    Memory: 8 bytes per id, and one of the arrays.
    """
    ids = np.empty(0, np.int64)
    for some in arrays:
        _extend(ids, some)
    ids.sort()
    return ids


def merge_into(known: NDArray[np.int64], ids: NDArray[np.int64]) -> None:
    """Add ids to a sorted array, in place.

    Memory: 8 bytes per id; time proportional to the length of the array. No other array may be a view of `known`.

    Args:
        known: the array, which owns its memory.
        ids: further ids, in any order.
    """
    _extend(known, np.sort(ids))
    known.sort(kind="stable")  # Timsort merges two sorted runs, with a buffer as long as the shorter one


def distinct(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sorted ids without repetitions: the same array if there are none, otherwise another one."""
    repeated = ids[1:] == ids[:-1]
    if not repeated.any():
        return ids
    return np.concatenate([ids[:1], ids[1:][~repeated]])


def _extend(ids: NDArray[np.int64], more: NDArray[np.int64]) -> None:
    """Append ids to an array that owns its memory; a large one is usually extended without being copied."""
    count = len(ids)
    ids.resize(count + len(more), refcheck=False)
    ids[count:] = more
