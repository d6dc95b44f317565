"""The worker process: reads inputs from standard input and writes rows to standard output as JSON lines.

It is started by `mien.bulk.supervisor`, writes no output files, and exits when its standard input is closed, for
example because the supervisor was killed.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from mien.bulk.byte_budget import ByteBudget, Ticket
from mien.bulk.model_spec import LATENCY

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.bulk.entries import Entry
    from mien.bulk.fetching import Fetched, Fetcher
    from mien.bulk.model_spec import Seconds

FETCH_THREADS = 8
READ_AHEAD_BYTES = 48 * 2**20
"""Maximum bytes of inputs that are read and not processed yet, except those of the input that is next."""


class _Item(NamedTuple):
    """An input in the queue.

    Args:
        number: its number in messages.
        entry: the input.
        fetched: its content, which a thread may still read.
        ticket: its share of the memory.
    """

    number: int
    entry: Entry
    fetched: Future[Fetched]
    ticket: Ticket


class _Inbox:
    """Queue of inputs in the order of arrival; threads read their content ahead, within a limit on memory.

    Args:
        source: stream of the inputs.
        fetcher: reads their content.
        beat: callback that is called with the number of an input while it is read.
    """

    def __init__(self, source: IO[bytes], fetcher: Fetcher, beat: Callable[[int], None]) -> None:
        self._source, self._fetcher, self._beat = source, fetcher, beat
        self._waiting: deque[_Item] = deque()
        self._come = threading.Condition()
        self._closed = False
        self._budget = ByteBudget(READ_AHEAD_BYTES)
        self._pool = ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="fetch")
        self._in_order = ThreadPoolExecutor(1, thread_name_prefix="fetch-values")  # tables are read forwards
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while (message := pickle.load(self._source)) is not None:  # noqa: S301 - from our own parent
                item = self._begin(*message)
                with self._come:
                    self._waiting.append(item)
                    self._come.notify()
        with self._come:
            self._closed = True
            self._come.notify()

    def _begin(self, number: int, entry: Entry, fetched: Fetched | None) -> _Item:
        future: Future[Fetched] = Future()
        ticket = self._budget.ticket()
        if fetched is None:
            pool = self._in_order if entry.where == "parquet" else self._pool
            future = pool.submit(self._fetcher.fetch, entry, ticket.hold, lambda: self._beat(number))
        else:
            future.set_result(fetched)
        return _Item(number, entry, future, ticket)

    def take(self) -> _Item | None:
        """Wait for the next input and return it; `None` at the end of the stream."""
        with self._come:
            while not self._waiting and not self._closed:
                self._come.wait()
            return self._waiting.popleft() if self._waiting else None


def main() -> None:
    """Recognize inputs until the end of the stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which also receives it, stops this process
    # Redirect standard output to standard error, so that output of libraries does not mix with the rows.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)
    _volunteer()

    telling = threading.Lock()

    def tell(**message: Any) -> None:
        with telling:
            answers.write(json.dumps(message) + "\n")

    def tell_of_fetch(number: int) -> None:
        with suppress(OSError, ValueError):  # the parent has ended, which the main thread notices
            tell(fetching=number)

    try:
        from mien.bulk.recognizing import InputRecognizer

        spec, fetcher = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
        recognize = InputRecognizer(spec, fetcher, lambda: tell(beat=True))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        tell(fatal=str(error), type=type(error).__name__)
        return
    tell(ready=True)
    inbox = _Inbox(sys.stdin.buffer, fetcher, tell_of_fetch)
    with suppress(BrokenPipeError):
        while (item := inbox.take()) is not None:
            started = time.perf_counter()
            fetched = item.fetched.result()
            waited = time.perf_counter() - started
            tell(begin=item.number)
            row, seconds = recognize(item.entry, fetched)
            seconds = with_waiting(seconds, waited, fetched.seconds)
            tell(row=row, number=item.number, seconds=seconds)
            item.ticket.release()
            del fetched, item


def with_waiting(seconds: Seconds, waited: float, latency: float) -> Seconds:
    """Return the seconds by stage, where `fetch` is the time for which recognizing waited for the content.

    Args:
        seconds: seconds by stage, where `fetch` includes the duration of reading the input ahead.
        waited: seconds for which the worker waited for the content.
        latency: duration of reading it ahead, while other inputs were processed; returned under `LATENCY`.
    """
    return seconds | {"fetch": max(0.0, seconds["fetch"] - latency) + waited, LATENCY: latency}


def _volunteer() -> None:
    """Raise the OOM score, so that the kernel kills this process before the supervisor, which holds the rows."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


if __name__ == "__main__":
    main()
    os._exit(0)  # threads may still wait for a server
