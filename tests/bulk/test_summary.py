"""The counts of a summary, for rows of this version and of older ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.bulk.entries import Entry
from mien.bulk.manifest import Changes
from mien.bulk.outdated import failed_ids
from mien.bulk.output import failed_row, input_row, rows_to_table, set_aside
from mien.bulk.parts import RUNS, STATS, Parts
from mien.bulk.storage import Storage
from mien.bulk.summary import BatchSummary, summarize
from mien.bulk.summary_page import to_html
from mien.bulk.tally import Tally
from mien.files import partial_path


def summary_of(folder: Path, rows: list[dict[str, Any]], *, flat: bool) -> BatchSummary:
    parts = Parts.begin(Storage(str(folder)), 10**6, {})
    parts.commit(rows_to_table(rows, ("happy", "sad"), flat=flat))
    return summarize(parts, listing([row["id"] for row in rows]), Tally(len(rows), 0), None, flat=flat)


def listing(ids: list[int]) -> Any:
    """A manifest of inputs with some ids."""
    return SimpleNamespace(
        inputs=len(ids), repeated=0, passed_over={}, ids=lambda: np.sort(np.array(ids, dtype=np.int64))
    )


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


@pytest.mark.parametrize("flat", [False, True])
def test_rows_of_removed_inputs_are_counted_apart(tmp_path: Path, *, flat: bool) -> None:
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    kept, gone = [input_row(Entry(f"/{number}.jpg")) for number in range(3)], [input_row(Entry("/gone.jpg"))]
    failed = failed_row(Entry("/a.tar", where="tar", member="gone.jpg"), "no", "missing")
    parts.commit(rows_to_table([*kept, *gone, failed], ("happy", "sad"), flat=flat))
    manifest = listing([row["id"] for row in kept])
    changes = Changes(0, 0, 1, np.empty(0, np.int64), frozenset({("/never done.jpg", None)}))
    for some, removed in ((changes, 3), (None, 2)):  # the second is a later run, whose listing is the same
        summary = summarize(parts, manifest, Tally(3, 3), some, flat=flat)
        assert (summary.inputs, summary.done, summary.succeeded, summary.failed) == (3, 3, 3, 0)
        assert (summary.unlisted, summary.removed, summary.images) == (2, removed, 3)
        names = ["/a.tar::gone.jpg", "/gone.jpg", "/never done.jpg"]
        assert summary.removed_examples == names[:removed]


def test_the_rows_of_removed_failed_inputs_are_kept_when_failed_inputs_are_retried(tmp_path: Path) -> None:
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    rows = [failed_row(Entry(f"/{number}.jpg"), "no", "missing") for number in range(3)]
    parts.commit(rows_to_table([*rows, input_row(Entry("/good.jpg"))], ("happy", "sad"), flat=False))
    assert failed_ids(parts, listing([rows[0]["id"], rows[2]["id"]])).tolist() == sorted(
        [rows[0]["id"], rows[2]["id"]]
    )


@pytest.mark.parametrize("content", ["", '{"rows": 7, "accepted": []}'])
def test_files_of_runs_that_a_killed_process_has_not_finished_do_not_count(
    tmp_path: Path, content: str
) -> None:
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    rows = [input_row(Entry("/0.jpg"))]
    parts.commit(rows_to_table(rows, ("happy", "sad"), flat=False))
    parts.storage.write_json(f"{STATS}/{parts.run.name}.json", {"rows": 1})
    for folder in (STATS, RUNS):
        partial_path(tmp_path / folder / "x.json").write_text(content)
    parts.require_latest()
    summary = summarize(parts, listing([rows[0]["id"]]), Tally(1, 0), None, flat=False)
    assert (summary.runs, summary.again) == (1, 0)


def test_the_time_of_listing_is_told_apart_from_that_of_processing(tmp_path: Path) -> None:
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    tally = Tally(1, 0, listing=75.0)
    tally.add("process 1", 1, {}, {"decode": 0.1})
    summary = summarize(parts, listing([]), tally, None, flat=False)
    assert summary.listing_seconds == 75.0
    assert summary.seconds < 75.0
    page = to_html(summary)
    assert "<dt>Seconds of listing</dt><dd>75</dd>" in page
    assert "<dt>Seconds after listing</dt>" in page
