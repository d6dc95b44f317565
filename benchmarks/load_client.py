"""The client of `benchmarks/load.py`: images, connections and the tally of responses."""

from __future__ import annotations

import asyncio
import io
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEIGHT = 160
_HEAD = (
    "POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
)


def make_images() -> list[bytes]:
    """Return eight JPEG files of one face."""
    import matplotlib.cbook
    from PIL import Image, ImageEnhance, ImageOps

    image = Image.open(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))).convert(
        "RGB"
    )
    image.thumbnail((HEIGHT, HEIGHT))
    files = []
    for shade in (0.8, 0.95, 1.1, 1.25):
        for turned in (image, ImageOps.mirror(image)):
            file = io.BytesIO()
            ImageEnhance.Brightness(turned).enhance(shade).save(file, "JPEG", quality=90)
            files.append(file.getvalue())
    return files


class Connection:
    """A persistent connection, reopened if it is lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request; return status, headers and complete body of the response."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers, body

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


@dataclass
class Tally:
    """The results of some requests."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    in_flight: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)
    done: int = 0
    wrong: int = 0
    asked_again: int = 0
    without_retry_after: int = 0

    def add(self, status: int, seconds: float) -> None:
        """Add a response."""
        self.done += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.setdefault(status, []).append(seconds)

    def milliseconds(self, status: int) -> dict[str, float]:
        """Return the 50th, 90th and 99th percentile and the maximum."""
        values = sorted(self.seconds.get(status, [0.0]))
        return {
            name: round(1e3 * values[min(int(share * len(values)), len(values) - 1)], 1)
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
        }


class Load:
    """Send images over many connections at once.

    Args:
        files: JPEG files, sent in turn.
        clients: number of connections.
    """

    def __init__(self, files: list[bytes], clients: int) -> None:
        self._requests = [_HEAD.format(len(data)).encode() + data for data in files]
        self._expected = [expected(data) for data in files]
        self._clients = clients

    def run(
        self, port: int, total: int, *, insist: bool = False, watch: Callable[[Tally], None] = lambda _: None
    ) -> Tally:
        """Send requests; with `insist`, retry each until it is answered.

        Args:
            port: port of the service.
            total: number of requests.
            insist: if false, a client stops when its connection is lost.
            watch: called with the tally after each response.
        """
        tally = Tally()
        asyncio.run(self._run(port, iter(range(total)), tally, insist, watch))
        return tally

    async def _run(self, port: int, numbers: Iterator[int], tally: Tally, insist: bool, watch: Any) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._client(Connection(port), numbers, tally, insist, watch))

    async def _client(
        self, line: Connection, numbers: Iterator[int], tally: Tally, insist: bool, watch: Any
    ) -> None:
        for number in numbers:
            while not await self._ask(line, number, tally):
                if not insist:
                    tally.unanswered.add(number)
                    return
                tally.asked_again += 1
                await asyncio.sleep(0.05)
            watch(tally)
        line.close()

    async def _ask(self, line: Connection, number: int, tally: Tally) -> bool:
        """Send one request; return whether there was a response."""
        which, began = number % len(self._requests), time.perf_counter()
        tally.in_flight.add(number)
        try:
            status, headers, body = await line.ask(self._requests[which])
        except (OSError, asyncio.IncompleteReadError):
            return False
        finally:
            tally.in_flight.discard(number)
        tally.add(status, time.perf_counter() - began)
        if status == 200:
            tally.wrong += not same_face(json.loads(body), self._expected[which])
        elif "retry-after" not in headers:
            tally.without_retry_after += 1
        return True


def expected(data: bytes) -> dict[str, Any]:
    """Return the face as the recognizer finds it without the service."""
    from mien import Recognizer

    (face,) = Recognizer(threads=1)(data)
    return face.to_dict()


def same_face(answer: dict[str, Any], face: dict[str, Any]) -> bool:
    """Return whether a response contains exactly that face."""
    faces = answer["images"][0]["faces"]
    return (
        len(faces) == 1 and faces[0]["box"] == face["box"] and abs(faces[0]["score"] - face["score"]) < 1e-3
    )
