"""Logging to standard error from a separate thread, so that a pipe that is not read does not block the service."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
import time

_MOST_WAITING = 10_000  # records
_LAST_SECONDS = 1.0  # to write the remaining records when the process exits


class LogOutput(logging.Handler):
    """Writes records to standard error without blocking; while the queue is full, they are dropped and counted."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.Queue[str] = queue.Queue(_MOST_WAITING)
        self._lost, self._written = 0, 0
        self._put = 0
        self._thread: threading.Thread | None = None
        atexit.register(self.drain)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record without waiting."""
        try:
            text = self.format(record)
            if self._lost:
                text = f"{self._lost:,} messages were lost, because nobody read the log.\n{text}"
            if self._thread is None or not self._thread.is_alive():  # threads do not survive a fork
                self._thread = threading.Thread(target=self._write, name="log-output", daemon=True)
                self._thread.start()
            self._waiting.put_nowait(text + "\n")
            self._put += 1
            self._lost = 0
        except queue.Full:
            self._lost += 1
        except Exception:  # noqa: BLE001 - as logging does
            self.handleError(record)

    def drain(self) -> None:
        """Wait until all records are written, for at most a second."""
        end = time.monotonic() + _LAST_SECONDS
        while self._written < self._put and time.monotonic() < end:
            time.sleep(0.005)

    def _write(self) -> None:
        while True:
            text = self._waiting.get()
            rest = text.encode(errors="backslashreplace")
            try:
                descriptor = (
                    sys.stderr.fileno()
                )  # without the lock of `sys.stderr`, which a full pipe would hold
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except (OSError, ValueError, AttributeError):  # closed
                time.sleep(0.01)
            self._written += 1


def drain_log() -> None:
    """Wait until the log is written, for at most a second."""
    for handler in logging.getLogger("mien.service").handlers:
        if isinstance(handler, LogOutput):
            handler.drain()
