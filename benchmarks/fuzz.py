"""Fuzz the service with mutated images and videos, and check statuses, response times and open descriptors.

usage: python benchmarks/fuzz.py [--images 20000] [--videos 2000] [--seed 1] [--out benchmarks/results/fuzz.json]
       python benchmarks/fuzz.py ... --progress fuzz-progress.json    # stopped, the same command continues

It prints a table. 20,000 images take about three minutes on two cores, 2,000 videos about twenty-five.

The service is `mien serve` in a separate process. The seeds are small generated files of every supported format; each
request is one of them with one to eight random mutations (retried after 503): flipped bits, bytes and lengths set to
extreme values, and parts that are removed, repeated or copied from another file. Checked: no status of 500 or above
except 503; no response later than two seconds after the deadline (for a video, plus the deadline of all its lines); no
lost connections; open descriptors grow by at most 4; exit code 0. The latency of `/health/live` is recorded.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzz_report import Progress, broken_limits, merged, table
from load import PACKAGES, Service
from load_client import make_images
from machine import describe_machine

DEADLINE = 15.0
VIDEO_SECONDS = 30.0
CLIENTS = 4
PART = {"images": 1000, "videos": 100}  # number of files after which the progress is saved
EXTREMES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\1",
    b"\xff\xd8\xff\xda",
)


def image_seeds() -> list[bytes]:
    """Return a face in every image format."""
    face = Image.open(io.BytesIO(make_images()[0])).convert("RGB")
    face.thumbnail((96, 96))
    seeds = []

    def add(image: Image.Image, kind: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, kind, **options)
        seeds.append(file.getvalue())

    exif = Image.Exif()
    exif[0x0112] = 6
    add(face, "JPEG", exif=exif)
    add(face, "JPEG", progressive=True)
    add(face.convert("CMYK"), "JPEG")
    add(face, "PNG")
    add(face.convert("RGBA"), "PNG", save_all=True, append_images=[face.convert("RGBA")])
    add(face, "WEBP")
    add(face, "WEBP", save_all=True, append_images=[face.rotate(9)])
    add(face.quantize(64), "GIF", save_all=True, append_images=[face.rotate(9).quantize(64)])
    add(face, "BMP")
    add(face.quantize(200), "BMP")
    add(face, "TIFF", compression="tiff_lzw")
    add(face, "TIFF", compression="jpeg")
    add(face, "AVIF")
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        add(face, "HEIF")
    except ImportError:
        pass
    return seeds


def video_seeds() -> list[bytes]:
    """Return a few moving frames in every video container."""
    from mien.recognition.video import VideoWriter

    seeds = []
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.mp4", "a.mov", "a.mkv", "a.webm"):
            with VideoWriter(Path(folder) / name, 25, (64, 48)) as writer:
                for shift in range(12):
                    writer.write(np.roll(frame, shift, 1))
            seeds.append((Path(folder) / name).read_bytes())
    return seeds


def mutated(seeds: list[bytes], rng: random.Random) -> bytes:
    """Return a random seed file with one to eight random changes; the first bytes are rarely changed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(0 if rng.random() < 0.05 else min(12, len(data) - 1), max(len(data), 13))
        change = rng.randrange(7)
        if change == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif change == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif change == 2:
            data[at : at + 4] = rng.choice(EXTREMES)
        elif change == 3:
            del data[at : at + rng.randrange(1, 64)]
        elif change == 4:
            data[at:at] = data[at : at + rng.randrange(1, 64)] * rng.randrange(1, 20)
        elif change == 5:
            other = rng.choice(seeds)
            data[at : at + rng.randrange(64)] = other[at : at + rng.randrange(64)]
        else:
            del data[rng.randrange(len(data) // 2, len(data)) :]
    return bytes(data) or b"\0"


class Fuzz:
    """Send mutated files from several threads and record the responses."""

    def __init__(self, service: Service, seed: int) -> None:
        self.service, self.seed = service, seed
        self.statuses: Counter[int] = Counter()
        self.slowest, self.errors = 0.0, 0
        self._lock = threading.Lock()

    def run(self, path: str, seeds: list[bytes], numbers: range) -> dict[str, Any]:
        """Send the files with these numbers; return the statistics of the responses and the service."""
        self.statuses, self.slowest, self.errors = Counter(), 0.0, 0
        left, memory, health = iter(numbers), [], []
        threads = [threading.Thread(target=self._send, args=(path, seeds, left)) for _ in range(CLIENTS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            asked = time.monotonic()
            self._ask("GET", "/health/live")
            health.append(time.monotonic() - asked)
            memory.append((self.service.memory(), max(children_memory(self.service.process.pid), default=0)))
            time.sleep(0.2)
        return {
            "requests": len(numbers),
            "seconds": round(time.monotonic() - began, 1),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "connection_errors": self.errors,
            "slowest_seconds": round(self.slowest, 2),
            "health_slowest_seconds": round(max(health), 3),
            "health_median_seconds": round(statistics.median(health), 4),
            "service_mb_at_first_and_most": [round(memory[0][0]), round(max(one for one, _ in memory))],
            "largest_child_mb": round(max(child for _, child in memory)),
        }

    def _send(self, path: str, seeds: list[bytes], numbers: Any) -> None:
        while True:
            with self._lock:
                number = next(numbers, None)
            if number is None:
                return
            data = mutated(seeds, random.Random(f"{self.seed} {path} {number}"))  # noqa: S311 - to be repeated
            status = 503
            while status == 503:  # busy: retry, so that every file is processed
                began = time.monotonic()
                status = self._ask("POST", path, data)
                with self._lock:
                    self.statuses[status] += 1
                    self.slowest = max(self.slowest, time.monotonic() - began)
                time.sleep(0.05 if status == 503 else 0)
            if status >= 500 and status != 503:
                Path(f"fuzz-{status}-{number}.bin").write_bytes(data)

    def _ask(self, method: str, path: str, data: bytes | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=DEADLINE + 30)
        try:
            connection.request(method, path, data, {"Content-Type": "application/octet-stream"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.errors += 1
            return 0
        else:
            return answer.status
        finally:
            connection.close()


def children_memory(pid: int) -> list[float]:
    """Return the resident memory, in MiB, of each child process."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in file.read_text().split():
                fields = Path(f"/proc/{child}/statm").read_text().split()
                found.append(int(fields[1]) * 4096 / 2**20)
        except OSError:
            continue
    return found


def descriptors(pid: int) -> int:
    """Return the number of open file descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def fuzz_service(progress: Progress, wanted: dict[str, int], seed: int) -> None:
    """Send all remaining files to one service, stop it and record its exit code."""
    service = Service("--deadline", str(DEADLINE), "--video-deadline", str(VIDEO_SECONDS), "--videos", "2")
    told = progress.told
    try:
        fuzz = Fuzz(service, seed)
        fuzz.run("/v1/recognize", image_seeds(), range(200))  # warm-up
        before = descriptors(service.process.pid)
        for kind, path, make_seeds in (
            ("images", "/v1/recognize", image_seeds),
            ("videos", "/v1/recognize/video?every=3", video_seeds),
        ):
            seeds, done = make_seeds(), progress.done(kind)
            while done < wanted[kind]:
                part = range(done, min(done + PART[kind], wanted[kind]))
                told[kind].append(fuzz.run(path, seeds, part))
                progress.keep()
                done = part.stop
                print(f"{kind}: {done:,} of {wanted[kind]:,}", file=sys.stderr)
        time.sleep(6)  # until idle connections are closed
        told["descriptors"].append([before, descriptors(service.process.pid)])
    finally:
        told["exit_codes"].append(service.end())
    progress.keep()


def main() -> None:
    """Run the fuzzer, print a table and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--videos", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--progress", type=Path, help="a file by which a run that was stopped continues")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    progress = Progress(options.progress, options.seed)
    wanted = {"images": options.images, "videos": options.videos}
    fuzz_service(progress, wanted, options.seed)
    told = progress.told
    results: dict[str, Any] = {kind: merged(told[kind]) for kind in wanted if told[kind]}
    print(table(results))
    results |= {
        "descriptors_before_and_after": told["descriptors"],
        "exit_codes": told["exit_codes"],
        "seed": options.seed,
        "deadline": DEADLINE,
        "clients": CLIENTS,
        "machine": describe_machine(PACKAGES),
    }
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    if faults := broken_limits(results, DEADLINE, VIDEO_SECONDS):
        sys.exit("; ".join(faults))


if __name__ == "__main__":
    main()
