"""The `local` engine: worker processes on this machine, one per core by default, with bounded queues."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.bulk.output import rows_to_table
from mien.bulk.supervisor import Attempts, Supervisor
from mien.bulk.worker_folders import remove_abandoned
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mien.bulk.batch_options import BatchOptions
    from mien.bulk.entries import Entry
    from mien.bulk.fetching import Fetcher
    from mien.bulk.model_spec import ModelSpec, Seconds
    from mien.bulk.parts import Parts
    from mien.bulk.tally import Tally

_HELD_ROWS = 5000
_QUEUE = 256  # maximum number of rows that wait to be written


@dataclass(frozen=True)
class Work:
    """The job of an engine.

    Args:
        options: options of the job.
        spec: the model.
        classes: class names of the model.
        fetcher: reads the inputs.
        parts: commits the rows.
        tally: counts the rows.
        tell: callback that reports the counts.
        attempts: number of worker crashes and timeouts per input.
    """

    options: BatchOptions
    spec: ModelSpec
    classes: Sequence[str]
    fetcher: Fetcher
    parts: Parts
    tally: Tally
    tell: Callable[[], None]
    attempts: Attempts


class Writer:
    """Collects rows and commits them every few seconds.

    Args:
        work: the job.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rows: list[dict[str, Any]] = []
        self._committed = time.monotonic()

    def add(self, row: dict[str, Any], seconds: Seconds, worker: str) -> None:
        """Add one row."""
        self._rows.append(row)
        failed = {row["error_kind"]: 1} if row["error_kind"] else {}
        self._work.tally.add(worker, 1, failed, seconds)

    def commit_if_due(self) -> None:
        """Commit if `commit_seconds` have passed or many rows are waiting; then merge what fills a part."""
        due = time.monotonic() - self._committed >= self._work.options.commit_seconds
        if due or len(self._rows) >= _HELD_ROWS:
            self.commit()
            self._work.parts.merge()

    def commit(self) -> None:
        """Commit the collected rows."""
        if self._rows:
            self._work.parts.require_latest()
            table = rows_to_table(self._rows, self._work.classes, flat=self._work.options.flat)
            self._work.parts.commit(table)
            self._rows = []
        self._committed = time.monotonic()


def run_local(work: Work, entries: Iterator[Entry]) -> None:
    """Recognize all entries and commit their rows.

    Args:
        work: the job.
        entries: the inputs to recognize.

    Raises:
        MienError: workers cannot be started, or rows cannot be written.
    """
    remove_abandoned()
    rows: queue.Queue[Any] = queue.Queue(_QUEUE)
    inputs = _Shared(entries)
    options = work.options
    supervisors = [
        Supervisor(work.spec, work.fetcher, work.attempts, options.timeout) for _ in range(options.processes)
    ]

    def take(row: dict[str, Any], seconds: Seconds, worker: int) -> None:
        _put(rows, (row, seconds, f"process {worker}"), supervisors)

    def supervise(one: Supervisor) -> None:
        try:
            one.run(inputs, take)
            _put(rows, None, supervisors)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            _put(rows, error, supervisors)

    for one in supervisors:
        threading.Thread(target=supervise, args=(one,), daemon=True).start()
    writer = Writer(work)
    try:
        _collect(rows, len(supervisors), writer, work)
    except BaseException:
        _close(supervisors)
        with suppress(MienError):  # such as a full disk, which the error below reports
            writer.commit()
        raise
    _close(supervisors)
    writer.commit()


def _close(supervisors: list[Supervisor]) -> None:
    for one in supervisors:
        one.stopped = True
    for one in supervisors:
        one.close()


def _collect(rows: queue.Queue[Any], running: int, writer: Writer, work: Work) -> None:
    while running:
        try:
            item = rows.get(timeout=0.5)
        except queue.Empty:
            item = ()
        if item is None:
            running -= 1
        elif isinstance(item, BaseException):
            raise item
        elif item:
            writer.add(*item)
        writer.commit_if_due()
        work.tell()


def _put(rows: queue.Queue[Any], item: Any, supervisors: list[Supervisor]) -> None:
    while not all(one.stopped for one in supervisors):
        with suppress(queue.Full):
            rows.put(item, timeout=0.5)
            return


class _Shared:
    """A thread-safe iterator over entries."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._lock = threading.Lock()

    def __iter__(self) -> _Shared:
        return self

    def __next__(self) -> tuple[Entry, None]:
        with self._lock:
            return next(self._entries), None
