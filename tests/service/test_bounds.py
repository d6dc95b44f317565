"""The service under load: a full queue, deadlines, clients that disconnect, shutdown during requests."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mien.recognition.classifier import Classifier
from mien.recognition.faces import Box, Detection
from mien.recognition.video import VideoWriter
from mien.service import engine
from mien.service.batching import Batching
from mien.service.engine import Engine
from mien.service.schemas import Options
from mien.service.settings import Settings
from tests.helpers.service_process import Reply, Running, portrait, running, wait_until


class Gate:
    """A detector that blocks until it is opened, and finds no faces."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.calls = 0

    def detect(self, image: np.ndarray) -> list[Detection]:
        if image.any():  # the service warms up with a black image
            self.calls += 1
            assert self.opened.wait(20)
        return []


@contextmanager
def gated(**settings: float) -> Iterator[tuple[Running, Gate, ThreadPoolExecutor]]:
    gate = Gate()
    options = {"threads": 1, "queue": 4, "max_images": 4, **settings}
    with ThreadPoolExecutor(8) as callers:
        try:
            with running(Settings(**options), detector=gate) as service:  # type: ignore[arg-type]
                try:
                    yield service, gate, callers
                finally:
                    gate.opened.set()
        finally:
            gate.opened.set()


def occupy(
    service: Running, callers: ThreadPoolExecutor, places: int, *, of: int = 1, data: bytes = b""
) -> list[Future[Reply]]:
    """Send requests that wait for the gate."""
    before = service.metric("mien_queue")
    files = [("a.jpg", data or portrait())] * of
    asked = [callers.submit(service.send, *files) for _ in range(places // of)]
    wait_until(lambda: service.metric("mien_queue") == before + places)
    return asked


@pytest.mark.slow
def test_a_full_queue_gives_503_with_retry_after() -> None:
    with gated() as (service, gate, callers):
        asked = occupy(service, callers, 4)
        reply = service.send_raw(portrait())
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.json["received"] == "a full queue"
        assert service.get("/health/live").status == service.get("/v1/model").status == 200
        gate.opened.set()
        assert [one.result(20).status for one in asked] == [200] * 4
        assert service.send_raw(portrait()).status == 200
        assert service.metric('mien_refusals_total{reason="queue"}') == 1
        assert service.metric("mien_queue") == 0


@pytest.mark.slow
def test_each_image_takes_one_place_in_the_queue() -> None:
    with gated() as (service, gate, callers):
        asked = occupy(service, callers, 3, of=3)
        assert service.send(("a", portrait()), ("b", portrait())).status == 503
        gate.opened.set()
        assert len(asked[0].result(20).json["images"]) == 3


@pytest.mark.slow
def test_held_bytes_limits_the_bytes_of_all_requests() -> None:
    large = portrait() + bytes(60_000)
    with gated(max_bytes=100_000, held_bytes=100_000, max_video_bytes=0) as (service, gate, callers):
        (asked,) = occupy(service, callers, 1, data=large)
        wait_until(lambda: gate.calls)
        reply = service.send_raw(large)
        assert (reply.status, reply.json["received"]) == (503, "more bytes")
        assert service.metric("mien_held_bytes") > 60_000
        gate.opened.set()
        assert asked.result(20).status == 200
        assert service.metric("mien_held_bytes") == 0


@pytest.mark.slow
def test_large_images_are_processed_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_LARGE", 10_000)
    with gated(threads=3) as (service, gate, callers):
        asked = occupy(service, callers, 3)
        wait_until(lambda: gate.calls)
        time.sleep(0.1)
        assert gate.calls == 1
        small = callers.submit(service.send_raw, portrait(side=90))
        wait_until(lambda: gate.calls == 2)
        gate.opened.set()
        assert [one.result(20).status for one in [*asked, small]] == [200] * 4


@pytest.mark.slow
def test_exceeding_the_deadline_gives_504_and_frees_the_place_in_the_queue() -> None:
    with gated(deadline=0.3) as (service, gate, _):
        began = time.monotonic()
        reply = service.send_raw(portrait())
        assert (reply.status, reply.json["expected"]) == (504, "a response within 0.3 seconds")
        assert 0.25 < time.monotonic() - began < 5
        assert service.metric("mien_queue") == 0
        gate.opened.set()
        wait_until(lambda: service.send_raw(portrait()).status == 200)


@pytest.mark.slow
@pytest.mark.parametrize("route", ["/v1/recognize", "/v1/recognize/video"])
def test_a_body_that_does_not_arrive_before_the_deadline_gives_408(route: str) -> None:
    with gated(deadline=0.2) as (service, _, _), socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
        raw.settimeout(10)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))  # to its end: the connection is closed
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"The request did not arrive within 0.2 seconds." in answer
        assert service.metric("mien_held_bytes") == 0
        assert service.metric('mien_refusals_total{reason="slow"}') == 1


@pytest.mark.slow
def test_a_queued_request_is_dropped_when_its_client_disconnects() -> None:
    with gated() as (service, gate, callers):
        asked = occupy(service, callers, 2)  # as many as there are threads
        wait_until(lambda: gate.calls == 2)
        gone = http.client.HTTPConnection("127.0.0.1", service.port)
        gone.request("POST", "/v1/recognize", portrait(), {"Content-Type": "image/jpeg"})
        wait_until(lambda: service.metric("mien_queue") == 3)
        gone.close()
        wait_until(lambda: service.metric("mien_queue") == 2)
        gate.opened.set()
        assert [one.result(20).status for one in asked] == [200, 200]
        assert gate.calls == 2
        assert service.metric('mien_requests_total{route="/v1/recognize",status="499"}') == 1


@pytest.mark.slow
def test_requests_in_progress_at_shutdown_are_finished() -> None:
    with ThreadPoolExecutor(1) as helper, gated() as (service, gate, callers):
        asked = occupy(service, callers, 4)
        helper.submit(lambda: (time.sleep(0.3), gate.opened.set()))
        port = service.port
        # Leaving the block ends the service while all four wait.
    assert [one.result(0).status for one in asked] == [200] * 4
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


class Slow:
    """A detector that takes a given number of seconds."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds

    def detect(self, image: np.ndarray) -> list[Detection]:  # noqa: ARG002
        time.sleep(self.seconds)
        return [Detection(Box(5, 5, 20, 20))]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two hundred frames."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    with VideoWriter(path, 25, (64, 48)) as writer:
        for i in range(200):
            writer.write(np.full((48, 64, 3), i, np.uint8))
    return path.read_bytes()


@pytest.mark.slow
def test_a_video_stops_when_its_client_disconnects(video: bytes) -> None:
    with running(Settings(threads=1), detector=Slow()) as service:
        gone = http.client.HTTPConnection("127.0.0.1", service.port)
        gone.request("POST", "/v1/recognize/video", video, {"Content-Type": "video/mp4"})
        answer = gone.getresponse()
        assert b'"frame": 0' in answer.readline()
        busy = service.send_raw(video, kind="video/mp4", to="/v1/recognize/video")
        assert (busy.status, busy.json["received"]) == (503, "one more")
        assert busy.json["expected"] == "at most 1 video in progress"
        assert busy.headers["retry-after"]
        answer.close()
        gone.close()
        wait_until(lambda: service.metric("mien_queue") == 0)
        assert service.metric("mien_frames_total") < 150
        assert service.metric('mien_requests_total{route="/v1/recognize/video",status="499"}') == 1
        assert service.metric('mien_requests_total{route="/v1/recognize/video",status="200"}') == 0
        end = {"done": True, "frames": 2, "error": None}  # once the thread has finished its current frame
        wait_until(lambda: service.send_raw(video, "every=100", to="/v1/recognize/video").lines[-1] == end)


@pytest.mark.slow
def test_a_video_that_exceeds_the_deadline_ends_with_an_error_line(video: bytes) -> None:
    with gated(deadline=0.3) as (service, gate, _):
        (end,) = service.send_raw(video, kind="video/mp4", to="/v1/recognize/video").lines
        assert (end["done"], end["frames"]) == (True, 0)
        assert end["error"].startswith("Processing took longer than 0.3 seconds.")
        assert service.metric('mien_refusals_total{reason="deadline"}') == 1
        gate.opened.set()


@pytest.mark.slow
def test_a_video_in_progress_at_shutdown_ends_with_an_error_line(
    video: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(1) as caller:
        with running(Settings(threads=1, deadline=1), detector=Slow(0.1)) as service:
            asked = caller.submit(service.send_raw, video, kind="video/mp4", to="/v1/recognize/video")
            wait_until(lambda: service.metric("mien_frames_total"))
            # Leaving the block ends the service, which waits for two seconds; the video would take twenty.
        *rows, end = asked.result(20).lines
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    assert 10 < len(rows) < 100
    assert (end["done"], end["frames"]) == (True, len(rows))
    assert end["error"] == "The service is shutting down. Retry later."
    said = capfd.readouterr().err
    assert re.search(r"POST /v1/recognize/video 200 .* a video \(stopped\)\n", said)
    assert "Traceback" not in said


# Faces of several requests in one call of the network


class Counting:
    """A classifier that returns the first pixel of each crop; calls block until `released` is set."""

    labels = ("a", "b")

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.released = threading.Event()

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        self.calls.append(len(crops))
        assert self.released.wait(20)
        if crops[0, 0, 0] == 255:
            raise ValueError("white")
        return np.stack([crops[:, 0, 0], 255 - crops[:, 0, 0]], axis=1).astype(np.float32)


def crops(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[:, None, None] * np.ones((1, 48, 48), np.uint8)


class Unsorted:
    """A detector that returns a small face before a large one."""

    def detect(self, _image: np.ndarray) -> list[Detection]:
        return [
            Detection(Box(5, 5, 20, 20)),
            Detection(Box(40, 40, 80, 80)),
            Detection(Box(9, 9, 40, 40), 0.4),
        ]


def test_the_largest_faces_of_any_detector_are_kept_and_come_first() -> None:
    served = Engine(Settings(model="tiny", threads=1), detector=Unsorted())
    image = np.zeros((200, 200, 3), np.uint8)
    for options, widths in [
        (Options(), [80, 40, 20]),
        (Options(max_faces=1), [80]),
        (Options(min_detection_confidence=0.5), [80, 20]),
    ]:
        (faces,) = served.find([image], options)
        assert [face.box.width for face in faces] == widths
    served.close()


def test_requests_that_wait_for_the_network_are_batched_into_one_call() -> None:
    classifier = Counting()
    observed: list[int] = []
    batching = Batching(classifier, observed.append)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batching.probabilities, crops(1))
        wait_until(lambda: classifier.calls == [1])
        rest = [pool.submit(batching.probabilities, crops(i, i + 1)) for i in range(10, 16)]
        wait_until(lambda: len(batching._waiting) == 6)
        classifier.released.set()
        assert first.result(20)[0, 0] == 1
        assert [one.result(20)[:, 0].tolist() for one in rest] == [[i, i + 1] for i in range(10, 16)]
    assert classifier.calls == observed == [1, 12]


def test_batch_size_is_limited_and_an_error_reaches_only_its_callers() -> None:
    classifier = Counting()
    batching = Batching(classifier)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batching.probabilities, crops(1))
        wait_until(lambda: classifier.calls == [1])
        large = pool.submit(batching.probabilities, crops(*[255] * 60))
        wait_until(lambda: len(batching._waiting) == 1)
        small = pool.submit(batching.probabilities, crops(*[7] * 9))
        wait_until(lambda: len(batching._waiting) == 2)
        classifier.released.set()
        with pytest.raises(ValueError, match="white"):
            large.result(20)
        assert first.result(20).tolist() == [[1, 254]]
        assert small.result(20)[:, 0].tolist() == [7] * 9
    assert classifier.calls == [1, 60, 9]


def test_batched_results_equal_those_of_the_classifier() -> None:
    classifier = Classifier(threads=1)
    batching = Batching(classifier)
    faces = np.random.default_rng(0).integers(0, 256, (40, 48, 48), dtype=np.uint8)
    expected = classifier.probabilities(faces)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: batching.probabilities(faces[i : i + 2]), range(0, 40, 2)))
    assert np.concatenate(parts) == pytest.approx(expected, abs=1e-5)
    assert batching.labels == classifier.labels


# Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": 3}, "a queue of at least max_images"),
        ({"max_bytes": 0}, "max_bytes to be a whole number, 1 or more, got 0"),
        ({"threads": -1}, "threads to be a whole number, from 0 to 256, got -1"),
        ({"threads": 257}, "threads to be a whole number, from 0 to 256, got 257"),
        ({"deadline": 0.0}, "deadline to be a number of seconds above 0"),
        ({"deadline": float("nan")}, "deadline to be a number of seconds above 0"),
        ({"held_bytes": 5}, "held_bytes of at least max_bytes and max_video_bytes"),
        ({"api_key": "short"}, "API key of at least 8 printable"),
        ({"api_key": " short \n    "}, "API key of at least 8 printable"),
        ({"api_key": "long\tenough it is"}, "at least 8 printable ASCII"),
        ({"api_key": "long enough\nit is"}, "at least 8 printable ASCII"),
        ({"api_key": "long enough\x7fit is"}, "at least 8 printable ASCII"),
        ({"api_key": "läng enough it is"}, "at least 8 printable ASCII"),
        ({"api_key": ""}, "at least 8 printable ASCII"),
        ({"api_key": 12345678}, "at least 8 printable ASCII"),
        ({"max_bytes": "5"}, "max_bytes to be a whole number, 1 or more, got '5'"),
        ({"max_bytes": 2.5}, "max_bytes to be a whole number, 1 or more, got 2.5"),
        ({"max_bytes": True}, "max_bytes to be a whole number, 1 or more, got True"),
        ({"queue": None}, "queue to be a whole number, 1 or more, got None"),
        ({"deadline": "soon"}, "deadline to be a number of seconds above 0 and up to 86,400, got 'soon'"),
        ({"deadline": None}, "deadline to be a number of seconds"),
        ({"model": None}, "model to be the name of a bundled model"),
        ({"model": ""}, "model to be the name of a bundled model"),
        ({"allow_host": "mien.example"}, r'Write it as \("mien.example.org",\)'),
        ({"allow_host": 5}, "allow_host to be a tuple of host names, got 5"),
        ({"allow_host": (None,)}, "a host name such as mien.example.org, got None"),
        ({"allow_host": ("",)}, "a host name such as mien.example.org, got ''"),
    ],
)
def test_invalid_settings_are_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**options)


@pytest.mark.slow
def test_whitespace_around_an_api_key_is_ignored() -> None:
    with running(Settings(threads=1, api_key=" a long secret \r\n")) as service:
        assert service.get("/v1/model").status == 401
        assert service.get("/v1/model", **{"X-API-Key": "a long secret"}).status == 200
        assert service.get("/v1/model", Authorization="Bearer a long secret").status == 200


def test_repr_of_settings_hides_the_api_key() -> None:
    assert "secret" not in repr(Settings(api_key="a long secret"))
