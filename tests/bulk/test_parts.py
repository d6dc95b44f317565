"""Rows are committed exactly once, even if processes are killed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.bulk import parts as parts_module
from mien.bulk.entries import Entry
from mien.bulk.output import input_row, rows_to_table
from mien.bulk.parts import PENDING, ROWS, RUNS, STATS, Parts, Run, latest_run
from mien.bulk.storage import Storage
from mien.errors import DataError
from mien.files import partial_path

CLASSES = ("happy", "sad")


def table(*numbers: int, flat: bool = False) -> pa.Table:
    return rows_to_table([input_row(Entry(f"/{number}.jpg")) for number in numbers], CLASSES, flat=flat)


def begin(folder: Path, part_bytes: int = 10**6) -> Parts:
    return Parts.begin(Storage(str(folder)), part_bytes, {})


def ids(*numbers: int) -> list[int]:
    return sorted(Entry(f"/{number}.jpg").id for number in numbers)


def merged_uris(folder: Path) -> list[str]:
    return sorted(pq.read_table(folder / ROWS).column("uri").to_pylist())


def test_committed_rows_count_in_this_run_and_in_the_next(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, 2))
    assert parts.done_ids().tolist() == ids(1, 2)
    again = begin(tmp_path)
    assert again.done_ids().tolist() == ids(1, 2)
    again.commit(table(3))
    again.merge(all_of_them=True)
    assert again.done_ids().tolist() == ids(1, 2, 3)
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg", "/3.jpg"]
    assert not list((tmp_path / PENDING).iterdir())


def test_pending_files_left_beside_their_part_by_a_kill_count_once(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, 2))
    (pending,) = (tmp_path / PENDING).iterdir()
    content = pending.read_bytes()
    parts.merge(all_of_them=True)
    pending.write_bytes(content)  # as if the process was killed before it removed the file
    again = begin(tmp_path)
    again.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg"]


def test_late_commits_of_an_earlier_run_are_ignored(tmp_path: Path) -> None:
    late = begin(tmp_path)
    late.commit(table(1))
    now = begin(tmp_path)
    late.commit(table(2))  # a task on another machine that has not noticed the end of its job
    now.commit(table(2, 3))
    assert now.done_ids().tolist() == ids(1, 2, 3)
    now.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg", "/3.jpg"]
    begin(tmp_path)
    assert not list((tmp_path / PENDING).iterdir())


def test_a_task_that_runs_again_replaces_its_rows(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    for _ in range(2):
        parts.commit_as(table(1, 2), f"{parts.run.name}-00000005")
    parts.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg"]


def test_a_task_that_runs_again_after_its_rows_were_merged_does_not_duplicate_them(tmp_path: Path) -> None:
    parts = begin(tmp_path, part_bytes=1)
    parts.commit_as(table(1, 2), f"{parts.run.name}-00000000")
    parts.merge()
    parts.commit_as(table(1, 2), f"{parts.run.name}-00000000")
    parts.commit_as(table(3), f"{parts.run.name}-00000001")
    parts.merge()
    parts.merge(all_of_them=True)
    assert parts.done_ids().tolist() == ids(1, 2, 3)
    assert sum(batch.num_rows for batch in parts.tables()) == 3
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg", "/3.jpg"]
    assert begin(tmp_path).done_ids().tolist() == ids(1, 2, 3)
    assert not list((tmp_path / PENDING).iterdir())


def test_parts_can_be_pickled_for_workers_on_other_machines(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1))
    assert {type(value) for value in vars(parts).values()} == {Storage, Run, int, set}
    there = pickle.loads(pickle.dumps(parts))  # noqa: S301
    there.commit(table(2))
    assert parts.done_ids().tolist() == ids(1, 2)


def test_a_run_stops_when_a_newer_one_has_begun(tmp_path: Path) -> None:
    old = begin(tmp_path)
    old.commit(table(1))
    begin(tmp_path)
    with pytest.raises(DataError, match="another process works on this job"):
        old.merge(all_of_them=True)


def stall(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a process that merges its rows after a newer run has begun and dies before it removes files."""
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "require_latest", lambda _self: None)
        patch.setattr(Storage, "remove", lambda _self, _name: None)
        parts.merge(all_of_them=True)
    parts._merged.clear()  # a process that dies forgets what it has merged


@pytest.mark.parametrize("flat", [False, True])
def test_duplicate_rows_of_a_stalled_process_are_removed_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, flat: bool
) -> None:
    old = begin(tmp_path)
    old.commit(table(1, 2, 2, flat=flat))
    now = begin(tmp_path)
    now.commit(table(3, flat=flat))
    stall(old, monkeypatch)
    now.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/1.jpg", "/2.jpg", "/2.jpg", "/2.jpg", "/2.jpg", "/3.jpg"]
    assert now.drop_repeated() == 2
    assert now.drop_repeated() == 0
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg", "/2.jpg", "/3.jpg"]
    assert begin(tmp_path).done_ids().tolist() == ids(1, 2, 3)


def test_duplicate_rows_of_a_stalled_process_are_removed_before_merging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = begin(tmp_path)
    old.commit(table(1, 2))
    now = begin(tmp_path)
    stall(old, monkeypatch)
    assert now.drop_repeated() == 2
    now.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg"]


def test_an_older_run_does_not_remove_duplicate_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = begin(tmp_path)
    old.commit(table(1))
    begin(tmp_path)
    stall(old, monkeypatch)
    with pytest.raises(DataError, match="another process works on this job"):
        old.drop_repeated()


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_run_superseded_during_a_merge_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    root = str(tmp_path) if place == "local" else f"memory://{tmp_path.name}"
    old = Parts.begin(Storage(root), 10**6, {})
    old.commit(table(1))

    def encode(*given: Any) -> bytes:
        Parts.begin(Storage(root), 10**6, {})
        return encode_part(*given)

    encode_part = parts_module._encode_part
    monkeypatch.setattr(parts_module, "_encode_part", encode)
    with pytest.raises(DataError, match="another process works on this job"):
        old.merge(all_of_them=True)
    assert old.storage.sizes(ROWS) == {}
    assert len(old.storage.sizes(PENDING)) == 1


def test_a_run_superseded_after_its_upload_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"memory://{tmp_path.name}"
    old = Parts.begin(Storage(root), 10**6, {})
    old.commit(table(1))
    write = Storage.write

    def slowly(self: Storage, name: str, *given: Any, **more: Any) -> None:
        if name.startswith("rows/"):
            Parts.begin(Storage(root), 10**6, {})
            more = {}  # the other run began after the last check
        write(self, name, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "write", slowly)
        with pytest.raises(DataError, match="another process works on this job"):
            old.merge(all_of_them=True)
    again = Parts.begin(Storage(root), 10**6, {})
    assert again.done_ids().tolist() == ids(1)
    again.merge(all_of_them=True)
    assert again.drop_repeated() == 0
    assert len(again.storage.sizes(ROWS)) == 1


def test_partially_written_files_are_removed_and_not_counted(tmp_path: Path) -> None:
    from mien.files import replacing

    parts = begin(tmp_path)
    parts.commit(table(1))
    stack = replacing(tmp_path / ROWS / "part-x.parquet")
    aside = stack.__enter__()
    aside.write_bytes(b"PAR1 half")
    again = begin(tmp_path)
    assert not aside.exists()
    assert again.done_ids().tolist() == ids(1)


@pytest.mark.parametrize("folder", ["", ROWS, "_mien", PENDING, RUNS, STATS])
def test_files_that_a_killed_process_has_not_finished_are_removed(tmp_path: Path, folder: str) -> None:
    begin(tmp_path)
    aside = partial_path(tmp_path / folder / "x.json")
    aside.parent.mkdir(exist_ok=True)
    aside.touch()
    begin(tmp_path)
    assert not aside.exists()


def test_parts_have_about_the_requested_size(tmp_path: Path) -> None:
    size = len((tmp_path / "probe").name)  # any small number
    parts = begin(tmp_path, 30_000 + size)
    for start in range(0, 2000, 100):
        parts.commit(table(*range(start, start + 100)))
        parts.merge()
    parts.merge(all_of_them=True)
    sizes = [path.stat().st_size for path in sorted((tmp_path / ROWS).iterdir())]
    assert len(sizes) > 2
    assert max(sizes) < 60_000
    assert len(set(merged_uris(tmp_path))) == 2000
    assert (
        pq.ParquetFile(next((tmp_path / ROWS).iterdir())).metadata.row_group(0).column(0).compression
        == "ZSTD"
    )


def test_dropped_inputs_no_longer_count_as_done(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, 2, 3))
    parts.merge(all_of_them=True)
    parts.commit(table(4, 5))
    assert parts.drop(np.array(ids(2, 5, 77))) == 2
    assert parts.done_ids().tolist() == ids(1, 3, 4)
    assert begin(tmp_path).done_ids().tolist() == ids(1, 3, 4)


def test_rows_written_by_another_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / ROWS).mkdir()
    pq.write_table(pa.table({"id": [1]}), tmp_path / ROWS / "a.parquet")
    with pytest.raises(DataError, match="got another file"):
        begin(tmp_path)


def test_an_input_without_faces_has_a_flat_row(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, flat=True))
    assert parts.done_ids().tolist() == ids(1)


def test_the_record_of_a_run_is_written_before_its_rows(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    assert [path.stem for path in (tmp_path / RUNS).iterdir()] == [parts.run.name]


def run_before(folder: Path, number: int) -> Parts:
    """A run with that number, whose file about it exists."""
    storage = Storage(str(folder))
    storage.write_json(f"{RUNS}/{number:04d}-ffffffff.json", {"accepted": []})
    return Parts(storage, 10**6, Run(f"{number:04d}-ffffffff", frozenset()))


def test_a_job_is_resumed_after_run_9999(tmp_path: Path) -> None:
    run_before(tmp_path, 9999).commit(table(1))
    for number in (10_000, 10_001, 10_002):
        parts = begin(tmp_path)
        assert parts.run.name.startswith(f"{number}-")
        assert latest_run(parts.storage) == parts.run
        parts.require_latest()
        parts.commit(table(number))
        assert parts.done_ids().tolist() == ids(1, *range(10_000, number + 1))
    parts.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/10000.jpg", "/10001.jpg", "/10002.jpg"]


def test_run_9999_stops_when_run_10000_has_begun(tmp_path: Path) -> None:
    old = run_before(tmp_path, 9999)
    old.commit(table(1))
    begin(tmp_path)
    with pytest.raises(DataError, match="another process works on this job"):
        old.merge(all_of_them=True)


def test_of_repeated_rows_those_of_the_run_with_the_lowest_number_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = run_before(tmp_path, 9999)
    old.commit(table(1, 2))
    now = begin(tmp_path)
    stall(old, monkeypatch)
    now.merge(all_of_them=True)
    assert now.drop_repeated() == 2
    kept = {path.name[:10]: pq.ParquetFile(path).metadata.num_rows for path in (tmp_path / ROWS).iterdir()}
    assert kept == {"part-9999-": 2, "part-10000": 0}
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg"]


def test_pending_files_are_merged_in_the_order_of_runs(tmp_path: Path) -> None:
    run_before(tmp_path, 9999).commit(table(1))
    now = begin(tmp_path)
    now.commit(table(2))
    now.merge(all_of_them=True)
    assert pq.read_table(tmp_path / ROWS).column("uri").to_pylist() == ["/1.jpg", "/2.jpg"]


def test_a_job_that_an_older_version_could_not_resume_after_run_9999_goes_on(tmp_path: Path) -> None:
    run_before(tmp_path, 9999).commit(table(1))
    (pending,) = (tmp_path / PENDING).iterdir()
    storage = Storage(str(tmp_path))
    for name in ("10000-aaaaaaaa", "10000-bbbbbbbb"):  # of runs that stopped at once
        storage.write_json(f"{RUNS}/{name}.json", {"accepted": [pending.name]})
    parts = begin(tmp_path)
    assert parts.run.name.startswith("10001-")
    assert parts.done_ids().tolist() == ids(1)
