"""Load-test the service over loopback: throughput, memory, overload, shutdown and kill.

usage: python benchmarks/load.py [--requests 20000] [--clients 32] [--out benchmarks/results/load.json]

The images are the portrait that comes with matplotlib (public domain), 160 pixels high, mirrored and shaded: eight in
turn. The service is `mien serve` in its own process; the clients are connections of this process and share the same
cores. Every response is read completely and must contain the same face as the recognizer returns.

- plain: a recognizer in a loop over the same files in its own process, with one thread and with all; the ratio is to
  the faster one.
- load: a fixed number of requests; each client sends its next request when it has the response. Resident memory is
  recorded during the run.
- overload: a queue of 8 places with the same clients.
- term: SIGTERM under load; requests in flight must be answered completely, and the exit code must be 0. Later requests
  are refused.
- kill: SIGKILL under load and a new service on the same port; clients retry unanswered requests until every request
  has its response.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load_client import Connection, Load, Tally, make_images
from machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = (
    "mien",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "numpy",
    "fastapi",
    "starlette",
    "uvicorn",
)
COMMAND = [sys.executable, "-m", "mien", "serve", "--port"]
PLAIN = """
import sys, time
from mien import Recognizer
images = [open(path, "rb").read() for path in sys.argv[3:]]
recognizer = Recognizer(threads=int(sys.argv[1]))
rounds = int(sys.argv[2])
faces = [recognizer(image) for image in images]
began = time.perf_counter()
for i in range(rounds):
    recognizer(images[i % len(images)])
print(rounds / (time.perf_counter() - began))
"""


def time_plain(files: list[bytes], rounds: int, threads: int, folder: Path) -> float:
    """Return the images per second of the recognizer in a loop."""
    paths = [folder / f"{i}.jpg" for i in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    command = [sys.executable, "-c", PLAIN, str(threads), str(rounds), *map(str, paths)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Service:
    """`mien serve` in its own process.

    Args:
        options: options of the command.
        port: 0 for any free port.
    """

    def __init__(self, *options: str, port: int = 0) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen([*COMMAND, str(port), *options], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        first = self.process.stderr.readline()
        found = re.search(r":(\d+) - ", first)
        if not found:
            raise SystemExit(first + self.process.stderr.read())
        self.port = int(found[1])
        asyncio.run(self._answers())
        self.start_seconds = time.perf_counter() - began
        self._drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)

    async def _answers(self) -> None:
        await Connection(self.port).ask(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the service and return its exit code."""
        self.process.send_signal(how)
        code = self.process.wait(60)
        self._drain.wait(10)
        return code


@contextmanager
def serving(*options: str) -> Iterator[Service]:
    """Run a service inside the block."""
    service = Service(*options)
    try:
        yield service
    finally:
        service.end()


def measure_load(load: Load, total: int) -> dict[str, Any]:
    """Measure throughput, latency and memory."""
    memory: dict[int, float] = {}
    with serving() as service:
        load.run(service.port, min(200, total))  # warm-up

        def watch(so_far: Tally) -> None:
            if so_far.done % max(total // 20, 1) == 0:
                memory[so_far.done] = round(service.memory(), 1)

        began = time.perf_counter()
        tally = load.run(service.port, total, watch=watch)
        seconds = time.perf_counter() - began
    settled = memory[min(memory, key=lambda done: abs(done - total // 4))]
    return {
        "requests": total,
        "statuses": tally.statuses,
        "wrong": tally.wrong,
        "unanswered": len(tally.unanswered),
        "a_second": round(total / seconds, 1),
        "milliseconds": tally.milliseconds(200),
        "memory_mb": memory,
        "grown_mb_after_a_quarter": round(memory[max(memory)] - settled, 1),
    }


def measure_overload(load: Load, total: int) -> dict[str, Any]:
    """Measure the responses under overload."""
    with serving("--queue", "8", "--max-pictures", "8") as service:
        tally = load.run(service.port, total)
    return {
        "requests": total,
        "queue": 8,
        "statuses": tally.statuses,
        "wrong": tally.wrong,
        "unanswered": len(tally.unanswered),
        "refused_without_retry_after": tally.without_retry_after,
        "milliseconds_answered": tally.milliseconds(200),
        "milliseconds_refused": tally.milliseconds(503),
    }


def measure_term(load: Load, total: int) -> dict[str, Any]:
    """Send SIGTERM while all clients wait for a response."""
    service = Service()
    in_flight: set[int] = set()

    def watch(so_far: Tally) -> None:
        if so_far.done == total // 2:
            in_flight.update(so_far.in_flight)
            service.process.send_signal(signal.SIGTERM)

    tally = load.run(service.port, total, watch=watch)
    return {
        "statuses": tally.statuses,
        "wrong_or_cut": tally.wrong,
        "in_flight_at_the_signal": len(in_flight),
        "of_these_not_answered": len(in_flight & tally.unanswered),
        "exit_code": service.process.wait(60),
    }


def measure_kill(load: Load, total: int) -> dict[str, Any]:
    """Send SIGKILL, and start a new service on the same port."""
    first = Service()
    after: list[subprocess.Popen[bytes]] = []

    def watch(so_far: Tally) -> None:
        if so_far.done == total // 2:
            first.end(signal.SIGKILL)
            after.append(subprocess.Popen([*COMMAND, str(first.port)], stderr=subprocess.DEVNULL))

    tally = load.run(first.port, total, insist=True, watch=watch)
    after[0].terminate()
    return {
        "requests": total,
        "statuses": tally.statuses,
        "asked_again": tally.asked_again,
        "wrong_or_cut": tally.wrong,
        "lost": total - tally.done,
        "exit_code_of_the_next": after[0].wait(60),
    }


def measure_start(times: int) -> float:
    """Return the median seconds from the command to the first response."""
    seconds = []
    for _ in range(times):
        with serving() as service:
            seconds.append(service.start_seconds)
    return round(statistics.median(seconds), 2)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--plain", type=int, default=2000, help="number of images of the plain loop")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = make_images()
    load, few = Load(files, options.clients), max(options.requests // 10, 200)
    with tempfile.TemporaryDirectory() as folder:
        plain = {
            name: round(time_plain(files, options.plain, threads, Path(folder)), 1)
            for name, threads in (("one_thread", 1), ("all_threads", 0))
        }
    result: dict[str, Any] = {"clients": options.clients, "plain_a_second": plain}
    result["load"] = measure_load(load, options.requests)
    result["ratio_to_plain"] = round(result["load"]["a_second"] / max(plain.values()), 2)
    result["overload"] = measure_overload(load, few)
    result["term"] = measure_term(load, few)
    result["kill"] = measure_kill(load, few)
    result["start_s"] = measure_start(5)
    for name, value in result.items():
        print(f"{name}: {json.dumps(value)}")
    if options.out:
        options.out.write_text(json.dumps({**result, "machine": describe_machine(PACKAGES)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
