"""Time the loading of FER2013's CSV: mien without a cache, mien with its cache, and the usual notebook code.

    python benchmarks/table_loading.py fer2013.csv --out benchmarks/results/loading.json

Every measurement runs in its own process, in turns, so that none has an advantage. Timing starts after the imports and
ends with the arrays in memory; the file is in the page cache. Peak memory is that of the process, with and without the
imports. All variants must return the same pixels. The notebook code is that of public FER2013 notebooks:
`pandas.read_csv`, then the text of each row is split and converted to an array; both common variants are measured,
with uint8 to their advantage.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

PACKAGES = ("mien", "numpy", "pandas")


def read_with_mien(path: Path, *, cache: bool) -> Callable[[], NDArray[np.uint8]]:
    """Return the public function, `mien.data.load`, for a file."""
    import mien.data

    return lambda: mien.data.load(path, cache=cache).images


def read_with_int(path: Path) -> Callable[[], NDArray[np.uint8]]:
    """Return the notebook code with `int` for every pixel."""
    import numpy as np
    import pandas as pd

    def read() -> NDArray[np.uint8]:
        faces = [
            np.array([int(pixel) for pixel in text.split(" ")], np.uint8).reshape(48, 48)
            for text in pd.read_csv(path)["pixels"].tolist()
        ]
        return np.stack(faces)

    return read


def read_with_array(path: Path) -> Callable[[], NDArray[np.uint8]]:
    """Return the notebook code with `np.array` of the split text."""
    import numpy as np
    import pandas as pd

    def read() -> NDArray[np.uint8]:
        texts = pd.read_csv(path)["pixels"]
        return np.stack([np.array(text.split(), dtype=np.uint8).reshape(48, 48) for text in texts])

    return read


WAYS: dict[str, Callable[[Path], Callable[[], NDArray[np.uint8]]]] = {
    "mien, no cache": lambda path: read_with_mien(path, cache=False),
    "mien, first load": lambda path: read_with_mien(path, cache=True),
    "mien, cached": lambda path: read_with_mien(path, cache=True),
    "notebook, int": read_with_int,
    "notebook, np.array": read_with_array,
}


def measure_here(way: str, path: Path) -> dict[str, float]:
    """Measure seconds, CPU seconds, peak memory in bytes and the sum of all pixels of one variant, in this process."""
    read = WAYS[way](path)
    imported = _peak_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    images = read()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _peak_bytes()
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_bytes": peak,
        "peak_above_imports_bytes": peak - imported,
        "array_bytes": images.nbytes,
        "pixel_sum": int(images.sum(dtype="int64")),
    }


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure_apart(way: str, path: Path, cache: Path) -> dict[str, float]:
    """Measure one variant in a new process."""
    command = [sys.executable, __file__, str(path), "--way", way]
    done = subprocess.run(
        command, env=os.environ | {"MIEN_CACHE": str(cache)}, capture_output=True, text=True, check=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def measure_all(path: Path, repeats: int, notebook_repeats: int) -> dict[str, list[dict[str, float]]]:
    """Run every variant, in turns."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for turn in range(repeats):
        with tempfile.TemporaryDirectory() as cache:  # the cache is empty at the first load of each turn
            for way in WAYS:
                if turn < (notebook_repeats if way.startswith("notebook") else repeats):
                    runs[way].append(measure_apart(way, path, Path(cache)))
                    print(f"{way:20s} {runs[way][-1]['seconds']:7.2f} s", file=sys.stderr)
    sums = {run["pixel_sum"] for way in runs.values() for run in way}
    if len(sums) != 1:
        raise SystemExit(f"The variants do not return the same pixels: {sums}")
    return runs


def summarise(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Return the medians of several runs of one variant."""
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "pixel_sum"}
    return medians | {"all_seconds": [round(run["seconds"], 3) for run in runs]}


def warm_page_cache(path: Path) -> None:
    """Read a file once, in chunks; on Linux, a process inherits the peak memory of its parent."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print one line per variant; `times` is the time relative to mien without a cache."""
    unit = results["mien, no cache"]["seconds"]
    print(f"{'way':20s} {'seconds':>8s} {'times':>7s} {'cpu s':>7s} {'peak MB':>8s} {'over imports':>13s}")
    for way, result in results.items():
        print(
            f"{way:20s} {result['seconds']:8.2f} {result['seconds'] / unit:7.2f} {result['cpu_seconds']:7.2f} "
            f"{result['peak_bytes'] / 1e6:8.0f} {result['peak_above_imports_bytes'] / 1e6:13.0f}"
        )


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", type=Path)
    parser.add_argument("--repeats", type=int, default=5, help="number of runs of each variant of mien")
    parser.add_argument(
        "--notebook-repeats", type=int, default=3, help="number of runs of each notebook variant"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure_here(arguments.way, arguments.csv)))
        return
    warm_page_cache(arguments.csv)
    machine = describe_machine(PACKAGES)
    runs = measure_all(arguments.csv, arguments.repeats, arguments.notebook_repeats)
    results = {way: summarise(taken) for way, taken in runs.items() if taken}
    print_table(results)
    if arguments.out:
        report = {"csv_bytes": arguments.csv.stat().st_size, "machine": machine, "results": results}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
