"""The end of the service: stopped workers, logs that nobody reads, folders of services that were killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mien.service import worker_folder as folders
from mien.service.log_output import LogOutput
from mien.service.settings import Settings
from mien.service.worker_folder import worker_folder
from tests.helpers.service_process import Running, portrait, running, wait_until
from tests.service.test_connections import raw, read_all
from tests.service.test_serve import serving


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_stopped_worker_does_not_keep_the_service_from_ending() -> None:
    with serving("--workers", "2", "--threads", "1", "--deadline", "2") as service:
        workers = [
            pid for pid in children_of(service.process.pid)
            if b"multiprocessing" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]  # fmt: skip
        os.kill(workers[-1], signal.SIGSTOP)
        time.sleep(1.5)
        service.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert service.process.wait(20) == 0
        assert time.monotonic() - began < 15


@pytest.mark.slow
def test_a_log_that_nobody_reads_stops_nothing() -> None:
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, bufsize=1)
    assert process.stderr is not None
    port = int(process.stderr.readline().split(":")[-1].split()[0])
    service = Running(port)
    wait_until(lambda: service.get("/health/ready").status == 200)
    for _ in range(1200):  # more lines than a pipe holds
        assert service.get("/v1/nothing").status == 404
    assert service.send_raw(portrait()).status == 200
    process.terminate()
    assert process.wait(20) == 0
    process.stderr.close()


def test_records_that_nobody_takes_are_counted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = LogOutput()
    blocked = True

    def write(descriptor: int, data: bytes) -> int:
        while blocked:
            time.sleep(0.01)
        return os.writev(descriptor, [data])

    monkeypatch.setattr("mien.service.log_output.os.write", write)
    monkeypatch.setattr(output, "_waiting", type(output._waiting)(3))
    record = logging.LogRecord("mien", logging.INFO, "", 0, "said", None, None)
    began = time.monotonic()
    for _ in range(10):
        output.emit(record)
    assert time.monotonic() - began < 1
    blocked = False
    output.drain()
    output.emit(record)
    output.drain()
    wait_until(lambda: "messages were lost" in capfd.readouterr().err, 5)


class TestFolders:
    def test_that_of_a_killed_service_is_removed_and_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        gone = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
        )
        made = {}
        for name, keeper in {
            "killed": f"{int(gone.stdout)} 1",
            "reused": f"{os.getpid()} 1",
            "running": folders._identity(os.getpid()),
            "foreign": f"{int(gone.stdout)} 1",
            "unmarked": None,
        }.items():
            made[name] = tmp_path / f"mien-metrics-{name}"
            made[name].mkdir()
            (made[name] / "counter_1.db").write_bytes(b"")
            if keeper is not None:
                (made[name] / "mien-keeper").write_text(keeper)
        (made["foreign"] / "letter.txt").write_text("mine")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "mien-keeper").write_text(f"{int(gone.stdout)} 1")
        (tmp_path / "mien-metrics-link").symlink_to(tmp_path / "elsewhere")
        with worker_folder() as folder:
            assert folder.stat().st_mode & 0o077 == 0
            left = {path.name.removeprefix("mien-metrics-") for path in tmp_path.iterdir()} - {
                folder.name[13:]
            }
        assert left == {"running", "foreign", "unmarked", "elsewhere", "link"}
        assert (tmp_path / "elsewhere" / "mien-keeper").exists()
        assert not folder.exists()


def test_a_request_with_two_lengths_is_refused_and_the_connection_closed() -> None:
    with running(Settings(threads=1)) as service:
        data = (
            b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        with raw(service, data) as line:
            said = read_all(line)
        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.count(b"HTTP/1.1") == 1
