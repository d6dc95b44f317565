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
    """Queue of inputs in the order of arrival; a thread fetches each input as soon as it arrives."""

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
    """Raise the OOM score, so that the kernel kills this process before the supervisor, which holds the rows."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


if __name__ == "__main__":
    main()
    os._exit(0)  # threads may still wait for a server
