"""Files and rows that no later run needs are removed, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import fsspec
import pytest

from mien.bulk.data_frames import stored_frames
from mien.bulk.entries import Entry
from mien.bulk.manifest import open_manifest, write_manifest
from mien.bulk.outdated import lost_with_rows, remove_outdated, replaced_ids
from mien.bulk.output import failed_row, input_row, rows_to_table
from mien.bulk.parts import RUNS, Parts, Run
from mien.bulk.storage import Storage
from mien.errors import DataError
from mien.files import partial_path

FILES = [
    "_mien/manifest-0000/00000.parquet", "_mien/manifest-0000/manifest.json", "_mien/manifest-0001/mine.txt",
    "_mien/manifest-0001/00000.parquet", "_mien/manifest-0002/00000.parquet", "_mien/left/0000-ab/000000.parquet",
    "_mien/left/0001-cd/000000.parquet", "_mien/left/0001-cd/notes.md", "_mien/frame-0123456789abcdef.parquet",
    "_mien/frame-fedcba9876543210.parquet", "_mien/frame-mine.parquet", "_mien/pending/0000-ab-0.parquet",
    "_mien/job.json", "rows/part-0.parquet",
]  # fmt: skip
KEPT = [
    "_mien/manifest-0001/mine.txt", "_mien/manifest-0002/00000.parquet", "_mien/left/0001-cd/notes.md",
    "_mien/frame-fedcba9876543210.parquet", "_mien/frame-mine.parquet", "_mien/pending/0000-ab-0.parquet",
    "_mien/job.json", "rows/part-0.parquet",
]  # fmt: skip


def latest(storage: Storage) -> Parts:
    """The rows of a run that follows those of the files."""
    return Parts(storage, 10**6, Run("0002-ef", frozenset()))


def clean(storage: Storage, manifest: str, *sources: str) -> None:
    """Remove what no later run needs."""
    remove_outdated(latest(storage), manifest, stored_frames(storage, sources))


def test_files_of_earlier_runs_are_removed_and_others_are_kept(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    clean(storage, "_mien/manifest-0002", storage.path("_mien/frame-fedcba9876543210.parquet"))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(KEPT)
    assert not (tmp_path / "_mien" / "manifest-0000").exists()
    assert not (tmp_path / "_mien" / "left" / "0000-ab").exists()


def test_lists_of_run_9999_are_earlier_than_run_10000(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    for run in ("9999-ab", "10000-ef", "10001-cd"):
        storage.write(f"_mien/left/{run}/000000.parquet", b"x")
    parts = Parts(storage, 10**6, Run("10000-ef", frozenset()))
    remove_outdated(parts, "_mien/manifest-0002", [])
    assert storage.names("_mien/left") == ["10001-cd"]


def test_files_of_earlier_runs_are_removed_from_a_store() -> None:
    store = fsspec.filesystem("memory")
    storage = Storage("memory://outdated")
    for name in FILES:
        store.pipe_file(f"/outdated/{name}", b"x")
    clean(storage, "_mien/manifest-0002", "memory://outdated/_mien/frame-fedcba9876543210.parquet")
    assert {name.removeprefix("/outdated/") for name in store.find("/outdated")} == set(KEPT)


def test_an_empty_output_has_nothing_to_remove(tmp_path: Path) -> None:
    clean(Storage(str(tmp_path)), "_mien/manifest-0000")
    assert list(tmp_path.iterdir()) == []


def test_files_that_a_killed_process_has_not_finished_are_removed_with_their_folders(tmp_path: Path) -> None:
    for folder in ("manifest-0000", "left", "left/0000-ab"):
        (tmp_path / "_mien" / folder).mkdir(parents=True, exist_ok=True)
        partial_path(tmp_path / "_mien" / folder / "000000.parquet").touch()
    clean(Storage(str(tmp_path)), "_mien/manifest-0001")
    assert list((tmp_path / "_mien").iterdir()) == []


def test_the_error_row_of_a_tar_is_replaced_when_its_members_are_listed(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    parts = Parts.begin(storage, 10**6, {})
    damaged, other = Entry("/a.tar", where="tar", size=3), Entry("/b.tar", where="tar", size=3)
    rows = [failed_row(one, "it is damaged.", "unreadable") for one in (damaged, other)]
    parts.commit(rows_to_table([*rows, input_row(Entry("/gone.jpg"))], ("happy", "sad"), flat=False))
    members = [Entry("/a.tar", where="tar", size=9, member=f"{number}.jpg") for number in range(3)]
    manifest = write_manifest(storage, "m", members, Counter())
    assert replaced_ids(parts, manifest).tolist() == [damaged.id]


def test_files_of_a_newer_process_are_kept(tmp_path: Path) -> None:
    newer = ["_mien/manifest-0003/manifest.json", "_mien/manifest-10000/00000.parquet",
             "_mien/left/0003-aa/000000.parquet", "_mien/frame-0123456789abcdef.parquet"]  # fmt: skip
    storage = Storage(str(tmp_path))
    storage.write("_mien/manifest-0001/manifest.json", b"x")
    frames = stored_frames(storage, [])  # when the run begins
    for name in newer:
        storage.write(name, b"x")
    remove_outdated(latest(storage), "_mien/manifest-0002", frames)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == sorted(newer)


def test_a_process_with_a_newer_one_removes_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write("_mien/manifest-0001/manifest.json", b"x")
    storage.write_json(f"{RUNS}/0003-aa.json", {"accepted": []})
    with pytest.raises(DataError, match="another process works on this job since"):
        remove_outdated(latest(storage), "_mien/manifest-0002", [])
    assert (tmp_path / "_mien" / "manifest-0001" / "manifest.json").exists()


def test_files_that_cannot_be_found_are_left_out_of_the_listing_if_they_have_rows(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    parts = Parts.begin(storage, 10**6, {})
    names = ("/good.jpg", "/failed.jpg", "/list/relative.jpg", "/t.parquet", "/b.tar", "/listed.jpg")
    done = [Entry(name, size=3) for name in names]
    parts.commit(rows_to_table([input_row(one) for one in done], ("happy", "sad"), flat=False))
    lost = [
        Entry("/good.jpg", error="no"),
        Entry("/failed.jpg", error="no"),
        Entry("/relative.jpg", error="no", file="/list/relative.jpg"),
    ]
    others = [
        Entry("/new.jpg", error="no"),
        Entry("/t.parquet", member="row 3", error="no"),
        Entry("/b.tar", where="tar", size=9, error="no"),
        done[-1],
    ]
    manifest = write_manifest(storage, "m", [*lost, *others], Counter({".md": 1}))
    found = lost_with_rows(parts, manifest)
    assert found.tolist() == sorted(one.id for one in lost)
    rest = manifest.leave_out(found)
    assert (rest.inputs, list(rest.entries()), rest.passed_over) == (4, others, {".md": 1})
    assert open_manifest(storage, "m") == rest
    assert not len(lost_with_rows(parts, rest))
