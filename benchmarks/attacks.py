"""Measure the latency of legitimate requests during each of six attacks on the service, and the shutdown under attack.

usage: python benchmarks/attacks.py [--requests 300] [--only NAME ...] [--out benchmarks/results/attacks.json]

It prints a table and takes about two minutes on two cores.

Each attack runs against a new `mien serve`. Four legitimate clients send the portrait, one request at a time, while one
attacker, with as many connections as the attack needs, is active throughout. The p99 latency of the legitimate requests
must stay below three times that without an attack, and `/health/live` below one second. Finally, the service receives
SIGTERM during the attack and must exit within its grace period.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import signal
import socket
import statistics
import struct
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from load import PACKAGES, Service
from load_client import Connection, Load, make_images
from machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
DEADLINE = 10


class Stop(Protocol):
    """An event that ends an attack, from `threading` or `multiprocessing`."""

    def is_set(self) -> bool:
        """Return whether to end."""


def send(port: int, data: bytes, path: bytes = b"/v1/recognize") -> None:
    """Send one request and read its response."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 30) as line:
        line.sendall(HEAD % path + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        while line.recv(65536):
            pass


def redirecting_video(port: int, stop: Stop) -> None:
    """1: a Matroska header followed by SDP that names UDP ports."""
    sdp = b"\x1aE\xdf\xa3\nv=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    while not stop.is_set():
        send(port, sdp, b"/v1/recognize/video")


def claiming_video(port: int, stop: Stop) -> None:
    """2: an MP4 whose sample table claims 80 million samples."""
    stsz = struct.pack(">I4sIII", 20, b"stsz", 0, 1, 80_000_000)
    boxes = stsz
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        boxes = struct.pack(">I4s", 8 + len(boxes), name) + boxes
    data = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom") + boxes
    while not stop.is_set():
        send(port, data, b"/v1/recognize/video")


def costly_image(port: int, stop: Stop) -> None:
    """3: JPEGs of many tiny EXIF segments, a progressive JPEG of 20 million pixels, a BMP with run-length encoding."""
    exif = b"\xff\xd8" + b"\xff\xe1\0\x08Exif\0\0" * 200_000 + b"\xff\xd9"
    bmp = (
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 7000, 7000, 1, 8, 1, 16, 0, 0, 0, 0)
        + bytes(16)
    )
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.effect_noise((4000, 5000), 50).save(file, "JPEG", progressive=True, quality=20)
    while not stop.is_set():
        for data in (exif, bmp, file.getvalue()):
            send(port, data)


def tiny_chunks(port: int, stop: Stop) -> None:
    """4: a body in chunks of one byte."""
    chunks = b"1\r\nx\r\n" * 10_000
    while not stop.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(HEAD % b"/v1/recognize" + b"Transfer-Encoding: chunked\r\n\r\n")
            while not stop.is_set():
                line.sendall(chunks)


def slow_bodies(port: int, stop: Stop) -> None:
    """5: 60 request bodies sent at one byte per second."""
    lines: list[socket.socket] = []
    while not stop.is_set():
        while len(lines) < 60:
            with suppress(OSError):
                line = socket.create_connection(("127.0.0.1", port), 5)
                line.sendall(HEAD % b"/v1/recognize" + b"Content-Length: 100000\r\n\r\n")
                lines.append(line)
        time.sleep(1)
        for line in list(lines):
            try:
                line.sendall(b"x")
            except OSError:
                line.close()
                lines.remove(line)
    for line in lines:
        line.close()


def no_readers(port: int, stop: Stop) -> None:
    """6: 60 connections that request large responses and read none."""
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
    lines: list[socket.socket] = []
    while not stop.is_set():
        while len(lines) < 60:
            with suppress(OSError):
                line = socket.socket()
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                line.settimeout(2)
                line.connect(("127.0.0.1", port))
                line.sendall(ask)
                lines.append(line)
        time.sleep(0.5)
        for line in list(lines):
            try:
                line.send(b"\r\n")
            except OSError:
                line.close()
                lines.remove(line)
    for line in lines:
        line.close()


ATTACKS: dict[str, Callable[[int, Stop], None] | None] = {
    "quiet": None,
    "redirecting video": redirecting_video,
    "claiming video": claiming_video,
    "costly image": costly_image,
    "tiny chunks": tiny_chunks,
    "slow bodies": slow_bodies,
    "no readers": no_readers,
}


def run_attack(name: str, port: int, begun: Any, stop: Any) -> None:
    """Run an attacker; it has a separate process, so that it does not slow down the measured clients."""
    attack = ATTACKS[name]
    assert attack
    begun.set()
    attack(port, stop)


@contextmanager
def attacking(name: str, port: int) -> Iterator[None]:
    """Run an attack in the background inside the block."""
    if ATTACKS[name] is None:
        yield
        return
    processes = multiprocessing.get_context("spawn")
    begun, stop = processes.Event(), processes.Event()
    attacker = processes.Process(target=run_attack, args=(name, port, begun, stop), daemon=True)
    attacker.start()
    try:
        begun.wait(60)
        time.sleep(1)
        yield
    finally:
        stop.set()
        attacker.join(10)
        attacker.kill()


class Health:
    """Request `/health/live` ten times a second."""

    def __init__(self, port: int) -> None:
        self._port, self._stop, self.seconds = port, threading.Event(), [0.0]
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            began = time.monotonic()
            with suppress(OSError, asyncio.IncompleteReadError):
                asyncio.run(
                    Connection(self._port).ask(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                )
            self.seconds.append(time.monotonic() - began)

    def end(self) -> list[float]:
        """Stop, and return median and maximum of the response times in seconds."""
        self._stop.set()
        self._thread.join(60)
        return [round(statistics.median(self.seconds), 3), round(max(self.seconds), 3)]


def measure(load: Load, requests: int, name: str) -> dict[str, Any]:
    """Measure legitimate requests during an attack, and the shutdown by SIGTERM while it continues."""
    service = Service("--deadline", str(DEADLINE))
    load.run(service.port, 20)
    with attacking(name, service.port):
        health = Health(service.port)
        tally = load.run(service.port, requests, insist=True)
        seconds_of_health = health.end()
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(60)
        seconds = time.monotonic() - began
    return {
        "statuses": tally.statuses,
        "wrong": tally.wrong,
        "milliseconds": tally.milliseconds(200),
        "health_seconds_median_and_most": seconds_of_health,
        "seconds_to_end": round(seconds, 1),
        "exit_code": code,
    }


def main() -> None:
    """Run the attacks, print a table and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", nargs="*", help="names of attacks, besides quiet")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = [name for name in ATTACKS if not options.only or name in ("quiet", *options.only)]
    load = Load(make_images(), 4)
    results: dict[str, Any] = {name: measure(load, options.requests, name) for name in chosen}
    quiet = results["quiet"]["milliseconds"]["p99"]
    for found in results.values():
        found["p99_to_quiet"] = round(found["milliseconds"]["p99"] / quiet, 2)
    print(table(results))
    results |= {
        "deadline": DEADLINE,
        "requests": options.requests,
        "machine": describe_machine(PACKAGES),
        "limits_kept": not (faults := broken_limits(results)),
    }
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    if faults:
        sys.exit("; ".join(faults))


def table(results: dict[str, Any]) -> str:
    """Format the results as a Markdown table, one row per attack."""
    lines = [
        "| attack | p50 ms | p99 ms | of quiet | slowest health s | SIGTERM to end s | exit code |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, found in results.items():
        times, (_, health) = found["milliseconds"], found["health_seconds_median_and_most"]
        lines.append(
            f"| {name} | {times['p50']:.0f} | {times['p99']:.0f} | {found['p99_to_quiet']:.2f} | {health:.2f} | "
            f"{found['seconds_to_end']:.1f} | {found['exit_code']} |"
        )
    return "\n".join(lines)


def broken_limits(results: dict[str, Any]) -> list[str]:
    """Return the violated limits on p99, health checks, shutdown, exit codes and responses."""
    faults = []
    for name, found in results.items():
        if found["p99_to_quiet"] >= 3:
            faults.append(f"{name}: p99 is {found['p99_to_quiet']} times the quiet one")
        if found["health_seconds_median_and_most"][1] >= 1:
            faults.append(f"{name}: /health/live took {found['health_seconds_median_and_most'][1]} s")
        if found["exit_code"] != 0 or found["seconds_to_end"] > DEADLINE + 4:
            faults.append(f"{name}: ended after {found['seconds_to_end']} s with {found['exit_code']}")
        if found["wrong"] or set(found["statuses"]) - {200, 503}:
            faults.append(f"{name}: answers {found['statuses']}, {found['wrong']} wrong")
    return faults


if __name__ == "__main__":
    main()
