"""Rates and times of a run."""

from __future__ import annotations

import pytest

from mien.bulk import tally as tally_module
from mien.bulk.model_spec import LATENCY, STAGES
from mien.bulk.tally import Tally
from mien.bulk.worker import with_waiting


def test_the_seconds_of_a_worker_include_its_first_batch() -> None:
    tally = Tally(80, 0)
    tally.add("machine 1", 16, {}, {"detect": 2.5}, (100.0, 102.6))
    tally.add("machine 1", 16, {}, {"detect": 2.4}, (102.7, 105.2))
    worker = tally.to_dict()["workers"]["machine 1"]
    assert worker["rows"] == 32
    assert worker["seconds"] == pytest.approx(5.2)
    assert worker["detect"] == pytest.approx(4.9)


def test_without_times_a_row_has_just_ended_and_took_the_sum_of_its_stages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([103.0, 104.0, 200.0])
    tally = Tally(2, 0, started=100.0)
    monkeypatch.setattr(tally_module.time, "time", lambda: next(clock))
    tally.add("process 1", 1, {}, {"fetch": 0.5, "decode": 1.0, "detect": 1.5, LATENCY: 9.0})
    tally.add("process 1", 1, {}, {"detect": 1.0})
    assert tally.to_dict()["workers"]["process 1"]["seconds"] == pytest.approx(4.0)


def test_a_wait_for_content_counts_as_fetching_and_reading_ahead_does_not() -> None:
    read_ahead = {"fetch": 0.4, "decode": 0.1, "detect": 0.3, "classify": 0.1}
    assert with_waiting(read_ahead, 0.0, 0.4) == read_ahead | {"fetch": 0.0, LATENCY: 0.4}
    assert with_waiting(read_ahead, 0.2, 0.4) == read_ahead | {"fetch": 0.2, LATENCY: 0.4}
    video = read_ahead | {"fetch": 3.0}  # copied by the worker itself
    assert with_waiting(video, 0.0, 0.0) == video | {LATENCY: 0.0}


def test_latency_is_counted_apart_from_the_stages() -> None:
    tally = Tally(2, 0)
    tally.add("process 1", 1, {}, {"fetch": 0.1, "detect": 0.3, LATENCY: 5.0})
    told = tally.to_dict()
    assert set(told["stages"]) == set(STAGES)
    assert (told["stages"]["fetch"], told["latency"]) == (0.1, 5.0)


def test_the_time_before_processing_is_noted_apart() -> None:
    tally = Tally(2, 0, listing=7.5)
    assert tally.to_dict()["listing"] == 7.5
    assert tally.to_dict()["seconds"] < 7.5
