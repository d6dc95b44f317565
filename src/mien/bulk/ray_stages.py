"""Stages that run on the machines of a Ray cluster: fetching, recognizing, committing."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.bulk.batch_options import usable_cores
from mien.bulk.entries import entry_from_row
from mien.bulk.fetching import Fetched, Fetcher
from mien.bulk.output import rows_to_table
from mien.bulk.supervisor import Attempts, Supervisor
from mien.bulk.worker_folders import remove_abandoned
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from mien.bulk.batch_options import BatchOptions
    from mien.bulk.entries import Entry
    from mien.bulk.model_spec import ModelSpec
    from mien.bulk.parts import Parts

_THREADS = 8
_ANSWER_SECONDS = 10.0
_YIELD_BYTES = 16 * 2**20
_UNKNOWN_BYTES = 4 * 2**20  # assumed size of an input of unknown size
_Report = tuple[str, int, dict[str, int], dict[str, float], tuple[float, float]]


class Reports:
    """Actor that holds the counts of workers until the driver takes them, the errors that end the job, and its stop."""

    def __init__(self) -> None:
        self._held: list[_Report] = []
        self._errors: list[MienError] = []
        self._stopped = False

    def add(self, *report: Any) -> bool:
        """Add the counts of a worker, and return whether the driver has given up the job."""
        self._held.append(report)
        return self._stopped

    def take(self) -> list[_Report]:
        """Return the counts received since the last call."""
        held, self._held = self._held, []
        return held

    def fail(self, error: MienError) -> None:
        """Keep an error: Ray passes on only its text, within that of a traceback."""
        self._errors.append(error)

    def errors(self) -> list[MienError]:
        """Return the errors of all workers."""
        return self._errors

    def stop(self) -> None:
        """Make the workers end the job, because its driver has given it up."""
        self._stopped = True

    def stopped(self) -> bool:
        """Return whether the driver has given up the job."""
        return self._stopped


def _require_running(answer: Any) -> None:
    """Check that the driver has not given up the job.

    Args:
        answer: reference to the answer of the actor `Reports`; `None` if there is none yet.

    Raises:
        MienError: it has.
    """
    if answer is None:
        return
    import ray

    try:
        stopped = ray.get(answer, timeout=_ANSWER_SECONDS)
    except ray.exceptions.RayError:  # the actor has gone with its machine, and only counts are lost
        return
    if stopped:
        raise MienError(
            "Expected a job in progress, got one that was stopped. What is committed stays; continue with `resume=True`."
        )


@contextmanager
def _reporting_errors(reports: Any) -> Iterator[None]:
    """Send a `MienError` to the actor `Reports` before it is raised."""
    try:
        yield
    except MienError as error:
        if reports is not None:
            import ray

            ray.get(reports.fail.remote(error))
        raise


class Fetch:
    """Adds the bytes of the inputs to rows of the manifest, read by several threads.

    Args:
        fetcher: reads the inputs.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Fetch a batch; a large batch is yielded in several tables."""
        from concurrent.futures import ThreadPoolExecutor

        rows = batch.to_pylist()
        with ThreadPoolExecutor(min(_THREADS, len(rows) or 1)) as pool:
            held: list[dict[str, Any]] = []
            size = 0
            for piece in _pieces(rows):
                entries = [entry_from_row(row) for row in piece]
                for row, fetched in zip(piece, pool.map(self._fetcher.fetch, entries), strict=True):
                    held.append(row | _columns_of(fetched))
                    size += len(fetched.content or b"")
                if size >= _YIELD_BYTES:
                    yield _table(held)
                    held, size = [], 0
            if held:
                yield _table(held)


def _pieces(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Split rows into groups of limited size that are fetched together."""
    piece: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        piece.append(row)
        known = entry_from_row(row).bytes
        size += known if known >= 0 else _UNKNOWN_BYTES
        if size >= _YIELD_BYTES or len(piece) >= _THREADS:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _columns_of(fetched: Fetched) -> dict[str, Any]:
    return {
        "content": fetched.content,
        "fetch_error": fetched.error,
        "fetch_error_kind": fetched.kind_of_error,
        "fetch_seconds": fetched.seconds,
    }


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    from mien.bulk.entries import manifest_schema

    schema = manifest_schema().remove_metadata()
    for name, kind in (
        ("content", pa.large_binary()),
        ("fetch_error", pa.string()),
        ("fetch_error_kind", pa.string()),
        ("fetch_seconds", pa.float64()),
    ):
        schema = schema.append(pa.field(name, kind))
    return pa.Table.from_pylist(rows, schema=schema)


class Recognize:
    """Recognizes fetched inputs in a child process, whose crash does not affect the actor.

    Returns one row per input, even with `flat`, because Ray may split a block between any two rows.

    Args:
        spec: the model.
        fetcher: reads videos.
        classes: class names of the model.
        options: options of the job.
        reports: the actor `Reports`.
    """

    def __init__(
        self, spec: ModelSpec, fetcher: Fetcher, classes: tuple[str, ...], options: BatchOptions, reports: Any
    ) -> None:
        self._classes, self._options, self._reports = classes, options, reports
        self._name, self._version = f"{platform.node()} {os.getpid()}", spec.version
        remove_abandoned()
        spec = replace(spec, processes=min(options.workers, usable_cores()))
        self._supervisor = Supervisor(spec, fetcher, Attempts(options.max_attempts), options.timeout)
        self._ended: float | None = None
        self._answer: Any = None  # to the report on the previous batch, so that this one need not wait for it

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the rows of a batch.

        Raises:
            MienError: the job was stopped, or this machine has another version of mien than the driver. It is raised
                here, because Ray would replace an actor that cannot be created.
        """
        _require_running(self._answer)
        with _reporting_errors(self._reports):
            return self._rows_of(batch)

    def _rows_of(self, batch: pa.Table) -> pa.Table:
        from mien import __version__

        if self._version != __version__:
            raise other_version(self._version, __version__, platform.node())
        rows: list[dict[str, Any]] = []
        started = time.time()
        total = {"fetch": started - (self._ended or started)}  # the wait for fetched inputs

        def take(row: dict[str, Any], seconds: dict[str, float], _worker: int) -> None:
            rows.append(row)
            for stage, value in seconds.items():
                total[stage] = total.get(stage, 0.0) + value

        self._supervisor.run(iter(_inputs(batch)), take)
        failures = Counter(row["error_kind"] for row in rows if row["error_kind"])
        self._ended = time.time()
        self._answer = self._reports.add.remote(
            self._name, len(rows), dict(failures), total, (started, self._ended)
        )
        return rows_to_table(rows, self._classes, flat=False)


def _inputs(batch: pa.Table) -> Iterator[tuple[Entry, Fetched | None]]:
    for row in batch.to_pylist():
        entry = entry_from_row(row)
        fetched = Fetched(row["content"], row["fetch_error"], row["fetch_error_kind"], row["fetch_seconds"])
        yield entry, fetched


def _sink_base() -> type[Any]:
    try:
        from ray.data import Datasink
    except ImportError:
        return object
    return Datasink  # type: ignore[no-any-return]


class RowsSink(_sink_base()):  # type: ignore[misc]
    """Commits rows; a task that Ray retries commits them under the same name.

    Args:
        parts: the rows of the job.
        rows: approximate number of inputs per commit.
        flat_classes: class names of the model, to commit one row per face; `None` for one row per input.
        reports: the actor `Reports`, which receives the error if a commit fails, and knows whether the job was stopped;
            `None` to only raise the error.
    """

    def __init__(
        self, parts: Parts, rows: int, flat_classes: tuple[str, ...] | None = None, reports: Any = None
    ) -> None:
        self._parts, self._rows, self._flat_classes, self._reports = parts, rows, flat_classes, reports

    def write(self, blocks: Iterable[Any], ctx: Any) -> None:
        """Commit the blocks of a write task.

        Raises:
            MienError: the job was stopped, or the rows cannot be written.
        """
        import pyarrow as pa

        tables = [block for block in blocks if block.num_rows]
        if not tables:
            return
        table = pa.concat_tables(tables)
        if self._flat_classes is not None:
            table = rows_to_table(table.to_pylist(), self._flat_classes, flat=True)
        _require_running(self._reports.stopped.remote() if self._reports is not None else None)
        with _reporting_errors(self._reports):
            self._parts.commit_as(table, f"{self._parts.run.name}-{ctx.task_idx:08d}")

    @property
    def min_rows_per_write(self) -> int:
        """Approximate number of inputs per commit."""
        return self._rows


def other_version(version: str, found: str | None, machine: str) -> MienError:
    """Return the error about a machine with another version of mien, or none."""
    return MienError(
        f"Expected mien {version} on every machine of the cluster, got {found or 'none'} on {machine[:60]}. "
        "Install the same version there."
    )
