"""The engine `local`: one worker process per core on this machine, with bounded queues."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.bulk.output import rows_to_table
from mien.bulk.supervisor import Attempts, Supervisor
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
_QUEUE = 256  # rows that wait for the one who writes them


@dataclass(frozen=True)
class Work:
    """What an engine is given.

    Args:
        options: of the job.
        spec: the model.
        classes: its class names.
        fetcher: what reads inputs.
        parts: where rows are committed.
        tally: counts them.
        tell: called after something was counted.
        attempts: how often inputs ended their workers.
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
    """Takes rows and commits them every few seconds.

    Args:
        work: the job.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rows: list[dict[str, Any]] = []
        self._committed = time.monotonic()

    def add(self, row: dict[str, Any], seconds: Seconds, worker: str) -> None:
        """One row."""
        self._rows.append(row)
        failed = {row["error_kind"]: 1} if row["error_kind"] else {}
        self._work.tally.add(worker, 1, failed, seconds)

    def commit_if_due(self) -> None:
        """Commit where the time has come, and merge what fills a part."""
        due = time.monotonic() - self._committed >= self._work.options.commit_seconds
        if due or len(self._rows) >= _HELD_ROWS:
            self.commit()
            self._work.parts.merge()

    def commit(self) -> None:
        """Commit what is there."""
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
        entries: what is to be done.

    Raises:
        MienError: workers cannot be started, or rows cannot be written.
    """
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
        with suppress(MienError):  # such as a full disk, of which the error tells that is on its way
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
    """Entries that several threads draw from."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._lock = threading.Lock()

    def __iter__(self) -> _Shared:
        return self

    def __next__(self) -> tuple[Entry, None]:
        with self._lock:
            return next(self._entries), None
