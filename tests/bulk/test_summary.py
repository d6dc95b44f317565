"""The counts of a summary, for rows of this version and of older ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mien.bulk.entries import Entry
from mien.bulk.output import failed_row, input_row, rows_to_table, set_aside
from mien.bulk.parts import Parts
from mien.bulk.storage import Storage
from mien.bulk.summary import BatchSummary, summarize
from mien.bulk.tally import Tally


def summary_of(folder: Path, rows: list[dict[str, Any]], *, flat: bool) -> BatchSummary:
    parts = Parts.begin(Storage(str(folder)), 10**6, {})
    parts.commit(rows_to_table(rows, ("happy", "sad"), flat=flat))
    manifest: Any = SimpleNamespace(inputs=len(rows), repeated=0, passed_over={})
    return summarize(parts, manifest, Tally(len(rows), 0), None, flat=flat)


@pytest.mark.parametrize("flat", [False, True])
def test_a_video_that_times_out_without_ending_its_worker_is_not_set_aside(
    tmp_path: Path, *, flat: bool
) -> None:
    late = failed_row(Entry("/late.mp4", "video"), "expected the next frame within 240 seconds.", "timeout")
    hang = set_aside(Entry("/hang.jpg"), 3, "no answer for 300 seconds")
    kill = set_aside(Entry("/kill.jpg"), 3, "SIGKILL")
    older = set_aside(Entry("/older.jpg"), 3, "no answer for 300 seconds") | {"error_kind": "timeout"}
    summary = summary_of(tmp_path, [late, hang, kill, older, input_row(Entry("/a.jpg"))], flat=flat)
    assert (summary.failed, summary.set_aside) == (4, 3)
    assert summary.failures == {"timeout": 2, "worker": 2}
