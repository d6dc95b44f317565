"""The `ray` engine: the same functions as Ray Data tasks and actors, on this machine or a cluster.

    read_parquet(remaining manifest) → map_batches(Fetch) → map_batches(Recognize) → write_datasink(RowsSink)

Rows are committed in the same way as by the local engine (`parts`), so each engine can resume a job of the other. Write
tasks use the same file name when Ray retries them. Ray Data's own row checkpoints are not used: they commit by moving a
file, which object stores implement as copy and delete; after a kill between the two, the next run deletes the rows but
keeps their ids, and the rows are lost. They also start actors that hold all ids and reserve 1 GiB each.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mien.bulk.ray_cluster import Pool, cores, import_ray, pool_of_cluster, require_same_version, start
from mien.bulk.ray_stages import Fetch, Recognize, Reports, RowsSink
from mien.bulk.ray_tasks import BATCH, store_what_is_left
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from mien.bulk.local_engine import Work
    from mien.bulk.manifest import Manifest
    from mien.bulk.parts import Parts

_BLOCK_BYTES = 32 * 2**20  # target size of a block of fetched images
_POLL_SECONDS = 2.0
_LOCAL_MERGE_SECONDS, _REMOTE_MERGE_SECONDS = (
    10.0,
    60.0,
)  # seconds between two looks for rows that fill a part
_SMALL_CPUS = 0.25  # cores reserved by a read, fetch or write task, so that it can run beside the actors
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit): ")  # last line of a traceback
_RESERVED = 0.1  # share of a cluster's cores that is divided evenly among the stages; actors may use the rest


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
    ray = import_ray()
    started = not ray.is_initialized()
    pool = start(ray, work.options) if started else pool_of_cluster(ray, work.options)
    try:
        require_same_version(ray, work.spec.version)
        left = work.tally.total - work.tally.before
        files = store_what_is_left(work.parts, manifest.entries(without=done), left, pool)
        reports = ray.remote(num_cpus=0, max_concurrency=8)(Reports).remote()
        _execute(ray, work, files, pool, reports)
    finally:
        if started:
            ray.shutdown()


def _execute(ray: Any, work: Work, files: list[str], pool: Pool, reports: Any) -> None:
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES
    if pool.least != pool.most:
        context.op_resource_reservation_ratio = _RESERVED
    context.use_datasource_v2 = False  # version 2 reads many small files sequentially in one task
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    outcome: list[BaseException | None] = []

    def execute() -> None:
        try:
            with ray.data.DataContext.current(context):
                _pipeline(ray, work, files, pool, reports)
            outcome.append(None)
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            outcome.append(error)

    thread = threading.Thread(target=execute, name="ray job", daemon=True)
    thread.start()
    merge_if_due = Merger(work.parts)
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            _count(ray, work, reports)
            merge_if_due()
    except BaseException:  # such as a Ctrl-C: in a Ray that the caller has started, the workers would go on
        with suppress(Exception):
            ray.get(reports.stop.remote(), timeout=_POLL_SECONDS)
        raise
    _count(ray, work, reports)
    if outcome and outcome[0] is not None:
        raise _failure(ray, outcome[0], reports) from outcome[0]


class Merger:
    """Merges rows that workers have committed into parts, at a limited rate, while a job runs.

    Args:
        parts: the rows of the job.
        clock: returns the time in seconds.
    """

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts, self._clock = parts, clock
        self._every = _LOCAL_MERGE_SECONDS if parts.storage.is_local else _REMOTE_MERGE_SECONDS
        self._looked = clock()

    def __call__(self) -> None:
        """Merge what fills a part, if it is time to look for it.

        Raises:
            DataError: another process has started a newer run, or a part cannot be written.
        """
        if self._clock() - self._looked >= self._every:
            self._parts.require_latest()  # also if no part is filled: the workers commit without this check
            self._parts.merge()
            self._looked = self._clock()


def _failure(ray: Any, error: BaseException, reports: Any) -> MienError:
    """Return the error of mien that ended the job, or one that tells another error in one line."""
    with suppress(Exception):
        for told in ray.get(reports.errors.remote(), timeout=10):
            return told  # type: ignore[no-any-return]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = next((line for line in lines if _EXCEPTION.match(line)), lines[-1])
    return MienError(
        f"The job failed on the Ray cluster ({reason[:80]}). What is committed stays; continue with `resume=True`."
    )


def _pipeline(ray: Any, work: Work, files: list[str], pool: Pool, reports: Any) -> None:
    storage, options = work.parts.storage, work.options
    small = {"num_cpus": _SMALL_CPUS}
    paths, filesystem = storage.filesystem_paths(files)
    rows = ray.data.read_parquet(
        paths, filesystem=filesystem, num_cpus=_SMALL_CPUS, override_num_blocks=len(files)
    )
    fetched = rows.map_batches(
        Fetch(work.fetcher), batch_size=BATCH, batch_format="pyarrow", zero_copy_batch=True, **small
    )
    recognized = fetched.map_batches(  # crashed actors are restarted without limit, which is the default
        Recognize,
        batch_size=BATCH,
        batch_format="pyarrow",
        zero_copy_batch=True,
        # Machines may join and leave a cluster, so the pool starts with one actor and grows with the free cores.
        compute=ray.data.ActorPoolStrategy(min_size=pool.least, max_size=pool.most),
        fn_constructor_args=(work.spec, work.fetcher, tuple(work.classes), options, reports),
        num_cpus=1,
    )
    each = max(BATCH, min(5000, pool.expected * 50))
    recognized.write_datasink(
        RowsSink(work.parts, each, tuple(work.classes) if options.flat else None, reports),
        ray_remote_args={"num_cpus": _SMALL_CPUS, "max_retries": -1},
    )


def _count(ray: Any, work: Work, reports: Any) -> None:
    """Collect the counts that workers have reported, and note whether the cluster has a machine for them."""
    try:
        work.tally.stage = "recognizing" if cores(ray) else "waiting"
        for report in ray.get(reports.take.remote(), timeout=10):
            work.tally.add(*report)
    except Exception:  # noqa: BLE001 - only counts; the job itself tells what is wrong
        time.sleep(_POLL_SECONDS)
    work.tell()
