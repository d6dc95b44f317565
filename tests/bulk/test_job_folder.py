"""The lock of an output folder, and errors while the job in it is looked for."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mien.bulk.job_folder import JOB, locked, open_job
from mien.bulk.storage import Storage
from mien.errors import DataError

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
