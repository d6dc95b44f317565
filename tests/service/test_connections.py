"""Abusive connections: slow, silent, too many, in tiny chunks, unread; and shutdown during each of these."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from mien.recognition.video import VideoWriter
from mien.service import connections
from mien.service.log_limits import LogLimit
from mien.service.settings import Settings
from tests.helpers.service_process import Running, encoded, portrait, running, wait_until
from tests.service.test_serve import Process, serving

_POST = b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


@contextmanager
def raw(service: Running, data: bytes = b"") -> Iterator[socket.socket]:
    """Open a connection and send some bytes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as one:
        one.sendall(data)
        yield one


def read_all(one: socket.socket) -> bytes:
    """Read until the connection is closed."""
    found = b""
    with suppress(ConnectionError):
        while piece := one.recv(65536):
            found += piece
    return found


@pytest.mark.slow
class TestTimeouts:
    def test_a_header_that_does_not_arrive_in_time_closes_the_connection(self) -> None:
        with running(Settings(threads=1, header_timeout=0.5)) as service:
            with raw(service) as silent, raw(service, b"GET /health/live HTTP/1.1\r\nX: ") as slow:
                assert read_all(silent) == b""
                assert read_all(slow).startswith(b"HTTP/1.1 408 ")
            with raw(service, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n") as again:
                assert again.recv(65536).startswith(b"HTTP/1.1 200 ")
                again.sendall(b"GET /health/live HTTP/1.1\r\n")
                assert b"408 Request Timeout" in read_all(again)
            assert service.metric('mien_refusals_total{reason="header time"}') == 3

    def test_a_header_sent_slowly_does_not_extend_its_timeout(self) -> None:
        with (
            running(Settings(threads=1, header_timeout=0.7)) as service,
            raw(service, b"GET / HTTP/1.1\r\n") as slow,
        ):
            began = time.monotonic()
            with suppress(ConnectionError):
                while time.monotonic() - began < 5:
                    slow.sendall(b"X: y\r\n")
                    time.sleep(0.05)
            assert time.monotonic() - began < 3

    def test_a_stalled_body_gives_408_after_the_idle_timeout(self) -> None:
        with (
            running(Settings(threads=1, idle_timeout=0.3)) as service,
            raw(service, _POST + b"Content-Length: 99\r\n\r\nx") as slow,
        ):
            answer = read_all(slow)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"Nothing of the request arrived for 0.3 seconds." in answer
            assert service.metric('mien_refusals_total{reason="idle"}') == 1

    def test_a_body_sent_slowly_is_limited_by_the_body_timeout(self) -> None:
        with (
            running(Settings(threads=1, body_timeout=0.6, idle_timeout=5)) as service,
            raw(service, _POST + b"Content-Length: 9999\r\n\r\n") as slow,
        ):
            ended = threading.Event()

            def drip() -> None:
                with suppress(OSError):
                    while not ended.wait(0.05):
                        slow.sendall(b"x")

            dripping = threading.Thread(target=drip)
            dripping.start()
            answer = read_all(slow)
            ended.set()
            dripping.join()
            assert b"The request did not arrive within 0.6 seconds." in answer

    def test_a_refused_upload_is_read_only_for_a_limited_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "_LINGER", 0.5)
        with (
            running(Settings(threads=1)) as service,
            raw(
                service, b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nx"
            ) as one,
        ):
            assert one.recv(65536).startswith(b"HTTP/1.1 404 ")
            began = time.monotonic()
            with suppress(ConnectionError):
                while time.monotonic() - began < 10:
                    one.sendall(b"x")
                    time.sleep(0.05)
            assert time.monotonic() - began < 4

    def test_a_client_that_never_reads_is_disconnected_after_the_write_timeout(self) -> None:
        with running(Settings(threads=1, write_timeout=1)) as service:
            asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            with socket.socket() as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect(("127.0.0.1", service.port))
                one.settimeout(1)
                with suppress(OSError):
                    for _ in range(20):
                        one.sendall(asked * 200)
                wait_until(lambda: service.metric('mien_refusals_total{reason="unread"}') == 1, 20)


class TestLimits:
    @pytest.mark.slow
    def test_connections_per_client_address_are_limited(self) -> None:
        with running(Settings(threads=1, connections_per_caller=4)) as service:
            held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(4)]
            time.sleep(0.1)
            with raw(service) as one:
                assert read_all(one).startswith(b"HTTP/1.1 503 ")
            for one in held:
                one.close()
            wait_until(lambda: service.metric('mien_refusals_total{reason="connections"}') >= 1)
            assert service.send_raw(portrait()).status == 200

    @pytest.mark.slow
    def test_slow_bodies_take_no_place_in_the_queue(self) -> None:
        with running(Settings(threads=1, queue=4, max_images=4)) as service:
            slow = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
            for one in slow:
                one.sendall(_POST + b"Content-Length: 99\r\n\r\nx")
            wait_until(lambda: service.metric("mien_held_bytes") == 20)
            assert service.metric("mien_queue") == 0
            assert service.send_raw(portrait()).status == 200
            for one in slow:
                one.close()

    @pytest.mark.slow
    def test_responses_stop_when_the_client_does_not_read(self) -> None:
        """Otherwise the system would buffer megabytes of responses per connection, and other clients would wait."""
        name = 'mien_requests_total{route="/openapi.json",status="200"}'
        with running(Settings(threads=1)) as service, socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", service.port))
            one.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
            wait_until(lambda: service.metric(name) > 1)
            time.sleep(0.5)
            assert service.metric(name) < 40

    @pytest.mark.slow
    def test_a_body_in_tiny_chunks_is_refused_and_does_not_block_others(self) -> None:
        with running(Settings(threads=1)) as service:
            ended = threading.Event()

            def attack() -> None:
                while not ended.is_set():
                    with (
                        suppress(OSError),
                        raw(service, _POST + b"Transfer-Encoding: chunked\r\n\r\n") as one,
                    ):
                        for _ in range(50):
                            one.sendall(b"1\r\nx\r\n" * 10_000)

            attacks = [threading.Thread(target=attack) for _ in range(2)]
            for one in attacks:
                one.start()
            slowest = 0.0
            for _ in range(20):
                began = time.monotonic()
                assert service.get("/health/live").status == 200
                slowest = max(slowest, time.monotonic() - began)
            ended.set()
            for one in attacks:
                one.join()
            assert slowest < 1
            assert service.metric('mien_refusals_total{reason="protocol"}') > 1

    @pytest.mark.slow
    def test_a_body_in_chunks_of_normal_size_is_accepted(self) -> None:
        data, piece = portrait() + bytes(300_000), 200
        head = _POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        with running(Settings(threads=1)) as service, raw(service, head) as one:
            for at in range(0, len(data), piece):
                part = data[at : at + piece]
                one.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            one.sendall(b"0\r\n\r\n")
            assert read_all(one).startswith(b"HTTP/1.1 200 ")

    def test_connection_limits_stay_below_the_file_descriptor_limit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
        assert connections.connection_limits(512) == (128, 64)
        monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
        assert connections.connection_limits(512) == (512, 512)


@pytest.mark.slow
def test_the_service_recovers_when_idle_connections_use_up_its_file_descriptors() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)); "
    code = limit + "from mien.__main__ import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", "0", "--header-timeout", "2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = [process.stderr.readline()]
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
    reader.start()
    service = Running(int(said[0].partition(" - ")[0].rpartition(":")[2]))
    held = []
    try:
        wait_until(lambda: service.get("/health/ready").status == 200)
        held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(150)]
        time.sleep(5)
        assert service.get("/health/live").status == 200
    finally:
        for one in held:
            one.close()
        process.terminate()
        process.wait(40)
        reader.join(10)
        process.stderr.close()
    assert sum(map(len, said)) < 100_000


def _body(service: Running) -> bytes:
    return _POST + b"Content-Length: 99999\r\n\r\nx"


@cache
def _video() -> bytes:
    """A request with a video that takes longer than the grace period of shutdown."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with VideoWriter(path, 25, (640, 480)) as writer:
            for i in range(400):
                writer.write(np.full((480, 640, 3), i % 256, np.uint8))
        data = path.read_bytes()
    head = _POST.replace(b"recognize", b"recognize/video").replace(b"image/jpeg", b"video/mp4")
    return head + b"Content-Length: %d\r\n\r\n" % len(data) + data


@cache
def _costly_image() -> bytes:
    """A request with a progressive image of many pixels."""
    data = encoded(Image.effect_noise((4000, 5000), 50), "JPEG", progressive=True, quality=20)
    return _POST + b"Content-Length: %d\r\n\r\n" % len(data) + data


_STATES: dict[str, Callable[[Running], bytes]] = {
    "costly images": lambda _: _costly_image(),
    "silent connections": lambda _: b"",
    "unfinished headers": lambda _: b"GET / HTTP/1.1\r\nX: ",
    "unfinished bodies": _body,
    "tiny chunks": lambda _: _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500,
    "videos in progress": lambda _: _video(),
    "unread responses": lambda _: b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 800,
}


@pytest.mark.slow
@pytest.mark.parametrize("state", _STATES)
def test_sigterm_stops_the_service_within_the_grace_period(state: str) -> None:
    with serving("--deadline", "2") as service:
        held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
        for one in held:
            one.settimeout(0.5)
            with suppress(OSError):
                one.sendall(_STATES[state](service))
        time.sleep(0.3)
        assert _seconds_to_end(service) < 2 + 1 + 3 + 1
        assert (
            service.process.returncode == 0
        )  # it exits by itself, not by the alarm that would end it otherwise
        for one in held:
            one.close()


def _seconds_to_end(service: Process) -> float:
    began = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(60)
    return time.monotonic() - began


class TestLog:
    def test_excess_log_messages_are_dropped_and_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        limit = LogLimit(most=50, most_faults=3)

        def record(level: int) -> logging.LogRecord:
            return logging.LogRecord("mien", level, "", 0, "of %s", ("a kind",), None)

        assert [limit.filter(record(logging.WARNING)) for _ in range(5)] == [True] * 3 + [False] * 2
        assert sum(limit.filter(record(logging.INFO)) for _ in range(100)) == 47
        now[0] += 11
        told = record(logging.INFO)
        assert limit.filter(told)
        assert told.getMessage() == "of a kind (55 messages before this one were left out)"
        assert limit.filter(record(logging.ERROR))
