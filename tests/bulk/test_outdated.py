"""Files and rows that no later run needs are removed, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import fsspec

from mien.bulk.entries import Entry
from mien.bulk.manifest import write_manifest
from mien.bulk.outdated import remove_outdated, replaced_ids
from mien.bulk.output import failed_row, input_row, rows_to_table
from mien.bulk.parts import Parts
from mien.bulk.storage import Storage
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


def test_files_of_earlier_runs_are_removed_and_others_are_kept(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    remove_outdated(storage, "_mien/manifest-0002", [storage.path("_mien/frame-fedcba9876543210.parquet")])
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(KEPT)
    assert not (tmp_path / "_mien" / "manifest-0000").exists()
    assert not (tmp_path / "_mien" / "left" / "0000-ab").exists()


def test_files_of_earlier_runs_are_removed_from_a_store() -> None:
    store = fsspec.filesystem("memory")
    storage = Storage("memory://outdated")
    for name in FILES:
        store.pipe_file(f"/outdated/{name}", b"x")
    remove_outdated(
        storage, "_mien/manifest-0002", ["memory://outdated/_mien/frame-fedcba9876543210.parquet"]
    )
    assert {name.removeprefix("/outdated/") for name in store.find("/outdated")} == set(KEPT)


def test_an_empty_output_has_nothing_to_remove(tmp_path: Path) -> None:
    remove_outdated(Storage(str(tmp_path)), "_mien/manifest-0000", [])
    assert list(tmp_path.iterdir()) == []


def test_files_that_a_killed_process_has_not_finished_are_removed_with_their_folders(tmp_path: Path) -> None:
    for folder in ("manifest-0000", "left", "left/0000-ab"):
        (tmp_path / "_mien" / folder).mkdir(parents=True, exist_ok=True)
        partial_path(tmp_path / "_mien" / folder / "000000.parquet").touch()
    remove_outdated(Storage(str(tmp_path)), "_mien/manifest-0001", [])
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
