"""A dying worker loses no input except the one that kills it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

import pytest

from mien.bulk import supervisor
from mien.bulk.entries import Entry
from mien.bulk.supervisor import Attempts, Supervisor
from mien.errors import MienError
from tests.builders.job_inputs import FETCHER, SPEC, STUB_COMMAND


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)


def run(names: list[str], attempts: Attempts, timeout: float = 30) -> dict[str, dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    one = Supervisor(SPEC, FETCHER, attempts, timeout)
    try:
        one.run(iter([(Entry(name), None) for name in names]), lambda row, _seconds, _pid: rows.append(row))
    finally:
        one.close()
    assert len(rows) == len({row["uri"] for row in rows})
    return {row["uri"]: row for row in rows}


@pytest.mark.slow
def test_an_input_that_kills_its_worker_is_set_aside_and_the_others_are_processed() -> None:
    attempts = Attempts(2)
    names = [f"/{number}.jpg" for number in range(30)] + ["/kill.jpg", "/z.jpg"]
    rows = run(names, attempts)
    assert set(rows) == set(names)
    assert [name for name, row in rows.items() if row["error"]] == ["/kill.jpg"]
    assert "ended its worker 2 times (SIGKILL" in rows["/kill.jpg"]["error"]
    assert rows["/kill.jpg"]["error_kind"] == "worker"
    assert attempts.counts == {Entry("/kill.jpg").id: 2}


def test_attempts_of_an_earlier_run_count() -> None:
    told: list[dict[int, int]] = []
    attempts = Attempts(3, {Entry("/exit.jpg").id: 2}, told.append)
    rows = run(["/exit.jpg"], attempts)
    assert "3 times (exit code 7)" in rows["/exit.jpg"]["error"]
    assert told == [{Entry("/exit.jpg").id: 3}]


@pytest.mark.slow
def test_a_hanging_input_is_set_aside_after_the_timeout() -> None:
    rows = run(["/hang.jpg", "/a.jpg"], Attempts(1), timeout=1)
    assert "no answer for 1 seconds" in rows["/hang.jpg"]["error"]
    assert rows["/hang.jpg"]["error_kind"] == "worker"
    assert rows["/a.jpg"]["error"] is None


HANGING = """
import json, os, pickle, sys, time
pickle.load(sys.stdin.buffer)
print(json.dumps({"ready": True}), flush=True)
time.sleep(60)
"""
"""A worker that is ready and then does nothing, like one that hangs while it reads."""


@pytest.mark.slow
def test_a_worker_that_hangs_before_its_first_input_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", HANGING])
    monkeypatch.setattr(supervisor, "_FETCH_SECONDS", 0.05)
    rows = run(["/a.jpg"], Attempts(1), timeout=0.1)
    assert "no answer for 0.15 seconds" in rows["/a.jpg"]["error"]
    assert rows["/a.jpg"]["error_kind"] == "worker"


WAITING = """
import json, os, pickle, sys, time
pickle.load(sys.stdin.buffer)
print(json.dumps({"ready": True}), flush=True)
number, entry, _ = pickle.load(sys.stdin.buffer)
if "begun" in entry.uri:
    print(json.dumps({"begin": number}), flush=True)
for _ in range(8):
    time.sleep(0.1)
    print(json.dumps({"fetching": number + 1}), flush=True)
print(json.dumps({"row": {"uri": entry.uri, "error": None}, "number": number, "seconds": {}}), flush=True)
"""
"""A worker that tells for 0.8 seconds that it reads ahead."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"), [("/a.jpg", None), ("/begun.jpg", "no answer for 0.4 seconds")]
)
def test_tries_to_fetch_are_heartbeats_only_while_no_input_is_in_progress(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: str | None
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", WAITING])
    monkeypatch.setattr(supervisor, "_FETCH_SECONDS", 0.0)
    error = run([name], Attempts(1), timeout=0.4)[name]["error"]
    assert (error is None) if expected is None else (expected in error)


@pytest.mark.slow
def test_an_input_that_is_never_fetched_is_set_aside_after_the_maximum_number_of_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", HANGING])
    monkeypatch.setattr(supervisor, "_FETCH_SECONDS", 0.05)
    attempts = Attempts(3)
    rows = run(["/a.jpg"], attempts, timeout=0.1)
    assert "ended its worker 3 times (no answer for 0.15 seconds)" in rows["/a.jpg"]["error"]


@pytest.mark.slow
@pytest.mark.parametrize("died", [False, True])
def test_a_worker_started_while_the_job_stops_is_terminated(
    monkeypatch: pytest.MonkeyPatch, *, died: bool
) -> None:
    started: list[supervisor.WorkerProcess] = []
    one = Supervisor(SPEC, FETCHER, Attempts(3), 30)
    start = supervisor.start_worker

    def start_slowly(*given: Any) -> supervisor.WorkerProcess:
        started.append(start(*given))
        if len(started) > died:
            one.close()  # by the main thread, which finds no worker yet
        return started[-1]

    monkeypatch.setattr(supervisor, "start_worker", start_slowly)
    one.run(iter([(Entry("/exit.jpg" if died else "/a.jpg"), None)]), lambda *_row: None)
    assert len(started) == 1 + died
    for worker in started:
        assert worker._process.poll() is not None


@pytest.mark.slow
def test_killing_workers_loses_and_duplicates_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_SECONDS", "0.01")
    one = Supervisor(SPEC, FETCHER, Attempts(100), 30)
    names = [f"/{number}.jpg" for number in range(200)]
    rows: list[str] = []

    def kill_workers() -> None:
        while len(rows) < 180:
            time.sleep(0.5)
            if one._worker:
                os.kill(one._worker.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    one.run(
        iter([(Entry(name), None) for name in names]), lambda row, _seconds, _pid: rows.append(row["uri"])
    )
    one.close()
    killer.join()
    assert sorted(rows) == sorted(names)


def test_a_worker_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", ["false"])
    monkeypatch.setattr(supervisor.time, "sleep", lambda _seconds: None)
    with pytest.raises(MienError, match=r"cannot be started \(exit code 1\).*`workers`"):
        run(["/a.jpg"], Attempts(3))


def test_a_model_that_cannot_be_opened_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "import json, pickle, sys; pickle.load(sys.stdin.buffer); print(json.dumps({'fatal': 'No such model.'}))"
    monkeypatch.setattr(supervisor, "COMMAND", [STUB_COMMAND[0], "-c", said])
    with pytest.raises(MienError, match="No such model"):
        run(["/a.jpg"], Attempts(3))
