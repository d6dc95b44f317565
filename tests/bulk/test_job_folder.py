"""The lock of an output folder, and errors while the job in it is looked for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mien
from mien.bulk import supervisor
from mien.bulk.job_folder import JOB, locked, open_job, removed_unless_listed, require_own_folder
from mien.bulk.storage import Storage
from mien.errors import DataError
from tests.builders.job_inputs import STUB_COMMAND, touch_images

fcntl = pytest.importorskip("fcntl")


def flock_raises(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the lock of a file fail."""

    def fail(*_given: Any) -> None:
        raise OSError(number, "it fails")

    monkeypatch.setattr(fcntl, "flock", fail)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_job_runs_without_a_lock_where_the_file_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    flock_raises(monkeypatch, number)
    with locked(Storage(str(tmp_path))):
        assert (tmp_path / "_mien" / "lock").exists()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EAGAIN, "another process works on this job. Wait for its end."),
        (errno.EACCES, "another process works on this job. Wait for its end."),
        (errno.EIO, "this folder cannot be locked: it fails. Name another folder."),
    ],
)
def test_other_errors_of_a_lock_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    flock_raises(monkeypatch, number)
    with pytest.raises(DataError) as told, locked(Storage(str(tmp_path))):
        pass
    assert str(told.value).endswith(f": {expected}")


def test_a_lock_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "_mien" / "lock").mkdir(parents=True)
    with (
        pytest.raises(DataError, match=r"this folder cannot be written to: .*\. Name another folder\.$"),
        locked(Storage(str(tmp_path))),
    ):
        pass


def test_a_job_is_not_reset_when_its_file_system_cannot_be_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    wanted: dict[str, Any] = {"sources": [], "options": {"model_sha256": "0"}}
    open_job(storage, wanted, "0", resume=False)
    storage.write_json(JOB, storage.read_json(JOB) | {"manifest": "_mien/manifest-0007"})
    stat = os.stat

    def fail(path: Any, **options: Any) -> Any:
        if str(path).endswith("job.json"):
            raise OSError(errno.EIO, "Input/output error")
        return stat(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", fail)
        with pytest.raises(DataError, match=r"job\.json: Input/output error\."):
            open_job(storage, wanted, "0", resume=True)
    assert open_job(storage, wanted, "0", resume=True) == storage.read_json(JOB)
    assert storage.read_json(JOB)["manifest"] == "_mien/manifest-0007"


WANTED: dict[str, Any] = {"sources": [], "options": {"model_sha256": "0"}}


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("has_folder", [False, True])
def test_a_first_listing_that_fails_leaves_nothing(tmp_path: Path, *, has_folder: bool) -> None:
    (image,) = touch_images(tmp_path / "in", 1)
    out = tmp_path / "new" / "out"
    if has_folder:
        out.mkdir(parents=True)
    with pytest.raises(DataError, match="found none of that name"):
        mien.batch([image, tmp_path / "in" / "gone.jpg"], out, workers=1)
    assert files_of(tmp_path) == ["in", "in/0000.jpg", *(["new", "new/out"] if has_folder else [])]


def test_a_data_frame_that_cannot_be_stored_leaves_nothing(tmp_path: Path) -> None:
    frame = pytest.importorskip("pandas").DataFrame({"one": [1], "two": [2]})
    with pytest.raises(DataError):
        mien.batch(frame, tmp_path / "out", workers=1)
    assert files_of(tmp_path) == []


@pytest.mark.slow
def test_files_that_appear_after_a_failed_listing_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    (image,) = touch_images(tmp_path / "in", 1)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError, match="found none of that name"):
        mien.batch([image, tmp_path / "gone.jpg"], out, workers=1)
    (out / "summary.json").write_text("mine")
    with pytest.raises(DataError, match=r"found other files \('summary.json'\). Name another folder"):
        mien.batch(image, out, workers=1)
    assert (files_of(out), (out / "summary.json").read_text()) == (["summary.json"], "mine")
    (out / "summary.json").unlink()
    assert mien.batch(image, out, workers=1).done == 1
    assert mien.batch(image, out, workers=1, resume=True).done == 1


def begin_and_fail(storage: Storage, error: BaseException, files: dict[str, Any]) -> None:
    """Begin a job that fails after it has written some more files."""
    with locked(storage), removed_unless_listed(storage):
        open_job(storage, WANTED, "0", resume=True)
        for name, content in files.items():
            storage.write_json(name, content)
        raise error


MANIFEST = "_mien/manifest-0000/00000.parquet"
LISTED = {"format": 1, **WANTED, "manifest": "_mien/manifest-0000"}


@pytest.mark.parametrize("error", [DataError("no"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ({MANIFEST: {}}, []),
        ({MANIFEST: {}, JOB: LISTED}, ["_mien/job.json", "_mien/lock", MANIFEST]),
        ({"_mien/runs/0000-ab.json": {}}, ["_mien/job.json", "_mien/lock", "_mien/runs/0000-ab.json"]),
        ({"_mien/mine.txt": {}, "mine.txt": {}}, ["_mien/mine.txt", "mine.txt"]),
    ],
)
def test_a_new_job_that_fails_before_its_inputs_are_listed_is_removed(
    tmp_path: Path, error: BaseException, files: dict[str, Any], kept: list[str]
) -> None:
    with pytest.raises(type(error)):
        begin_and_fail(Storage(str(tmp_path / "out")), error, files)
    assert [name for name in files_of(tmp_path) if (tmp_path / name).is_file()] == [
        f"out/{one}" for one in kept
    ]
    assert (tmp_path / "out").exists() == bool(kept)


def test_an_older_job_that_fails_before_its_inputs_are_listed_is_kept(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    open_job(storage, WANTED, "0", resume=True)
    with pytest.raises(DataError):
        begin_and_fail(storage, DataError("no"), {})
    assert storage.exists(JOB)


@pytest.mark.parametrize(
    ("job", "name", "is_refused"),
    [
        (None, None, False),
        (None, "_mien/lock", False),
        (None, "_mien/frame-0123456789abcdef.parquet", False),
        (None, "_mien/thesis.txt", True),
        (None, "_mien/manifest-0000", True),
        (None, "summary.json", True),
        (None, "notes.txt", True),
        (None, ".hidden", False),
        ('{"format": 1, "manifest": null}', None, False),
        ('{"format": 1, "manifest": null}', "summary.html", True),
        ('{"format": 1, "manifest": null}', "rows", True),
        ('{"format": 1, "manifest": null}', "notes.txt", False),
        ('{"format": 1}', "summary.json", True),
        ('{"format": 1, "manifest": "_mien/manifest-0000"}', "summary.json", False),
    ],
)
@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_folder_belongs_to_a_job_only_with_a_file_about_it(
    tmp_path: Path, place: str, job: str | None, name: str | None, *, is_refused: bool
) -> None:
    storage = Storage(str(tmp_path) if place == "local" else f"memory://{tmp_path.name}")
    if place == "local":
        (tmp_path / "_mien").mkdir()
    for one, content in ((JOB, job), (name, "mine")):
        if one and content:
            storage.write(one, content.encode())
    if not is_refused:
        require_own_folder(storage)
        return
    with pytest.raises(
        DataError, match="expected a new or empty folder for the output, or that of a batch job"
    ):
        require_own_folder(storage)


def test_a_damaged_file_about_a_job_is_refused(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write(JOB, b"{")
    with pytest.raises(DataError, match="expected JSON, got a damaged file"):
        require_own_folder(storage)


HOLD = """
import sys
from mien.bulk.job_folder import locked
from mien.bulk.storage import Storage
with locked(Storage(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_lock_that_was_removed_while_it_was_opened_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, calls = fcntl.flock, []

    def remove_first(file: Any, flags: int) -> None:
        calls.append(file)
        if len(calls) == 1:  # as the process does that held it until now
            (tmp_path / "_mien" / "lock").unlink()
            (tmp_path / "_mien").rmdir()
        flock(file, flags)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with locked(Storage(str(tmp_path))):
        assert len(calls) == 2
        other = subprocess.run(
            [sys.executable, "-c", HOLD, str(tmp_path)], check=False, capture_output=True, text=True, input=""
        )
    assert "another process works on this job" in other.stderr
