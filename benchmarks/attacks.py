"""Honest callers beside attackers: how long they wait beside each of six attacks, and how the service ends then.

usage: python benchmarks/attacks.py [--requests 300] [--out benchmarks/results/attacks.json]

For each attack there is a new `mien serve`. Four honest clients send the portrait one image after the other, and one
attacker (with as many connections as the attack needs) goes on from the beginning to the end. p99 of the honest
requests should stay under three times the quiet one, and `/health/live` under a second. At the end the service gets
SIGTERM in the middle of the attack and must end within its grace.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import statistics
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load import PACKAGES, Service
from load_client import Connection, Load, make_images
from machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
DEADLINE = 10


def send(port: int, data: bytes, path: bytes = b"/v1/recognize") -> None:
    """One request, its answer read."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 30) as line:
        line.sendall(HEAD % path + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        while line.recv(65536):
            pass


def redirecting_video(port: int, stop: threading.Event) -> None:
    """1: a Matroska header followed by SDP that names UDP ports."""
    sdp = b"\x1aE\xdf\xa3\nv=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    while not stop.is_set():
        send(port, sdp, b"/v1/recognize/video")


def claiming_video(port: int, stop: threading.Event) -> None:
    """2: an MP4 whose sample table claims 80 million samples."""
    stsz = struct.pack(">I4sIII", 20, b"stsz", 0, 1, 80_000_000)
    boxes = stsz
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        boxes = struct.pack(">I4s", 8 + len(boxes), name) + boxes
    data = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom") + boxes
    while not stop.is_set():
        send(port, data, b"/v1/recognize/video")


def costly_image(port: int, stop: threading.Event) -> None:
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


def tiny_chunks(port: int, stop: threading.Event) -> None:
    """4: a body in chunks of one byte."""
    chunks = b"1\r\nx\r\n" * 10_000
    while not stop.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(HEAD % b"/v1/recognize" + b"Transfer-Encoding: chunked\r\n\r\n")
            while not stop.is_set():
                line.sendall(chunks)


def slow_bodies(port: int, stop: threading.Event) -> None:
    """5: 60 bodies that come a byte a second."""
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


def no_readers(port: int, stop: threading.Event) -> None:
    """6: 60 connections that ask for much and read nothing."""
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


ATTACKS: dict[str, Callable[[int, threading.Event], None] | None] = {
    "quiet": None,
    "redirecting video": redirecting_video,
    "claiming video": claiming_video,
    "costly image": costly_image,
    "tiny chunks": tiny_chunks,
    "slow bodies": slow_bodies,
    "no readers": no_readers,
}


def measure(
    load: Load, requests: int, attack: Callable[[int, threading.Event], None] | None
) -> dict[str, Any]:
    """Honest requests beside one attack, and SIGTERM in its middle."""
    service, stop, health = Service("--deadline", str(DEADLINE)), threading.Event(), []
    load.run(service.port, 20)
    attacker = threading.Thread(target=attack, args=(service.port, stop), daemon=True) if attack else None
    if attacker:
        attacker.start()
        time.sleep(1)

    def watch_health() -> None:
        while not stop.is_set():
            began = time.monotonic()
            with suppress(OSError, asyncio.IncompleteReadError):
                asyncio.run(
                    Connection(service.port).ask(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                )
            health.append(time.monotonic() - began)
            time.sleep(0.1)

    watcher = threading.Thread(target=watch_health, daemon=True)
    watcher.start()
    tally = load.run(service.port, requests, insist=True)
    began = time.monotonic()
    code = service.end(signal.SIGTERM)
    seconds = time.monotonic() - began
    stop.set()
    return {
        "statuses": tally.statuses,
        "wrong": tally.wrong,
        "milliseconds": tally.milliseconds(200),
        "health_seconds_median_and_most": [round(statistics.median(health), 3), round(max(health), 3)],
        "seconds_to_end": round(seconds, 1),
        "exit_code": code,
    }


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", nargs="*", help="names of attacks, besides quiet")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = {
        name: attack
        for name, attack in ATTACKS.items()
        if not options.only or name in ("quiet", *options.only)
    }
    load = Load(make_images(), 4)
    results: dict[str, Any] = {
        name: measure(load, options.requests, attack) for name, attack in ATTACKS.items()
    }
    quiet = results["quiet"]["milliseconds"]["p99"]
    for name in chosen:
        results[name]["p99_to_quiet"] = round(results[name]["milliseconds"]["p99"] / quiet, 2)
    results["deadline"] = DEADLINE
    results["machine"] = describe_machine(PACKAGES)
    text = json.dumps(results, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
