"""Measure throughput and memory of `mien batch` with each engine, compared with a plain loop.

    python benchmarks/make_photos.py photos 1000
    python benchmarks/batch_jobs.py photos --runs loop local:1 local:2 ray:2 --json benchmarks/results/batch.json

The loop reads each file and calls `mien.Recognizer` on one thread. Seconds are wall-clock time; processor seconds are
the CPU time of all processes of a run and hardly depend on other load. Stages are per image: CPU time for the loop,
wall-clock time for the other runs. Memory is the peak resident set size of each process, sampled once a second.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

_LOOP = """
import json, sys, time
from pathlib import Path
import mien
from mien.bulk.recognizing import TimedDetector
from mien.images import read_image
from mien.recognition.detection import CenterFace

detector = TimedDetector(CenterFace(threads=1), time.process_time)
recognizer = mien.Recognizer(detector=detector, threads=1)
paths, decode, whole = sorted(Path(sys.argv[1]).rglob("*.jpg")), 0.0, time.process_time()
started, first = time.perf_counter(), time.process_time()
for path in paths:
    before = time.process_time()
    image = read_image(path.read_bytes())
    decode += time.process_time() - before
    recognizer(image)
total = time.process_time() - first
stages = {"decode": decode, "detect": detector.seconds, "classify": total - decode - detector.seconds}
print(json.dumps({"seconds": time.perf_counter() - started, "stages": stages}))
"""


@dataclass
class Watched:
    """CPU time and memory of a process and its descendants.

    Args:
        cpu: CPU seconds by process id.
        peaks: peak resident bytes by process id.
        names: the last 60 characters of the command line by process id.
        samples: seconds since the start, and resident bytes of the driver and of the largest worker.
    """

    cpu: dict[int, float] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    samples: list[tuple[float, int, int]] = field(default_factory=list)

    def look(self, root: psutil.Process, seconds: float) -> None:
        """Take one sample."""
        sizes: dict[int, int] = {}
        for one in [root, *root.children(recursive=True)]:
            try:
                with one.oneshot():
                    times, size = one.cpu_times(), one.memory_info().rss
                    self.names.setdefault(one.pid, " ".join(one.cmdline())[-60:])
            except psutil.Error:
                continue
            self.cpu[one.pid] = times.user + times.system
            self.peaks[one.pid] = max(size, self.peaks.get(one.pid, 0))
            sizes[one.pid] = size
        workers = [size for pid, size in sizes.items() if "bulk.worker" in self.names.get(pid, "")]
        self.samples.append((round(seconds, 1), sizes.get(root.pid, 0), max(workers, default=0)))


def watch(command: list[str]) -> tuple[str, float, Watched]:
    """Run a command; return its output, elapsed seconds, and resource use."""
    watched, started = Watched(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        root = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                watched.look(root, time.perf_counter() - started)
            except psutil.Error:
                break
            time.sleep(1)
        printed = running.stdout.read() if running.stdout else ""
    return printed, time.perf_counter() - started, watched


def measure(photos: Path, run: str, keep: Path | None = None) -> dict[str, Any]:
    """Measure one run: `loop`, or an engine and its number of workers such as `local:2`.

    Args:
        photos: folder with the images.
        run: the run.
        keep: output folder of the job; by default a temporary one.
    """
    load = os.getloadavg()[0]
    images = sum(1 for _ in photos.rglob("*.jpg"))
    if run == "loop":
        printed, _, watched = watch([sys.executable, "-c", _LOOP, str(photos)])
        told = json.loads(printed)
        seconds, stages = told["seconds"], told["stages"]
    else:
        engine, _, workers = run.partition(":")
        with tempfile.TemporaryDirectory(prefix="mien-batch-") as temporary:
            out = keep / f"{photos.name}-{engine}-{workers}" if keep else Path(temporary, "out")
            command = [sys.executable, "-m", "mien", "batch", str(photos), "--out", str(out), "--json"]
            printed, _, watched = watch([*command, "--engine", engine, "--workers", workers])
            summary = json.loads(printed)
            assert summary["done"] == images
            seconds, stages = summary["seconds"], summary["stages"]
    workers_peak = [size for pid, size in watched.peaks.items() if "bulk.worker" in watched.names[pid]]
    cpu = sum(watched.cpu.values())
    return {
        "run": run,
        "images": images,
        "seconds": round(seconds, 1),
        "images_per_second": round(images / seconds, 2),
        "processor_seconds": round(cpu, 1),
        "processor_ms_per_image": round(1000 * cpu / images, 1),
        "stages": {name: round(1000 * value / images, 1) for name, value in stages.items()},
        "peak_mb_driver": round(max((one[1] for one in watched.samples), default=0) / 1e6),
        "peak_mb_worker": round(max(workers_peak, default=0) / 1e6),
        "load_before": round(load, 1),
        "samples": watched.samples[:: max(1, len(watched.samples) // 300)],
    }


def compare_rows(folders: list[Path]) -> str:
    """Return a sentence on whether several jobs over the same images have the same rows."""
    first, *others = (pq.read_table(folder / "rows").sort_by("id") for folder in folders)
    different = [folder.name for folder, table in zip(folders[1:], others, strict=True) if table != first]
    ids = len(set(first["id"].to_pylist()))
    told = f"{first.num_rows:,} rows of {ids:,} inputs in {folders[0].name}; "
    return told + (f"different in {', '.join(different)}" if different else "the same rows in all jobs")


def label_of(result: dict[str, Any]) -> str:
    """Return the label of a run, such as `300 images, 2 workers`."""
    workers = int(result["run"].partition(":")[2])
    engine = "Ray, " if result["run"].startswith("ray") else ""
    return f"{engine}{result['images']:,} images, {workers} worker{'' if workers == 1 else 's'}"


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Plot memory over time of the driver and the largest worker of each run."""
    import matplotlib.pyplot as plt

    shown = [one for one in results if one["run"] != "loop"]
    figure, panels = plt.subplots(
        1, len(shown), figsize=(3.2 * len(shown), 3.2), sharey=True, squeeze=False, layout="constrained"
    )
    for one, axes in zip(shown, panels[0], strict=True):
        minutes = [row[0] / 60 for row in one["samples"]]
        axes.plot(minutes, [row[2] / 1e6 for row in one["samples"]], lw=0.8, label="largest worker")
        axes.plot(minutes, [row[1] / 1e6 for row in one["samples"]], lw=1.2, label="driver")
        axes.set(title=label_of(one), xlabel="minutes", ylim=(0, None), xlim=(0, minutes[-1]))
        axes.title.set_fontsize(9)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("resident memory (MB)")
    panels[0][0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print a table, and write the requested files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--runs", nargs="+", default=["loop", "local:1", "local:2", "ray:2"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument(
        "--keep", type=Path, help="keep the outputs of the jobs in this folder and compare their rows"
    )
    given = parser.parse_args()
    results = []
    print(
        f"{'run':<9}{'images':>8}{'seconds':>9}{'per s':>8}{'CPU ms':>8}{'driver MB':>11}{'worker MB':>11}{'load':>6}"
    )
    for photos in given.photos:
        for run in given.runs:
            one = measure(photos, run, given.keep)
            results.append(one)
            print(
                f"{one['run']:<9}{one['images']:>8,}{one['seconds']:>9.1f}{one['images_per_second']:>8.1f}"
                f"{one['processor_ms_per_image']:>8.1f}{one['peak_mb_driver']:>11,}{one['peak_mb_worker']:>11,}"
                f"{one['load_before']:>6.1f}",
                flush=True,
            )
        folders = sorted(given.keep.glob(f"{photos.name}-*")) if given.keep else []
        if len(folders) > 1:
            print(compare_rows(folders))
    if given.json:
        machine = {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}
        given.json.write_text(json.dumps({"machine": machine, "runs": results}, indent=1) + "\n")
    if given.figure:
        draw(results, given.figure)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


if __name__ == "__main__":
    main()
