"""Rows are committed once, whatever is killed and when."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.bulk.entries import Entry
from mien.bulk.output import input_row, rows_to_table
from mien.bulk.parts import PENDING, ROWS, RUNS, Parts, Run
from mien.bulk.storage import Storage
from mien.errors import DataError

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


def test_pending_files_that_a_kill_left_beside_their_part_count_once(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, 2))
    (pending,) = (tmp_path / PENDING).iterdir()
    content = pending.read_bytes()
    parts.merge(all_of_them=True)
    pending.write_bytes(content)  # as if the kill came before it was removed
    again = begin(tmp_path)
    again.merge(all_of_them=True)
    assert merged_uris(tmp_path) == ["/1.jpg", "/2.jpg"]


def test_what_a_process_of_an_earlier_run_commits_late_does_not_count(tmp_path: Path) -> None:
    late = begin(tmp_path)
    late.commit(table(1))
    now = begin(tmp_path)
    late.commit(table(2))  # a task on another machine that had not noticed the end of its job
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


def test_workers_on_other_machines_get_plain_numbers(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1))
    assert {type(value) for value in vars(parts).values()} == {Storage, Run, int}
    there = pickle.loads(pickle.dumps(parts))  # noqa: S301
    there.commit(table(2))
    assert parts.done_ids().tolist() == ids(1, 2)


def test_a_run_that_finds_a_newer_one_stops(tmp_path: Path) -> None:
    old = begin(tmp_path)
    old.commit(table(1))
    begin(tmp_path)
    with pytest.raises(DataError, match="another process works on this job"):
        old.merge(all_of_them=True)


def test_files_that_were_half_written_are_removed_and_do_not_count(tmp_path: Path) -> None:
    from mien.files import replacing

    parts = begin(tmp_path)
    parts.commit(table(1))
    stack = replacing(tmp_path / ROWS / "part-x.parquet")
    aside = stack.__enter__()
    aside.write_bytes(b"PAR1 half")
    again = begin(tmp_path)
    assert not aside.exists()
    assert again.done_ids().tolist() == ids(1)


def test_parts_have_about_the_size_that_was_asked_for(tmp_path: Path) -> None:
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


def test_dropped_inputs_are_done_again(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, 2, 3))
    parts.merge(all_of_them=True)
    parts.commit(table(4, 5))
    assert parts.drop(np.array(ids(2, 5, 77))) == 2
    assert parts.done_ids().tolist() == ids(1, 3, 4)
    assert begin(tmp_path).done_ids().tolist() == ids(1, 3, 4)


def test_rows_of_another_version_or_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / ROWS).mkdir()
    pq.write_table(pa.table({"id": [1]}), tmp_path / ROWS / "a.parquet")
    with pytest.raises(DataError, match="got another file"):
        begin(tmp_path)


def test_a_flat_row_stands_for_an_input_without_faces(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    parts.commit(table(1, flat=True))
    assert parts.done_ids().tolist() == ids(1)


def test_the_notes_of_a_run_are_written_before_its_rows(tmp_path: Path) -> None:
    parts = begin(tmp_path)
    assert [path.stem for path in (tmp_path / RUNS).iterdir()] == [parts.run.name]
