"""The process that recognizes: inputs come on standard input, rows go to standard output as lines of JSON.

It is started by `mien.bulk.supervisor`, never writes a file, and ends when its standard input does, as when the one
who started it is killed.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.bulk.entries import Entry
    from mien.bulk.fetching import Fetched

FETCH_THREADS = 8


class _Inbox:
    """Inputs in the order in which they came, each read by a thread as soon as it is known."""

    def __init__(self, source: IO[bytes], fetch: Any) -> None:
        self._source, self._fetch = source, fetch
        self._waiting: deque[tuple[int, Entry, Future[Fetched]]] = deque()
        self._come = threading.Condition()
        self._closed = False
        self._pool = ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="fetch")
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while (message := pickle.load(self._source)) is not None:  # noqa: S301 - from our own parent
                number, entry, fetched = message
                future: Future[Fetched] = Future()
                if fetched is None:
                    future = self._pool.submit(self._fetch, entry)
                else:
                    future.set_result(fetched)
                with self._come:
                    self._waiting.append((number, entry, future))
                    self._come.notify()
        with self._come:
            self._closed = True
            self._come.notify()

    def take(self) -> tuple[int, Entry, Future[Fetched]] | None:
        """The next input; `None` when no more will come."""
        with self._come:
            while not self._waiting and not self._closed:
                self._come.wait()
            return self._waiting.popleft() if self._waiting else None


def main() -> None:
    """Recognize what comes until no more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, ends this process
    # What libraries print must not get between the rows.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)
    _volunteer()

    telling = threading.Lock()

    def tell(**message: Any) -> None:
        with telling:
            answers.write(json.dumps(message) + "\n")

    try:
        from mien.bulk.recognizing import InputRecognizer

        spec, fetcher = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
        recognize = InputRecognizer(spec, fetcher, lambda: tell(beat=True))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        tell(fatal=str(error), type=type(error).__name__)
        return
    tell(ready=True)
    inbox = _Inbox(sys.stdin.buffer, fetcher.fetch)
    with suppress(BrokenPipeError):
        while (item := inbox.take()) is not None:
            number, entry, future = item
            fetched = future.result()
            tell(begin=number)
            row, seconds = recognize(entry, fetched)
            del fetched, future, item
            tell(row=row, number=number, seconds=seconds)


def _volunteer() -> None:
    """Be the first that the kernel ends where memory is short, so that the one who keeps the rows lives on."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


if __name__ == "__main__":
    main()
    os._exit(0)  # threads may still wait for a server
