"""Randomly corrupted uploads: no crash, no unexpected status, no memory growth and no file on disk."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.recognition.video import read_frames
from mien.service.settings import Settings
from tests.helpers.service_process import (
    FORM,
    Running,
    encoded,
    form,
    no_file_can_be_written,
    portrait,
    running,
    small_portrait,
)
from tests.service.test_serve import serving
from tests.service.test_service import animated, png_bomb

TYPES = (
    "image/jpeg",
    "image/png",
    "image/gif",
    "application/octet-stream",
    "image/x-nothing",
    "video/mp4",
    "",
)
OPTIONS = (
    "",
    "",
    "",
    "explain=true",
    "max_faces=1",
    "min_confidence=0.9",
    "taxonomy=ferplus",
    "max_faces=-1",
    "a=b",
)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 7
    return encoded(small_portrait(), "JPEG", exif=exif, comment=b"x" * 300)


@cache
def video(kind: str = "mp4", codec: str = "h264") -> bytes:
    file, form = io.BytesIO(), "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with av.open(file, "w", format=kind) as out:
        stream = out.add_stream(codec, rate=10, width=96, height=64, pix_fmt=form)
        for i in range(8):
            image = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 30 * i, np.uint8))
            out.mux(stream.encode(image.reformat(format=form)))
        out.mux(stream.encode())
    return file.getvalue()


def videos() -> list[bytes]:
    """One of each kind of video."""
    return [
        video(),
        video("webm", "vp8"),
        video("avi", "mpeg4"),
        video("mov", "mpeg4"),
        video("matroska", "mjpeg"),
    ]


def gif_bomb() -> bytes:
    """A GIF of 65,535 x 65,535 pixels in forty bytes."""
    return (
        b"GIF89a\xff\xff\xff\xff\x80\x00\x00"
        + bytes(6)
        + b",\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02D\x01\x00;"
    )


def text_chunk_bomb() -> bytes:
    """A PNG whose comment unpacks to twenty megabytes."""
    data = io.BytesIO()
    small_portrait(60).save(data, "PNG")
    text = b"zTXt" + b"Comment\x00\x00" + zlib.compress(bytes(20 << 20))
    chunk = (len(text) - 4).to_bytes(4) + text + zlib.crc32(text).to_bytes(4)
    return data.getvalue()[:33] + chunk + data.getvalue()[33:]


def originals() -> list[bytes]:
    """One valid image of each format, decompression bombs and fragments."""
    small, image = small_portrait(120), small_portrait(160)
    deep = Image.fromarray(np.asarray(small.convert("L")).astype(np.uint16) * 257)
    return [
        portrait(), encoded(image, "JPEG", progressive=True), encoded(image.convert("CMYK"), "JPEG"), turned(),
        encoded(small, "PNG"), encoded(small.convert("RGBA"), "PNG"), encoded(small.quantize(16), "PNG"),
        encoded(deep, "PNG"), animated("PNG", "RGBA"), encoded(image, "WEBP"), encoded(small, "WEBP", lossless=True),
        animated("WEBP"), encoded(image, "GIF"), animated("GIF"), encoded(small, "BMP"),
        encoded(small.convert("1"), "BMP"), encoded(small.quantize(200), "BMP"), encoded(small, "TIFF"),
        encoded(small, "AVIF"), png_bomb(60_000), png_bomb(1_900), gif_bomb(), text_chunk_bomb(),
        b"", b"\xff\xd8\xff", b"BM" + bytes(60), b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(20),
    ]  # fmt: skip


def cut(data: bytes, r: random.Random) -> bytes:
    return data[: r.randrange(len(data) + 1)]


def flip(data: bytes, r: random.Random) -> bytes:
    changed = bytearray(data)
    near = r.choice((40, 400, len(changed)))  # headers are corrupted most often
    for _ in range(r.choice((1, 2, 8, 64))):
        if changed:
            changed[r.randrange(min(near, len(changed)))] = r.choice(
                (0, 1, 0x7F, 0x80, 0xFF, r.randrange(256))
            )
    return bytes(changed)


def grow(data: bytes, r: random.Random) -> bytes:
    at, more = r.randrange(len(data) + 1), r.choice((b"\x00", b"\xff", data[:200] or b"x", r.randbytes(50)))
    return data[:at] + more * r.choice((1, 10, 200)) + data[at:]


def swap(data: bytes, r: random.Random) -> bytes:
    a, b = sorted((r.randrange(len(data) + 1), r.randrange(len(data) + 1)))
    return data[:a] + data[b:] + data[a:b]


def replace_integer(data: bytes, r: random.Random) -> bytes:
    """Replace a four-byte integer, such as a size."""
    at = r.randrange(max(len(data) - 4, 0) + 1)
    at = at % 64 if r.random() < 0.7 else at
    number = r.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 70_000))
    return data[:at] + number.to_bytes(4, r.choice(("little", "big"))) + data[at + 4 :]


def unchanged(data: bytes, r: random.Random) -> bytes:
    return data


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    unchanged,
    cut,
    flip,
    flip,
    grow,
    swap,
    replace_integer,
)


@dataclass(frozen=True)
class Mutant:
    """A request with a possibly corrupted body."""

    path: str
    body: bytes
    kind: str


def mutants(seed: int) -> Iterator[Mutant]:
    """An endless stream of requests that depends only on the seed."""
    r, images, moving = random.Random(seed), originals(), videos()  # noqa: S311 - the same each time
    while True:
        is_video = r.random() < 0.15
        files = moving if is_video else images
        data = r.choice(files)
        if r.random() < 0.03:
            data = r.choice(files)[:100] + r.choice(files)
        for _ in range(r.choice((1, 1, 2))):
            data = r.choice(CHANGES)(data, r)
        body, kind = data, r.choice(TYPES)
        if r.random() < 0.5:
            names = ("a.jpg", "b.png", "../../x", "é\x00.gif", "a" * 300)
            parts = [(r.choice(names), data)] + [(r.choice(names), r.choice(files))] * r.choice(
                (0, 0, 0, 1, 5)
            )
            body, kind = form(*parts, name="video" if is_video else "image"), FORM
            if r.random() < 0.3:
                body = r.choice(CHANGES)(body, r)
        path = "/v1/recognize/video" if is_video else "/v1/recognize"
        yield Mutant(f"{path}?{r.choice(OPTIONS)}", body, kind)


def send_all(service: Running, some: Iterator[Mutant], threads: int = 1) -> Counter[int]:
    """Send the requests and count the statuses of the responses."""

    def send(one: Mutant) -> int:
        reply = service.ask("POST", one.path, one.body, {"Content-Type": one.kind})
        if "ndjson" not in reply.headers.get("content-type", ""):
            _ = reply.json
        elif reply.lines[-1]["done"] is not True:
            raise AssertionError("a video without an end")
        assert reply.status in {200, 413, 415, 422, 503}, (reply, one.path, one.kind, one.body[:200])
        return reply.status

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(send, some))


@pytest.mark.slow
def test_corrupted_uploads_get_results_or_client_errors() -> None:
    settings = Settings(threads=1, max_pixels=4_000_000, max_bytes=2_000_000, max_images=4, deadline=20)
    with running(settings) as service:
        expected = service.send_raw(portrait()).json
        found = send_all(service, islice(mutants(1), 150))
        assert service.send_raw(portrait()).json == expected
        assert service.metric("mien_held_bytes") == 0
    assert set(found) == {200, 413, 415, 422}
    assert all(found[status] >= 5 for status in (200, 413, 415, 422)), found


def test_a_video_with_a_negative_chunk_offset_does_not_crash_the_process() -> None:
    data = video()
    at = data.index(b"stco") + 12  # the offset of the first chunk; OpenCV reads it as -2,147,483,648
    with pytest.raises(DataError, match="expected frames, got none that can be decoded"):
        list(read_frames(io.BytesIO(data[:at] + b"\x80\0\0\0" + data[at + 4 :])))


def memory(process: int) -> int:
    """Resident memory in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


@pytest.mark.slow
def test_thousands_of_corrupted_uploads_leak_no_memory_and_write_no_files() -> None:
    limits = (
        "--videos",
        "4",
        "--max-pixels",
        "4000000",
        "--max-bytes",
        "2000000",
        "--max-images",
        "4",
        "--deadline",
        "20",
    )
    with ExitStack() as stack:
        with no_file_can_be_written():  # nor can the service, which inherits the limit
            service = stack.enter_context(serving("--threads", "2", *limits))
        expected = service.send_raw(portrait()).json
        some = mutants(5)
        found = send_all(service, islice(some, 2000), threads=4)
        settled = memory(service.process.pid)
        found += send_all(service, islice(some, 3000), threads=4)
        grown = memory(service.process.pid) - settled
        assert service.process.poll() is None
        assert service.send_raw(portrait()).json == expected
        assert service.metric("mien_held_bytes") == service.metric("mien_queue") == 0
    assert grown < 64 << 20
    assert found.total() == 5000
    assert found[200] > 500
    assert not any("Traceback" in line for line in service.said)


@pytest.mark.slow
def test_mutated_files_of_every_kind_are_answered_in_time(tmp_path: Path) -> None:
    """Run benchmarks/fuzz.py, which sends 20,000 images and 2,000 videos, with fewer files and resume it once."""
    root = Path(__file__).resolve().parents[2] / "benchmarks"
    out = tmp_path / "fuzz.json"
    for images in ("200", "400"):
        command = [
            sys.executable, str(root / "fuzz.py"), "--images", images, "--videos", "20", "--seed", "7",
            "--progress", str(tmp_path / "progress.json"), "--out", str(out),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
    assert "| images | 400 |" in done.stdout
    assert "videos" not in done.stderr  # they were finished in the first run
    found = json.loads(out.read_text())
    assert sum(found["images"]["statuses"].values()) >= 400
    assert found["images"]["largest_child_mb"] < 400
    assert found["exit_codes"] == [0, 0]
