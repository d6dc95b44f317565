"""Kill the driver and the workers of a batch job at random times, and compare its rows with an undisturbed job.

    python benchmarks/make_photos.py small 4000 --largest 0.4
    python benchmarks/batch_chaos.py small --engine local ray --kills 10 --json benchmarks/results/batch_chaos.json

Both engines recognize the photos with two workers. Half of the kills (SIGKILL) are sent to a worker (local engine: a
worker process; Ray: an actor or its recognition process), half to the driver and all of its descendants, as in a machine
failure; a quarter of the drivers are killed during startup. A killed driver is restarted with `--resume`. The rows of
the job must equal those of an undisturbed job of the local engine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from machine import describe_machine

ROOT = Path(__file__).parents[1]
CHANCE = random.SystemRandom()
LONGEST = {"local": 4.0, "ray": 12.0}
"""Maximum time in seconds between two kills, by engine."""

_START_SECONDS = 300.0  # timeout for a driver to start its workers

_WORKER = re.compile(r"mien\.bulk\.worker|ray::.*Recognize")


@dataclass
class Chaos:
    """The kills of a job and their effects.

    Args:
        engine: `local` or `ray`.
        inputs: number of images.
        kills: number of killed drivers and workers.
        seconds: time from the first start to the end.
        rows: number of rows at the end.
        missing: number of inputs without a row.
        twice: number of duplicate rows.
        different: number of rows that differ from those of the undisturbed job.
        runs: number of driver runs that began to recognize.
        again: minimum number of inputs that were computed again.
    """

    engine: str
    inputs: int
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    rows: int = 0
    missing: int = 0
    twice: int = 0
    different: int = 0
    runs: int = 0
    again: int = 0

    def told(self) -> str:
        """Return a summary of two lines."""
        killed = ", ".join(f"{count} {what}s" for what, count in sorted(self.kills.items()))
        return (
            f"{self.engine}: killed {killed} in {self.seconds:.0f} s; {self.runs} runs began\n"
            f"  rows: {self.rows:,} of {self.inputs:,}, missing {self.missing}, twice {self.twice}, "
            f"different {self.different}; computed again: at least {self.again:,} ({self.again / self.inputs:.1%})"
        )


def start(photos: Path, out: Path, engine: str) -> subprocess.Popen[bytes]:
    """Start or resume a job."""
    command = [sys.executable, "-m", "mien", "batch", str(photos), "--out", str(out), "--engine", engine]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [*command, "--workers", "2", "--resume", "--max-attempts", "100", "--json"],
        stdout=subprocess.DEVNULL, env=environment, start_new_session=True,
    )  # fmt: skip


def below(driver: int) -> list[psutil.Process]:
    """Return the descendant processes of a driver."""
    try:
        return psutil.Process(driver).children(recursive=True)
    except psutil.Error:
        return []


def workers_of(driver: int) -> list[psutil.Process]:
    """Return the worker processes of a driver."""
    found = []
    for one in below(driver):
        try:
            if _WORKER.search(" ".join(one.cmdline())):
                found.append(one)
        except psutil.Error:
            continue
    return found


def end(driver: subprocess.Popen[bytes]) -> None:
    """Kill a driver and its descendant processes."""
    started = below(driver.pid)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    for one in started:
        try:
            one.kill()
        except psutil.Error:
            continue


def wait(driver: subprocess.Popen[bytes], longest: float, *, for_workers: bool) -> None:
    """Wait for the workers if `for_workers`, then for a random time; return early if the driver exits."""
    until = time.monotonic() + _START_SECONDS
    while for_workers and driver.poll() is None and not workers_of(driver.pid):
        if time.monotonic() > until:
            raise SystemExit(f"no workers within {_START_SECONDS:.0f} seconds")
        time.sleep(0.2)
    until = time.monotonic() + CHANCE.uniform(0, longest)
    while time.monotonic() < until and driver.poll() is None:
        time.sleep(0.1)


def disturb(photos: Path, out: Path, chaos: Chaos, kills: int, longest: float) -> None:
    """Start a job, kill its processes `kills` times, and let it finish.

    Raises:
        SystemExit: If it ended before the last kill, or with an error.
    """
    victims = [("driver", "worker")[number % 2] for number in range(kills)]
    CHANCE.shuffle(victims)
    driver = start(photos, out, chaos.engine)
    try:
        while victims:
            victim = victims[-1]
            wait(driver, longest, for_workers=victim == "worker" or CHANCE.random() < 0.75)
            if driver.poll() is not None:
                break
            if victim == "driver":
                end(driver)
                driver = start(photos, out, chaos.engine)
            else:
                workers = workers_of(driver.pid)
                if not workers:  # killed and not restarted yet
                    continue
                CHANCE.choice(workers).kill()
            chaos.kills[victims.pop()] += 1
        if driver.wait():
            raise SystemExit(f"{chaos.engine}: the job ended with exit code {driver.returncode}")
    finally:
        if driver.poll() is None:
            end(driver)
    if victims:
        raise SystemExit(f"{chaos.engine}: the job ended after {chaos.kills.total()} kills; give more photos")


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Read all rows of a job, sorted by the id of the input."""
    table: pa.Table = pq.read_table(out / "rows")
    rows: list[dict[str, Any]] = table.sort_by("id").to_pylist()
    return rows


def measure(photos: Path, engine: str, kills: int, expected: list[dict[str, Any]], longest: float) -> Chaos:
    """Disturb one job, and compare its rows with the expected ones."""
    chaos, started = Chaos(engine, len(expected)), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mien-chaos-", ignore_cleanup_errors=True) as folder:
        out = Path(folder, "out")
        disturb(photos, out, chaos, kills, longest)
        chaos.seconds = round(time.monotonic() - started, 1)
        rows, summary = rows_of(out), json.loads((out / "summary.json").read_text())
    by_id = {row["id"]: row for row in rows}
    chaos.rows, chaos.twice = len(rows), len(rows) - len(by_id)
    chaos.missing = sum(row["id"] not in by_id for row in expected)
    chaos.different = sum(by_id[row["id"]] != row for row in expected if row["id"] in by_id)
    chaos.runs, chaos.again = summary["runs"], summary["again"]
    return chaos


def undisturbed(photos: Path) -> list[dict[str, Any]]:
    """Return the rows of a job without kills."""
    with tempfile.TemporaryDirectory(prefix="mien-chaos-") as folder:
        driver = start(photos, Path(folder, "out"), "local")
        if driver.wait():
            raise SystemExit(f"the undisturbed job ended with exit code {driver.returncode}")
        return rows_of(Path(folder, "out"))


def main() -> None:
    """Run the jobs, print a summary of each and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--engine", nargs="+", choices=tuple(LONGEST), default=["local"])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    expected = undisturbed(given.photos)
    results = []
    for engine in given.engine:
        results.append(measure(given.photos, engine, given.kills, expected, LONGEST[engine]))
        print(results[-1].told(), flush=True)
    if given.json:
        runs = [{**vars(one), "kills": dict(one.kills)} for one in results]
        about = {"machine": describe_machine(["ray", "pyarrow"]), "runs": runs}
        given.json.write_text(json.dumps(about, indent=1) + "\n")
    if any(one.missing or one.twice or one.different for one in results):
        raise SystemExit("rows are missing, repeated or different")


if __name__ == "__main__":
    main()
