"""Operations on sorted ids give the results of sets, without copies of whole arrays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from mien.bulk import sorted_ids
from mien.bulk.sorted_ids import distinct, gathered, is_among, merge_into

RNG = np.random.default_rng(5)


def some_ids(count: int) -> np.ndarray:
    return RNG.integers(-(2**63), 2**63, count, np.int64)


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that Python and numpy hold at once during a call, in addition to those before it."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("count", "known"), [(0, 0), (0, 5), (5, 0), (7, 5), (100, 1), (100, 1000)])
def test_membership_is_that_of_a_set(monkeypatch: pytest.MonkeyPatch, count: int, known: int) -> None:
    monkeypatch.setattr(sorted_ids, "_BLOCK", 7)
    ids, others = some_ids(count), some_ids(known)
    ids[::3] = RNG.choice(others, len(ids[::3])) if known else ids[::3]
    assert is_among(ids, np.sort(others)).tolist() == np.isin(ids, others).tolist()


def test_arrays_are_gathered_and_repeated_ids_are_found() -> None:
    arrays = [some_ids(count) for count in (3, 0, 5)]
    assert gathered(iter(arrays)).tolist() == sorted(np.concatenate(arrays).tolist())
    assert gathered([]).tolist() == []
    assert distinct(np.array([1, 1, 2, 3, 3, 3], np.int64)).tolist() == [1, 2, 3]
    for once in (np.array([1, 2, 3], np.int64), np.empty(0, np.int64)):
        assert distinct(once) is once


def test_merged_ids_are_sorted() -> None:
    known, expected = np.empty(0, np.int64), []
    for low, high, count in ((-5, 50, 30), (0, 9, 0), (-90, -80, 5), (70, 99, 1), (-99, 99, 40), (20, 22, 5)):
        ids = RNG.integers(low, high, count, np.int64)
        merge_into(known, ids)
        expected = sorted([*expected, *ids.tolist()])
        assert known.tolist() == expected


def test_memory_is_that_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_ids, "_BLOCK", 2**12)
    known, ids = np.sort(some_ids(500_000)), some_ids(500_000)
    assert peak_of(lambda: is_among(ids, known)) < 1.5 * len(ids)
    assert peak_of(
        lambda: gathered(ids[start : start + 5000] for start in range(0, len(ids), 5000))
    ) < 9 * len(ids)
    assert peak_of(lambda: merge_into(known, ids[:5000])) < 9 * len(known)
