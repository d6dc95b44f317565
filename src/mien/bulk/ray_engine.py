"""The `ray` engine: the same functions as Ray Data tasks and actors, on this machine or a cluster.

    read_parquet(remaining manifest) → map_batches(Fetch) → map_batches(Recognize) → write_datasink(RowsSink)

Rows are committed in the same way as by the local engine (`parts`), so each engine can resume a job of the other. Write
tasks use the same file name when Ray retries them. Ray Data's own row checkpoints are not used: they commit by moving a
file, which object stores implement as copy and delete; after a kill between the two, the next run deletes the rows but
keeps their ids, and the rows are lost. They also start actors that hold all ids and reserve 1 GiB each.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mien.bulk.entries import entries_to_table
from mien.bulk.ray_stages import Fetch, Recognize, Reports, RowsSink
from mien.bulk.storage import encode_table
from mien.errors import MienError, MissingExtra
from mien.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mien.bulk.entries import Entry
    from mien.bulk.local_engine import Work
    from mien.bulk.manifest import Manifest

_BATCH = 16  # inputs per batch
_BLOCK_BYTES = 32 * 2**20  # target size of a block of fetched images
_STORE_BYTES = 2**30  # size of Ray's object store if Ray is started here
_POLL_SECONDS = 0.5
_SMALL_CPUS = 0.25  # cores reserved by a read, fetch or write task, so that it can run beside the actors


def run_ray(work: Work, manifest: Manifest, done: NDArray[np.int64]) -> None:
    """Recognize the unfinished inputs of a manifest and commit their rows.

    Args:
        work: the job.
        manifest: all inputs.
        done: sorted ids of inputs that already have a row.

    Raises:
        MissingExtra: Ray is not installed.
        MienError: the cluster cannot be reached, has another version of mien, or the job fails there.
    """
    ray = _import_ray()
    started = not ray.is_initialized()
    if started:
        _start(ray, work)
    try:
        _require_same_version(ray, work.spec.version)
        workers = work.options.workers or _default_workers(ray)
        files = _store_what_is_left(
            work, manifest.entries(without=done), manifest.inputs - len(done), workers
        )
        reports = ray.remote(num_cpus=0, max_concurrency=8)(Reports).remote()
        _execute(ray, work, files, workers, reports)
    finally:
        if started:
            ray.shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors reach the driver as exceptions
    try:
        with _quiet():
            import ray
            import ray.data
    except ImportError as error:
        raise MissingExtra("Ray Data", "ray") from error
    return ray


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what Ray's native code writes to standard error."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _start(ray: Any, work: Work) -> None:
    """Connect to the cluster, or start Ray on this machine with one extra core for reading, fetching and writing."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if work.options.address is None:
        workers = work.options.processes
        quiet |= {"num_cpus": workers + 1, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    else:
        _require_listening(work.options.address)
        quiet["address"] = work.options.address
    try:
        with _quiet():
            ray.init(**quiet)
    except Exception as error:
        where = f"at {quoted(work.options.address)}" if work.options.address else "on this machine"
        told = " ".join(str(error).split())
        if "ersion" in told and "mismatch" in told:
            remedy = "Install the cluster's versions of Ray and Python here."
        else:
            remedy = "Is it running? Start one with: ray start --head"
        raise MienError(f"Expected a Ray cluster {where}, got none ({told[:80]}). {remedy}") from error


def _require_listening(address: str) -> None:
    """Check that a server listens at an address; otherwise, Ray would wait for it for more than a minute.

    Raises:
        MienError: no server does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise MienError(
            f"Expected a Ray cluster at {quoted(address)}, got none ({getattr(error, 'strerror', None) or error}). "
            "Is it running? Start one with: ray start --head"
        ) from error


def _default_workers(ray: Any) -> int:
    """Return one worker per core of the cluster, less 1/16 of the cores (at least one) for reading and writing."""
    cores = int(ray.cluster_resources().get("CPU", 1))
    return max(1, cores - max(1, cores // 16))


def _require_same_version(ray: Any, version: str) -> None:
    """Check that all machines of the cluster have the same version of mien.

    Raises:
        MienError: a machine has another version, or none.
    """

    def look() -> str | None:  # nested, so that Ray pickles it by value: workers may not have mien
        try:
            import mien
            import mien.bulk.ray_stages
        except ImportError:
            return getattr(locals().get("mien"), "__version__", None)
        return mien.__version__

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asked = [
        ray.remote(num_cpus=0, max_retries=1)(look)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote()
        for node in nodes
    ]
    for node, found in zip(nodes, ray.get(asked, timeout=120), strict=True):
        if found != version:
            name = node["NodeManagerHostname"]
            raise MienError(
                f"Expected mien {version} on every machine of the cluster, got {found or 'none'} on {name[:60]}. "
                "Install the same version there."
            )


def _store_what_is_left(work: Work, entries: Iterator[Entry], count: int, workers: int) -> list[str]:
    """Write the unfinished inputs as small files, one per read task, and return their names."""
    rows = max(_BATCH, min(2000, count // (workers * 8) + 1))
    names: list[str] = []
    folder = f"_mien/left/{work.parts.run.name}"
    held: list[Entry] = []

    def flush() -> None:
        name = f"{folder}/{len(names):06d}.parquet"
        work.parts.storage.write(name, encode_table(entries_to_table(held)))
        names.append(name)
        held.clear()

    for entry in entries:
        held.append(entry)
        if len(held) >= rows:
            flush()
    if held:
        flush()
    return names


def _execute(ray: Any, work: Work, files: list[str], workers: int, reports: Any) -> None:
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES
    context.use_datasource_v2 = False  # version 2 reads many small files sequentially in one task
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    outcome: list[BaseException | None] = []

    def execute() -> None:
        try:
            with ray.data.DataContext.current(context):
                _pipeline(ray, work, files, workers, reports)
            outcome.append(None)
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            outcome.append(error)

    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        _count(ray, work, reports)
    _count(ray, work, reports)
    if outcome and outcome[0] is not None:
        error = outcome[0]
        cause = getattr(error, "cause", None) or error.__cause__ or error
        if isinstance(cause, MienError):
            raise cause from error
        told = ([line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__])[
            -1
        ]
        raise MienError(
            f"The job failed on the Ray cluster ({told[:80]}). What is committed stays; continue with `resume=True`."
        ) from error


def _pipeline(ray: Any, work: Work, files: list[str], workers: int, reports: Any) -> None:
    storage, options = work.parts.storage, work.options
    small = {"num_cpus": _SMALL_CPUS}
    paths, filesystem = storage.filesystem_paths(files)
    rows = ray.data.read_parquet(
        paths, filesystem=filesystem, num_cpus=_SMALL_CPUS, override_num_blocks=len(files)
    )
    fetched = rows.map_batches(
        Fetch(work.fetcher), batch_size=_BATCH, batch_format="pyarrow", zero_copy_batch=True, **small
    )
    recognized = fetched.map_batches(  # crashed actors are restarted without limit, which is the default
        Recognize,
        batch_size=_BATCH,
        batch_format="pyarrow",
        zero_copy_batch=True,
        # A cluster may scale up, so the pool may start with a single actor.
        compute=ray.data.ActorPoolStrategy(min_size=1 if options.address else workers, max_size=workers),
        fn_constructor_args=(work.spec, work.fetcher, tuple(work.classes), options, reports),
        num_cpus=1,
    )
    each = max(_BATCH, min(5000, workers * 50))
    recognized.write_datasink(
        RowsSink(work.parts, each, tuple(work.classes) if options.flat else None),
        ray_remote_args={"num_cpus": _SMALL_CPUS, "max_retries": -1},
    )


def _count(ray: Any, work: Work, reports: Any) -> None:
    """Collect the counts that workers have reported."""
    try:
        for report in ray.get(reports.take.remote(), timeout=10):
            work.tally.add(*report)
    except Exception:  # noqa: BLE001 - only counts; the job itself tells what is wrong
        time.sleep(_POLL_SECONDS)
    work.tell()
