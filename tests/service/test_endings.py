"""Shutdown of the service: suspended workers, unread logs, folders left by killed services."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from mien.service import server
from mien.service import worker_folder as folders
from mien.service.log_output import LogOutput
from mien.service.settings import Settings
from mien.service.worker_folder import worker_folder
from tests.helpers.service_process import Running, encoded, portrait, running, wait_until
from tests.service.test_connections import raw, read_all
from tests.service.test_serve import serving


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_suspended_worker_does_not_block_shutdown() -> None:
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
@pytest.mark.parametrize("delay", [0.0, 0.001, 0.01, 0.05, 0.2])
def test_ctrl_c_right_after_startup_stops_the_service_without_warnings(delay: float) -> None:
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    process.stderr.close()
    assert said.startswith("Serving on http://")
    assert (process.wait(20), rest) == (130, "Stopped.\n")


@pytest.mark.slow
def test_a_server_interrupted_before_startup_leaves_no_unawaited_coroutine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(threads=1)
    instance = server._Server(server.configure(lambda: None, settings, workers=1))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio.Runner, "run", stopped)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyboardInterrupt):
            instance.run()
        gc.collect()


def test_ctrl_c_in_the_constructor_of_the_event_loop_closes_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = server.configure(lambda: None, Settings(threads=1), workers=1)
    made: list[asyncio.AbstractEventLoop] = []

    def make_loop() -> asyncio.AbstractEventLoop:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # the handler runs before the next instruction
        made.append(asyncio.new_event_loop())
        return made[0]

    monkeypatch.setattr(config, "get_loop_factory", lambda: make_loop)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            server._Server(config).run()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert made[0].is_closed()


class TestShutdownWithOpenRequests:
    """Shutdown waits a few seconds for slow clients, not as long as the deadline of a request."""

    @pytest.mark.slow
    def test_an_unfinished_upload_gets_503(self) -> None:
        with serving("--threads", "1", "--deadline", "30") as service:
            head = b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
            ended = threading.Event()
            with raw(service, head) as slow:

                def drip() -> None:
                    while not ended.wait(0.1):
                        with suppress(OSError):
                            slow.sendall(b"x")

                dripping = threading.Thread(target=drip)
                dripping.start()
                wait_until(lambda: service.metric("mien_held_bytes") > 1)
                began = time.monotonic()
                service.process.send_signal(signal.SIGTERM)
                said = read_all(slow)
                code = service.process.wait(60)
                seconds = time.monotonic() - began
                ended.set()
                dripping.join()
            assert b"HTTP/1.1 503 " in said
            assert b"The service is shutting down." in said
            assert code == 0
            assert seconds < 12

    @pytest.mark.slow
    def test_unread_responses_are_abandoned(self) -> None:
        with serving("--threads", "1", "--deadline", "30") as service:
            ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400
            lines = []
            for _ in range(10):
                line = socket.socket()
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                line.settimeout(1)
                line.connect(("127.0.0.1", service.port))
                with suppress(OSError):
                    line.sendall(ask)
                lines.append(line)
            time.sleep(1)
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(60) == 0
            assert time.monotonic() - began < 12
            for line in lines:
                line.close()

    @pytest.mark.slow
    def test_an_image_in_progress_is_answered(self) -> None:
        with serving("--threads", "1", "--deadline", "30") as service, ThreadPoolExecutor(1) as caller:
            large = encoded(Image.effect_noise((5000, 4000), 50), "PNG")
            asked = caller.submit(service.send_raw, large)
            wait_until(lambda: service.metric("mien_queue") == 1)
            service.process.send_signal(signal.SIGTERM)
            assert asked.result(60).status == 200
            assert service.process.wait(60) == 0


@pytest.mark.slow
def test_an_unread_log_pipe_does_not_block_the_service() -> None:
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


def test_log_records_lost_while_output_is_blocked_are_counted(
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


class TestWorkerFolders:
    def test_only_folders_of_killed_services_are_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        gone = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
        )
        made = {}
        for name, owner in {
            "killed": f"{int(gone.stdout)} 1",
            "reused": f"{os.getpid()} 1",
            "running": folders._identity(os.getpid()),
            "foreign": f"{int(gone.stdout)} 1",
            "unmarked": None,
        }.items():
            made[name] = tmp_path / f"mien-metrics-{name}"
            made[name].mkdir()
            (made[name] / "counter_1.db").write_bytes(b"")
            if owner is not None:
                (made[name] / "mien-keeper").write_text(owner)
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


@pytest.mark.slow
def test_content_length_with_chunked_encoding_gives_400_and_closes_the_connection() -> None:
    with running(Settings(threads=1)) as service:
        data = (
            b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        with raw(service, data) as line:
            said = read_all(line)
        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.count(b"HTTP/1.1") == 1
