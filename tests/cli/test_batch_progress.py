"""`mien batch` without a terminal: lines of progress for logs, and the exit code for schedulers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mien.bulk.summary import BatchSummary
from mien.bulk.tally import Progress
from mien.cli.batch_progress import PlainLines
from tests.helpers.command import mien

EMPTY: dict[str, Any] = {"int": 0, "float": 0.0, "dict": {}, "list": [], "str": ""}


def summary(done: int, failed: int) -> BatchSummary:
    """A summary with these counts; the other fields are empty."""
    empty = {
        one.name: EMPTY[str(one.type).split("[")[0].split(" ")[0]] for one in dataclasses.fields(BatchSummary)
    }
    counts = {"inputs": done, "done": done, "succeeded": done - failed, "failed": failed}
    return BatchSummary(**empty | counts)


def test_the_first_plain_line_comes_after_a_minute_and_then_one_per_minute() -> None:
    now, lines = 0.0, []
    report = PlainLines(lines.append, lambda: now)
    for now in range(0, 200, 5):
        report(Progress("recognizing", now, 1000, {"missing": 2}, 1.0))
    assert lines == [
        f"{done} of 1,000 inputs ({done / 1000:.0%}), 1.0 per second, 0:{left // 60}:{left % 60:02d} left; "
        "failed: 2 missing"
        for done, left in ((60, 940), (120, 880), (180, 820))
    ]


def test_waiting_for_a_cluster_is_written_at_once_and_then_once_a_minute() -> None:
    now, lines = 0.0, []
    report = PlainLines(lines.append, lambda: now)
    for now in (0.0, 1.0, 30.0, 61.0, 62.0):  # noqa: B007
        report(Progress("waiting", 0, 10))
    report(Progress("recognizing", 1, 10))
    report(Progress("waiting", 1, 10))
    assert lines == ["Waiting for a machine with free cores to join the Ray cluster"] * 3


@pytest.mark.parametrize(
    ("failed", "options", "code"),
    [(0, (), 0), (1, (), 1), (1, ("--allow-failed",), 0), (4, (), 2), (4, ("--allow-failed",), 2)],
)
def test_allow_failed_exits_with_0_unless_all_inputs_failed(
    monkeypatch: pytest.MonkeyPatch, failed: int, options: tuple[str, ...], code: int
) -> None:
    monkeypatch.setattr("mien.bulk.job.batch", lambda *_, **__: summary(4, failed))
    done = mien("batch", "photos", "--out", "faces", "--json", *options)
    assert done.returncode == code
    assert (f"{failed} of 4 inputs failed" in done.stderr) == (failed > 0)


def test_a_long_job_writes_lines_to_standard_error_if_it_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def batch(*_: Any, progress: Any, **__: Any) -> BatchSummary:
        for number in range(3):
            progress(Progress("recognizing", number, 4))
        return summary(4, 0)

    monkeypatch.setattr("mien.bulk.job.batch", batch)
    monkeypatch.setattr("mien.cli.batch_progress._MINUTE", 0.0)
    done = mien("batch", "photos", "--out", "faces", "--json")
    assert done.stderr.splitlines() == [f"{number} of 4 inputs ({number / 4:.0%})" for number in range(3)]
