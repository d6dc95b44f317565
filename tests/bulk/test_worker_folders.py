"""Temporary copies of videos are removed however their worker ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mien.bulk import supervisor, worker_folders
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetcher
from mien.bulk.listing import Lister
from mien.bulk.supervisor import Attempts, Supervisor, WorkerProcess
from mien.bulk.worker_folders import WorkerFolder, remove_abandoned
from tests.builders.job_inputs import FETCHER, SPEC, STUB_COMMAND, write_tar

pytest.importorskip("fcntl")

COPIER = """
import os, signal, sys, time, types
from mien.bulk import worker
from mien.bulk.output import input_row

class Copier:
    def __init__(self, spec, fetcher, beat):
        self.fetcher = fetcher
    def __call__(self, entry, fetched):
        with self.fetcher.on_disk(entry, None) as path:
            print(path, file=sys.stderr, flush=True)
            if "kill" in entry.member:
                os.kill(os.getpid(), signal.SIGKILL)
            if "hang" in entry.member:
                time.sleep(60)
            return input_row(entry, width=1, height=1, frames=1), {"fetch": 0.0}

recognizing = types.ModuleType("mien.bulk.recognizing")
recognizing.InputRecognizer = Copier
sys.modules["mien.bulk.recognizing"] = recognizing
worker.main()
os._exit(0)
"""
"""A worker that copies its inputs, and dies or hangs beside copies of such names."""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of the workers as well."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def films(folder: Path, *names: str) -> list[tuple[Entry, None]]:
    """Videos in a tar."""
    write_tar(folder / "films.tar", dict.fromkeys(names, b"film"))
    return [(one, None) for one in Lister().entries([str(folder / "films.tar")])]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "told"), [("kill.mp4", "SIGKILL"), ("hang.mp4", "no answer for 1 seconds")])
def test_the_copy_of_a_worker_that_was_killed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path, name: str, told: str
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", COPIER])
    rows: dict[str, Any] = {}
    one = Supervisor(SPEC, Fetcher(), Attempts(2), 1)

    def take(row: dict[str, Any], _seconds: Any, _worker: int) -> None:
        assert len(list(temporary.iterdir())) <= 1
        rows[row["member"]] = row["error"]

    one.run(iter(films(tmp_path, name, "good.mp4")), take)
    assert told in rows[name]
    assert rows["good.mp4"] is None
    assert len(list(temporary.glob("mien-batch-*"))) == 1  # of the worker that waits for more
    one.close()
    assert not list(temporary.iterdir())


@pytest.mark.slow
def test_the_copy_of_a_job_that_is_stopped_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", COPIER])
    one = Supervisor(SPEC, Fetcher(), Attempts(2), 30)
    running = threading.Thread(target=one.run, args=(iter(films(tmp_path, "hang.mp4")), lambda *_row: None))
    running.start()
    deadline = time.monotonic() + 30
    while not list(temporary.rglob("input.mp4")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (copy,) = temporary.rglob("input.mp4")
    assert copy.parents[1].name.startswith("mien-batch-")
    one.close()
    running.join()
    assert not list(temporary.iterdir())


def test_a_worker_that_cannot_be_started_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", ["/no/such/program"])
    with pytest.raises(FileNotFoundError):
        WorkerProcess(SPEC, FETCHER)
    assert not list(temporary.iterdir())


def test_workers_run_where_no_temporary_folder_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_given: Any) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    rows: list[dict[str, Any]] = []
    one = Supervisor(SPEC, FETCHER, Attempts(1), 30)
    one.run(iter([(Entry("/a.jpg"), None)]), lambda row, _seconds, _pid: rows.append(row))
    one.close()
    assert [row["error"] for row in rows] == [None]


def test_only_folders_of_killed_jobs_are_removed(temporary: Path, tmp_path: Path) -> None:
    folder = WorkerFolder()
    assert folder.path is not None
    killed = "import os; from mien.bulk.worker_folders import WorkerFolder as F; f = F(); os.mkdir(f.path + '/mien-x'); "
    subprocess.run([sys.executable, "-c", f"{killed} os._exit(9)"], check=False)
    (abandoned,) = (path for path in temporary.iterdir() if str(path) != folder.path)
    (abandoned / "mien-x" / "input.mp4").write_bytes(b"film")
    for name in ("mien-batch-notes", "mien-batch-12345678", "mien-x"):
        (temporary / name).mkdir()
    (temporary / "mien-batch-12345678" / "thesis.txt").touch()
    (tmp_path / "mine").mkdir()
    (temporary / "mien-batch-abcdefgh").symlink_to(tmp_path / "mine")
    before = set(temporary.iterdir())
    remove_abandoned()
    assert set(temporary.iterdir()) == before - {abandoned}
    assert (tmp_path / "mine").exists()
    folder.remove()
    assert not Path(folder.path).exists()
    folder.remove()  # does nothing


def test_a_process_that_exits_removes_its_folders(temporary: Path) -> None:
    code = "from mien.bulk.worker_folders import WorkerFolder as F; f = F(); print(f.path)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(str(temporary))
    assert not list(temporary.iterdir())


def test_nothing_is_removed_where_folders_cannot_be_locked(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(worker_folders, "fcntl", None)
    (temporary / "mien-batch-12345678").mkdir()
    folder = WorkerFolder()
    remove_abandoned()
    assert len(list(temporary.iterdir())) == 2
    folder.remove()
    assert len(list(temporary.iterdir())) == 1
    shutil.rmtree(temporary)
    remove_abandoned()
