"""A service on a real socket, and a simple client for it."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import uvicorn
from PIL import Image

from mien.recognition.detection import FaceDetector
from mien.service import server
from mien.service.app import create_app
from mien.service.settings import Settings
from tests.builders.portraits import PORTRAIT

BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body, parsed as strict JSON."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.body, parse_constant=refuse)

    @property
    def lines(self) -> list[Any]:
        """The body, parsed as JSON lines."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class Running:
    """A service running on this port."""

    port: int

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request over a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        """Send a GET request."""
        return self.ask("GET", path, headers=headers)

    def send(self, *files: tuple[str, bytes], options: str = "", to: str = "/v1/recognize") -> Reply:
        """POST files as multipart/form-data."""
        name = "video" if to.endswith("video") else "image"
        return self.ask("POST", f"{to}?{options}", form(*files, name=name), {"Content-Type": FORM})

    def send_raw(
        self, data: bytes, options: str = "", *, kind: str = "image/jpeg", to: str = "/v1/recognize"
    ) -> Reply:
        """POST one file as the request body."""
        return self.ask("POST", f"{to}?{options}", data, {"Content-Type": kind})

    def metric(self, name: str) -> float:
        """The value of a metric, or 0."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0


def form(*files: tuple[str, bytes], name: str = "image") -> bytes:
    """A multipart/form-data body."""
    head = '--{}\r\nContent-Disposition: form-data; name="{}"; filename="{}"\r\n\r\n'
    parts = [head.format(BOUNDARY, name, file).encode() + data + b"\r\n" for file, data in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def running(
    settings: Settings | None = None,
    *,
    detector: FaceDetector | None = None,
    around: Callable[[Any], Any] = lambda app: app,
) -> Iterator[Running]:
    """Run a service with these settings in a thread; `around` may wrap its application."""
    settings = settings or Settings(threads=2)
    listener = server.bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app = around(create_app(settings, detector=detector))
    instance = uvicorn.Server(server.configure(app, settings, workers=1))
    thread = threading.Thread(target=instance.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: instance.started)
        yield Running(port)
    finally:
        instance.should_exit = True
        thread.join(30)


@contextmanager
def no_file_can_be_written() -> Iterator[None]:
    """Keep this process and its children from writing to any file, with a resource limit."""
    import resource  # which Windows lacks

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wait_until(true: Any, seconds: float = 60) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@cache
def portrait(kind: str = "JPEG", side: int = 200, **options: Any) -> bytes:
    """The portrait as a small image file."""
    return encoded(small_portrait(side), kind, **options)


@cache
def small_portrait(side: int = 200) -> Image.Image:
    """The portrait, resized so that its longer side has this many pixels."""
    image = Image.open(PORTRAIT).convert("RGB")
    image.thumbnail((side, side))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image, encoded as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
