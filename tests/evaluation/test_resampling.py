"""Bootstrap resamples in chunks: the same numbers as drawn at once, and limited memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.evaluation import paired, resampling
from mien.evaluation.by_source import group_interval
from mien.evaluation.metrics import SCORES, macro_f1
from mien.evaluation.resampling import draw_counts, draw_groups, resample_cells

LIMITS = [1, 300, 1 << 22]
"""Maximum sizes of a chunk: one resample, some, and all."""


@pytest.fixture(params=LIMITS)
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(resampling, "MOST_NUMBERS", request.param)
    return int(request.param)


def predictions(n: int = 240, people: int = 30) -> dict[str, Any]:
    """Labels and predictions of two models for images of some people, of whom some have one image."""
    rng = np.random.default_rng(4)
    true = rng.integers(0, 3, n)
    first, second = (
        np.where(rng.random(n) < share, true, rng.integers(0, 3, n)).astype(np.int64) for share in (0.5, 0.7)
    )
    groups = np.array([f"p{i}" for i in rng.integers(0, people, n)])
    groups[:5] = [f"alone{i}" for i in range(5)]
    return {"true": true, "first": first, "second": second, "groups": groups}


def test_chunks_have_the_numbers_of_resamples_that_are_drawn_at_once(limit: int) -> None:
    shares = np.random.default_rng(1).dirichlet(np.ones(40))
    whole = np.random.default_rng(2).multinomial(1000, shares, size=77)
    chunks = list(draw_counts(np.random.default_rng(2), 1000, shares, 77))
    assert np.array_equal(np.concatenate(chunks), whole)
    assert all(len(chunk) == 1 or chunk.size <= limit for chunk in chunks)


def test_chunks_of_many_groups_are_small() -> None:
    first = next(iter(draw_groups(np.random.default_rng(0), 30_000, 10_000)))
    assert first.nbytes <= 8 * resampling.MOST_NUMBERS < 10_000 * 30_000
    wide = next(iter(draw_groups(np.random.default_rng(0), 10, 2000, width=10_000)))
    assert len(wide) * 10_000 <= resampling.MOST_NUMBERS


@pytest.mark.usefixtures("limit")
def test_cells_are_counted_for_resampled_groups() -> None:
    data = predictions()
    cells = data["true"] * 3 + data["first"]
    names, of = np.unique(data["groups"], return_inverse=True)
    table = np.zeros((len(names), 9), np.int64)
    np.add.at(table, (of, cells), 1)
    drawn = np.random.default_rng(3).multinomial(len(names), np.full(len(names), 1 / len(names)), size=50)
    kinds, chunks = resample_cells(np.random.default_rng(3), cells, data["groups"], 50)
    assert np.array_equal(np.concatenate(list(chunks)), (drawn @ table)[:, kinds])
    assert kinds.tolist() == sorted(set(cells.tolist()))


def interval_at_once(data: dict[str, Any], score: Any, seed: int) -> tuple[float, float]:
    """The interval from the confusion matrix of every group, all resamples at once."""
    names, of = np.unique(data["groups"], return_inverse=True)
    table = np.zeros((len(names), 3, 3), np.int64)
    np.add.at(table, (of, data["true"], data["first"]), 1)
    drawn = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=2000
    )
    low, high = np.quantile(score(np.tensordot(drawn, table, 1)), [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_interval_over_groups_does_not_depend_on_the_chunks(name: Any) -> None:
    data = predictions()
    found = group_interval(data["true"], data["first"], data["groups"], 3, SCORES[name], seed=5)
    assert found == pytest.approx(interval_at_once(data, SCORES[name], 5), abs=1e-12)


@pytest.mark.usefixtures("limit")
def test_interval_of_a_difference_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 500)
    data = predictions()
    right = [data[name] == data["true"] for name in ("first", "second")]
    names, of = np.unique(data["groups"], return_inverse=True)
    drawn = np.random.default_rng(6).multinomial(len(names), np.full(len(names), 1 / len(names)), size=500)
    gains = np.bincount(of, weights=right[1].astype(float) - right[0])
    expected = np.percentile((drawn @ gains) / (drawn @ np.bincount(of)), [2.5, 97.5])
    found = paired.difference_interval(right[0], right[1], groups=data["groups"], seed=6)
    assert found == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("grouped", [True, False])
def test_interval_of_a_macro_f1_difference_does_not_depend_on_the_chunks(
    monkeypatch: pytest.MonkeyPatch, grouped: bool
) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(paired, "_F1_RESAMPLES", 60)
    data = predictions()
    rng, n = np.random.default_rng([7, 1]), len(data["true"])
    cells = (data["true"] * 3 + data["first"]) * 3 + data["second"]
    if grouped:
        names, of = np.unique(data["groups"], return_inverse=True)
        table = np.zeros((len(names), 27), np.int64)
        np.add.at(table, (of, cells), 1)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=60) @ table
    else:
        counts = np.bincount(cells, minlength=27)
        kinds = np.flatnonzero(counts)
        drawn = np.zeros((60, 27), np.int64)
        drawn[:, kinds] = rng.multinomial(n, counts[kinds] / n, size=60)
    stack = drawn.reshape(-1, 3, 3, 3)
    differences = [macro_f1(one.sum(axis=1)) - macro_f1(one.sum(axis=2)) for one in stack]
    first, second = (
        SimpleNamespace(labels=("a", "b", "c"), true=data["true"], predicted=data[name])
        for name in ("first", "second")
    )
    found = paired._f1_interval(first, second, data["groups"] if grouped else None, 7)  # type: ignore[arg-type]
    assert found == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])), abs=1e-12)
