"""Each kind of bad input gives one error line, or a row with an error; no other input is lost."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mien
from mien.bulk import storage as storage_module
from mien.bulk import supervisor
from mien.bulk.tally import Progress
from mien.errors import DataError
from tests.builders.job_inputs import STUB_COMMAND, jpeg, rows_of, touch_images, write_faces
from tests.helpers.command import mien as command


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that recognize nothing."""
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)


def refused(*arguments: Any) -> str:
    """The one error line of the command."""
    done = command("batch", *arguments, "--workers", "1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr.strip()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    told = refused(tmp_path / "in", "--out", tmp_path / "out")
    assert told.endswith("in: expected images or videos, found none. Is the name right?")


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_a_folder_without_read_permission_is_a_failed_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch_images(tmp_path / "in", 2)
    touch_images(tmp_path / "in" / "private", 1)
    scandir = os.scandir

    def scan(path: Any) -> Any:
        if str(path).endswith("private"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("mien.bulk.local_listing.os.scandir", scan)
    mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    from mien.bulk.listing import Lister

    failed = [one for one in Lister().entries([str(tmp_path / "in")]) if one.error]
    assert len(rows_of(tmp_path / "out")) == 3
    assert [one.error_kind for one in failed] == ["forbidden"]
    assert [str(one.error).partition("/in/")[2] for one in failed] == [
        "private: this folder cannot be opened: no permission (Permission denied)."
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_an_output_path_that_is_or_is_below_a_file_is_refused(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 1)
    (tmp_path / "file").write_text("mine")
    assert "expected a folder for the output, got a file" in refused(
        tmp_path / "in", "--out", tmp_path / "file"
    )
    assert "file/out" in refused(tmp_path / "in", "--out", tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("stub")
def test_an_output_folder_without_write_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch_images(tmp_path / "in", 1)

    def forbid(path: Path, *_given: Any, **_more: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", forbid)
    told = refused(tmp_path / "in", "--out", tmp_path / "out")
    assert "out: this folder cannot be written to: no permission (Permission denied)" in told


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "list.txt",
            b"a.jpg\n\xff\xfe\n",
            "expected a list of paths and URLs as UTF-8 text, got other bytes",
        ),
        ("list.txt", b"\n# nothing\n", "expected images or videos, found none"),
        ("list.csv", b'path\n"' + b"x" * 200_000 + b'"\n', "expected a CSV table, got one that is damaged"),
        ("list.csv", b"a,b\n1,2\n", "Name the column"),
        ("list.parquet", b"PAR1 nothing more", "expected a Parquet file, got a damaged or other file"),
    ],
)
def test_an_invalid_list_is_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    assert csv.field_size_limit() < 200_000
    (tmp_path / name).write_bytes(content)
    assert expected in refused(tmp_path / name, "--out", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_missing_files_of_a_list_fail_and_repeated_ones_are_processed_once(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 2)
    (tmp_path / "list.txt").write_text("in/0000.jpg\nin/0001.jpg\nin/0000.jpg\nin/gone.jpg\nin/a\0b.jpg\n")
    done = command("batch", tmp_path / "list.txt", "--out", tmp_path / "out", "--workers", "1")
    assert "1 input was given more than once; each was processed once." in done.stderr
    assert len(rows_of(tmp_path / "out")) == 4


@pytest.mark.slow
def test_unreadable_files_of_a_folder_get_error_rows_and_do_not_stop_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty.jpg").touch()
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "text.jpg").write_text("hello")
    (folder / "cut.jpg").write_bytes(jpeg()[:3000])
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    good = [folder / "two\nlines.jpg", folder / os.fsdecode(b"\xff\xfe.jpg"), folder / "ünïcödé \u202e.jpg"]
    for path in good:
        path.write_bytes(jpeg())
    summary = mien.batch(folder, tmp_path / "out", workers=2)
    rows = {row["uri"].removeprefix(f"{folder}/"): row for row in rows_of(tmp_path / "out")}
    assert (summary.done, summary.succeeded, summary.failed) == (8, 3, 5)
    assert {name: row["error_kind"] for name, row in rows.items() if row["error"]} == {
        "empty.jpg": "unreadable", "gone.jpg": "missing", "loop.jpg": "unreadable", "text.jpg": "unreadable",
        "cut.jpg": "unreadable",
    }  # fmt: skip
    assert "empty file" in rows["empty.jpg"]["error"]
    assert "no such file" in rows["gone.jpg"]["error"]
    assert [len(rows[name]["faces"]) for name in ("two\nlines.jpg", "ünïcödé \u202e.jpg")] == [1, 1]
    assert [len(row["faces"]) for name, row in rows.items() if name.startswith("file://")] == [1]
    assert all("\n" not in row["error"] for row in rows.values() if row["error"])


@pytest.mark.slow
def test_files_removed_during_a_job_fail_and_the_others_are_processed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (first, *_) = write_faces(folder, 1)
    for number in range(60):
        (folder / f"z{number:03d}.jpg").write_bytes(first.read_bytes())
    removed = [folder / f"z{number:03d}.jpg" for number in range(50, 60)]

    def change(progress: Progress) -> None:
        if progress.stage == "recognizing" and removed[0].exists():
            for path in removed:
                path.unlink()
            (folder / "new.jpg").write_bytes(first.read_bytes())

    summary = mien.batch(folder, tmp_path / "out", workers=1, progress=change)
    assert (summary.inputs, summary.done, summary.failures) == (61, 61, {"missing": 10})
    again = mien.batch(folder, tmp_path / "out", workers=1, resume=True)
    assert (again.added, again.removed, again.processed) == (1, 10, 1)


@contextmanager
def _raise_disk_full(*_given: Any) -> Iterator[Path]:
    raise OSError(errno.ENOSPC, "No space left on device")
    yield  # pragma: no cover


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_a_full_disk_is_reported_and_the_job_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch_images(tmp_path / "in", 20)
    replacing = storage_module.replacing

    def until_full(path: Path) -> Any:
        written = list(tmp_path.glob("out/_mien/pending/*"))
        return _raise_disk_full() if len(written) >= 2 else replacing(path)

    settings: dict[str, Any] = {"workers": 1, "commit_seconds": 0.05, "resume": True}
    with monkeypatch.context() as patch:
        patch.setenv("STUB_SECONDS", "0.03")
        patch.setattr(storage_module, "replacing", until_full)
        with pytest.raises(DataError, match=r"cannot be written: No space left on device.*`resume=True`"):
            mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    summary = mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    assert 0 < summary.processed < 20
    assert sorted(Path(row["uri"]).name for row in rows_of(tmp_path / "out")) == [
        f"{number:04d}.jpg" for number in range(20)
    ]
