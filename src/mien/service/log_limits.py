"""A rate limit for the log."""

from __future__ import annotations

import logging
import threading
import time

_SECONDS = 10.0


class LogLimit(logging.Filter):
    """Passes a limited number of records every ten seconds and reports how many were dropped.

    Args:
        most: maximum number of records in ten seconds.
        most_faults: maximum number of warnings and errors among these, which may be long.
    """

    def __init__(self, most: int = 20_000, most_faults: int = 20) -> None:
        super().__init__()
        self._most, self._most_faults = most, most_faults
        self._lock = threading.Lock()
        self._since, self._count, self._faults, self._left_out = 0.0, 0, 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        with self._lock:
            now = time.monotonic()
            if now - self._since > _SECONDS:
                if self._left_out:
                    record.msg = (
                        f"{record.getMessage()} ({self._left_out:,} messages before this one were left out)"
                    )
                    record.args = ()
                self._since, self._count, self._faults, self._left_out = now, 0, 0, 0
            is_fault = record.levelno >= logging.WARNING
            if self._count >= self._most or (is_fault and self._faults >= self._most_faults):
                self._left_out += 1
                return False
            self._count += 1
            self._faults += is_fault
            return True
