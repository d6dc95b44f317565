"""Estimate time and cost of large batch jobs from measured seconds per stage, with a simulation of one worker.

    python benchmarks/batch_scale.py benchmarks/results/batch.json
    python benchmarks/batch_scale.py --check
    python benchmarks/batch_scale.py --measure-listing 50000 --json benchmarks/results/batch_listing.json

A worker reads inputs with 8 threads, at most 16 inputs ahead, and recognizes them sequentially on one core. A read takes
the latency of the object store plus the transfer time at the worker's share of the machine's network bandwidth.
Throughput scales with the number of workers until the network of their machines or the request rate of the store is
exhausted; the first limit reached is the bottleneck.

Before that, the driver lists the inputs, writes the manifest and divides it into tasks, sequentially, with one request
to the store per 1,000 objects, and eight at once that write the tasks. `--measure-listing` measures this.

`--check` runs real jobs whose workers and store only sleep, and prints the results next to the simulation; it takes
about three minutes on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from machine import describe_machine

THREADS, AHEAD = 8, 16
STAGES = ("decode", "detect", "classify")
LISTED = Path(__file__).with_name("results") / "batch_listing.json"
PAGE = 1000  # objects per request that lists a bucket
JOBS = ((10**6, 16, 1), (10**6, 64, 1), (10**8, 1024, 1), (10**10, 16384, 100))
"""Images, workers and the number of jobs, with a driver each, into which they are split."""


@dataclass(frozen=True)
class Site:
    """The machines and the object store of a job.

    Args:
        cores: cores per machine; one worker runs on each.
        network: network bandwidth per machine, in bytes per second.
        latency: time to first byte of the object store, in seconds.
        requests: request rate limit of the store per prefix, per second; S3 guarantees 5,500.
        prefixes: number of prefixes over which the inputs are distributed.
        core_hour: price per core and hour, in dollars.
        thousand_reads: price of 1,000 GET requests, in dollars.
        listing: CPU time of the driver per input for listing, manifest and tasks, in seconds; by default as measured.
    """

    cores: int = 16
    network: float = 12.5e9 / 8
    latency: float = 0.06
    requests: float = 5500.0
    prefixes: int = 1
    core_hour: float = 0.04
    thousand_reads: float = 0.0004
    listing: float = field(
        default_factory=lambda: 1 / float(json.loads(LISTED.read_text())["both_per_cpu_second"])
    )


def simulate(seconds: float, latency: float, transfer: float, images: int = 2000) -> float:
    """Return the images per second of one worker.

    Args:
        seconds: compute time per image.
        latency: time to first byte per image, in seconds.
        transfer: transfer time per image, in seconds.
        images: number of simulated images.
    """
    threads = [0.0] * THREADS
    finished: list[float] = []
    clock = 0.0
    for number in range(images):
        room = finished[number - AHEAD] if number >= AHEAD else 0.0
        begun = max(heapq.heappop(threads), room)
        come = begun + latency + transfer
        heapq.heappush(threads, come)
        clock = max(clock, come) + seconds
        finished.append(clock)
    return images / clock


def bottleneck(stages: dict[str, float], size: float, workers: int, site: Site) -> tuple[float, str]:
    """Return the images per second of a job, and its bottleneck.

    Args:
        stages: seconds per image of `decode`, `detect` and `classify`.
        size: bytes per image.
        workers: number of workers, one per core.
        site: the machines and the object store.
    """
    machines = max(1, -(-workers // site.cores))
    share = site.network / min(workers, site.cores)
    alone = simulate(sum(stages.values()), site.latency, size / share)
    compute = 1 / sum(stages.values())
    slowest = max(stages, key=stages.__getitem__)
    limits = {
        slowest if alone > 0.95 * compute else "latency": workers * alone,
        "network": machines * site.network / size,
        "object store requests": site.requests * site.prefixes,
    }
    name = min(limits, key=limits.__getitem__)
    return limits[name], name


def listing_seconds(images: int, site: Site) -> float:
    """Return the seconds that a driver needs before the first image is read.

    Args:
        images: number of images of its job, each an object of the store.
        site: the machines and the object store.
    """
    from mien.bulk.ray_tasks import TASK_INPUTS, WRITERS

    return images * (site.listing + site.latency / PAGE + site.latency / TASK_INPUTS / WRITERS)


def table(stages: dict[str, float], size: float, site: Site) -> list[dict[str, Any]]:
    """Return hours and dollars for several job sizes and numbers of workers.

    The machines are paid for while the inputs are listed, too.
    """
    rows = []
    for images, workers, jobs in JOBS:
        rate, name = bottleneck(stages, size, workers, site)
        listing = listing_seconds(images // jobs, site) / 3600
        hours = listing + images / rate / 3600
        dollars = hours * workers * site.core_hour + images / 1000 * site.thousand_reads
        rows.append(
            {
                "images": images,
                "jobs": jobs,
                "workers": workers,
                "rate": rate,
                "listing": listing,
                "hours": hours,
                "dollars": dollars,
                "bottleneck": name,
            }
        )
    return rows


def check(inputs: int) -> None:
    """Compare real jobs, whose workers and store sleep, with the simulation, and print a table."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.builders.job_inputs import SLEEPER_COMMAND

    import mien
    from mien.bulk import supervisor

    class Slow(SimpleHTTPRequestHandler):
        latency = 0.0

        def do_GET(self) -> None:
            time.sleep(self.latency)
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        for number in range(inputs):
            (root / "in" / f"{number}.jpg").write_bytes(b"x" * 1000)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=str(root / "in")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        listed = root / "list.txt"
        listed.write_text(
            "".join(f"http://127.0.0.1:{server.server_port}/{number}.jpg\n" for number in range(inputs))
        )
        print(
            f"{'workers':>8}{'compute s':>11}{'latency s':>11}{'simulated':>11}{'measured':>10}{'ratio':>7}"
        )
        for number, (workers, seconds, latency) in enumerate(
            ((1, 0.05, 0.05), (2, 0.05, 0.05), (2, 0.05, 0.8), (2, 0.02, 0.4), (2, 0.1, 0.8))
        ):
            Slow.latency = latency
            with (
                mock.patch.dict(os.environ, {"STUB_SECONDS": str(seconds)}),
                mock.patch.object(supervisor, "COMMAND", SLEEPER_COMMAND),
            ):
                summary = mien.batch(listed, root / f"out{number}", workers=workers)
            span = max(one["seconds"] for one in summary.workers.values())
            measured = summary.processed / span
            expected = workers * simulate(seconds, latency, 0.0, inputs // workers)
            print(
                f"{workers:>8}{seconds:>11.2f}{latency:>11.2f}{expected:>11.1f}{measured:>10.1f}"
                f"{measured / expected:>7.2f}"
            )
        server.shutdown()


def measure_listing(files: int) -> dict[str, Any]:
    """List local files, write the manifest and divide it, and return the rates per second and per CPU second."""
    from mien.bulk.listing import Lister
    from mien.bulk.manifest import write_manifest
    from mien.bulk.parts import Parts
    from mien.bulk.ray_cluster import Pool
    from mien.bulk.ray_tasks import store_what_is_left
    from mien.bulk.storage import Storage

    found: dict[str, Any] = {"files": files, "load_before": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        root, storage = Path(folder, "in"), Storage(str(Path(folder, "out")))
        for number in range(files):
            path = root / f"{number // 1000:04d}" / f"{number:08d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        lister = Lister()
        parts = Parts.begin(storage, 10**8, {})
        begun = time.perf_counter(), time.process_time()
        entries = lister.entries([str(root)])
        manifest = write_manifest(storage, "_mien/manifest-0000", entries, lister.passed_over)
        listed = time.perf_counter(), time.process_time()
        store_what_is_left(parts, manifest.entries(), manifest.inputs, Pool(1, None, 1))
        divided = time.perf_counter(), time.process_time()
        assert manifest.inputs == files
    for name, before, after in (
        ("list", begun, listed),
        ("divide", listed, divided),
        ("both", begun, divided),
    ):
        found[f"{name}_per_second"] = round(files / (after[0] - before[0]))
        found[f"{name}_per_cpu_second"] = round(files / (after[1] - before[1]))
    return found


def main() -> None:
    """Print the table of hours and costs, the check, or the measured rate of listing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="?", help="what benchmarks/batch_jobs.py wrote")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--inputs", type=int, default=600, help="inputs of each job of --check")
    parser.add_argument("--measure-listing", type=int, metavar="FILES", help="measure the rate of listing")
    parser.add_argument("--json", type=Path, help="file for the result of --measure-listing")
    parser.add_argument("--size", type=float, default=409e3, help="bytes per image")
    for name in ("core_hour", "thousand_reads", "latency", "network"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Site, name))
    parser.add_argument("--prefixes", type=int, default=Site.prefixes)
    given = parser.parse_args()
    if given.check:
        check(given.inputs)
        return
    if given.measure_listing:
        found = {"machine": describe_machine(["pyarrow", "ray"]), **measure_listing(given.measure_listing)}
        print(json.dumps(found, indent=1))
        if given.json:
            given.json.write_text(json.dumps(found, indent=1) + "\n")
        return
    runs = json.loads(given.results.read_text())["runs"]
    stages = next(one["stages"] for one in runs if one["run"] == "loop")
    seconds = {name: stages[name] / 1000 for name in STAGES}
    site = Site(
        core_hour=given.core_hour, thousand_reads=given.thousand_reads, latency=given.latency,
        network=given.network, prefixes=given.prefixes,
    )  # fmt: skip
    print(", ".join(f"{name} {value * 1000:.1f} ms" for name, value in seconds.items()))
    for row in table(seconds, given.size, site):
        print(
            f"{row['images']:>15,} images, {row['jobs']:>3} jobs, {row['workers']:>6,} cores: "
            f"{row['rate']:>10,.0f} per s, {row['listing']:>6,.2f} h of listing, {row['hours']:>8,.1f} h in all, "
            f"${row['dollars']:>10,.0f}, bound by {row['bottleneck']}"
        )


if __name__ == "__main__":
    main()
