"""Compare the speed of mien and other packages in one run: cold start, faces per second, one face, a whole photo.

usage: python benchmarks/speed.py [--peer fer=/path/to/its/python] [--rounds 9] [--out FILE.json]

Each package runs in its own process (`benchmarks/peers.py`) with two threads, in turns. fer 25.10.3 needs OpenCV below
5 and setuptools below 81, so it gets an environment of its own:

    python3.11 -m venv peer && peer/bin/pip install fer==25.10.3 'opencv-contrib-python<5' 'setuptools<81'

The photo is the portrait that comes with matplotlib (public domain). Cold start is the elapsed time from the start of a
new process to the expression of the first face. Values are medians over the rounds; ratios are ratios of medians. The
other bundled models, `tiny` and `small`, are measured separately afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.cbook

from machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKER = Path(__file__).with_name("peers.py")
BATCH = 512
PACKAGES = ("mien", "onnxruntime", "opencv-python-headless", "pillow", "numpy")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}


class Worker:
    """A package in its own process.

    Args:
        name: name of the package.
        python: the interpreter in which it is installed.
        photo: the photo that it reads.
    """

    def __init__(self, name: str, python: str, photo: str) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [python, str(WORKER), name, photo],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **QUIET},
        )
        self.answer = self._read_until("ready")
        self.cold = time.perf_counter() - began

    def ask(self, order: str) -> float:
        """Send a command and wait for its result."""
        assert self._process.stdin
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return float(self._read_until(""))

    def close(self) -> None:
        """Stop the process."""
        self._process.communicate()

    def _read_until(self, prefix: str) -> str:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(prefix) and (prefix or line[:1].isdigit()):
                return line.removeprefix(prefix).strip()
        raise SystemExit("a worker process ended before it answered")


def measure(pythons: Mapping[str, str], photo: str, rounds: int) -> dict[str, Any]:
    """Return the medians for each package, measured in turns."""
    cold: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            worker = Worker(name, python, photo)
            cold[name].append(worker.cold)
            worker.close()
    workers = {name: Worker(name, python, photo) for name, python in pythons.items()}
    orders = (f"batch {BATCH}", "one", "photo")
    seconds: dict[str, dict[str, list[float]]] = {name: {order: [] for order in orders} for name in workers}
    for order in orders:
        for i in range(rounds + 1):
            for name, worker in workers.items():
                value = worker.ask(order)
                if i:  # the first is a warm-up
                    seconds[name][order].append(value)
    result = {}
    for name, worker in workers.items():
        median = {order: statistics.median(values) for order, values in seconds[name].items()}
        result[name] = {
            "first_answer": worker.answer,
            "cold_start_s": round(statistics.median(cold[name]), 3),
            "faces_a_second": round(BATCH / median[orders[0]]),
            "one_face_ms": round(1e3 * median["one"], 3),
            "photo_ms": round(1e3 * median["photo"], 2),
            "memory_mb": round(worker.ask("memory")),
            "best": {order: min(values) for order, values in seconds[name].items()},
        }
        worker.close()
    return result


def time_import(python: str, rounds: int) -> float:
    """Return the median elapsed seconds of `import mien` in a new process, without the interpreter's startup."""
    spans: dict[str, list[float]] = {"pass": [], "import mien": []}
    for _ in range(rounds):
        for code, values in spans.items():
            began = time.perf_counter()
            subprocess.run([python, "-c", code], check=True)
            values.append(time.perf_counter() - began)
    return statistics.median(spans["import mien"]) - statistics.median(spans["pass"])


def beside(peers: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """Measure mien with each bundled model and other packages, print a line for each and return the results.

    Args:
        peers: the interpreters of the other packages, by name.
        rounds: number of measurements of each.
    """
    photo = str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    packages = measure({"mien": sys.executable, **peers}, photo, rounds)
    # separately, because the threads of two ONNX Runtime sessions slow each other down
    for name in ("tiny", "small"):
        packages |= measure({name: sys.executable}, photo, rounds)
    for name, row in packages.items():
        print(
            f"{name:8} cold {row['cold_start_s']:6.2f} s   {row['faces_a_second']:6,} faces/s   one face "
            f"{row['one_face_ms']:6.2f} ms   photo {row['photo_ms']:7.1f} ms   {row['memory_mb']:5} MB   "
            f"{row['first_answer']}"
        )
    seconds = time_import(sys.executable, rounds)
    print(f"import mien takes {seconds * 1e3:.0f} ms")
    return {"import_mien_s": round(seconds, 3), "batch": BATCH, "rounds": rounds, "packages": packages}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = beside(dict(pair.split("=", 1) for pair in options.peer), options.rounds)
    if options.out:
        result = {**found, "machine": describe_machine(PACKAGES)}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
