"""Kill a batch job at random times, its driver and its workers, until it is done; compare its rows with the sources.

    python benchmarks/batch_chaos.py --kills 10 --inputs 2000

Workers sleep in place of recognizing (`--seconds` per input), so that the bookkeeping is measured: rows that are missing
or twice, and the share of rows that were computed again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
CHANCE = random.SystemRandom()
_JOB = """
import sys
from mien.bulk import supervisor
from tests.bulk.builders import STUB_COMMAND
supervisor.COMMAND = STUB_COMMAND
import mien
mien.batch(sys.argv[1], sys.argv[2], workers=2, resume=True, max_attempts=50, commit_seconds=1.0)
"""


def run(source: Path, out: Path, kills: int, seconds: float) -> dict[str, int]:
    """Start the job until it ends by itself; gives back how many drivers and workers were killed."""
    done = {"driver": 0, "worker": 0}
    environment = {**os.environ, "STUB_SECONDS": str(seconds), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    running = None
    while sum(done.values()) < kills or running is None:
        running = running or subprocess.Popen([sys.executable, "-c", _JOB, source, out], env=environment)
        time.sleep(CHANCE.uniform(2, 6))
        if running.poll() is not None:
            break
        workers = [one for one in psutil.Process(running.pid).children() if one.is_running()]
        if workers and CHANCE.random() < 0.5:
            CHANCE.choice(workers).send_signal(signal.SIGKILL)
            done["worker"] += 1
        else:
            running.send_signal(signal.SIGKILL)
            running.wait()
            running = None
            done["driver"] += 1
    if running.wait():
        raise SystemExit("the job ended with an error")
    return done


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=0.02)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        for number in range(given.inputs):
            (source / f"{number:06d}.jpg").write_bytes(str(number).encode())
        killed = run(source, out, given.kills, given.seconds)
        names = sorted(Path(uri).name for uri in pq.read_table(out / "rows").column("uri").to_pylist())
        summary = json.loads((out / "summary.json").read_text())
        wanted = sorted(path.name for path in source.iterdir())
        print(
            f"killed: {killed['driver']} drivers, {killed['worker']} workers; runs that began: {summary['runs']}"
        )
        print(f"rows: {len(names)} of {len(wanted)}, missing {len(set(wanted) - set(names))}, "
              f"twice {len(names) - len(set(names))}")  # fmt: skip
        print(f"computed again: {summary['again']} ({summary['again'] / len(wanted):.1%})")


if __name__ == "__main__":
    main()
