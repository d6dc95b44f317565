"""Retry a function after transient errors (5xx, timeouts, broken connections), and limit how long it may take."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from mien.bulk.locations import kind_of_error
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 6
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0  # seconds; doubled after each attempt
_POLL_SECONDS = 1.0

_T = TypeVar("_T")


def with_retries(
    work: Callable[[], _T], *, tries: int = TRIES, sleep: Callable[[float], object] = time.sleep
) -> _T:
    """Call a function and return its result, with retries after transient errors: 5xx, timeouts, broken connections.

    Errors of missing, forbidden or unreadable files, and those of mien, such as that of a missing package, are raised
    without a retry. Waiting times grow exponentially, with random jitter so that many processes do not retry at the same
    time.

    Args:
        work: the function.
        tries: maximum number of calls.
        sleep: function that waits for a number of seconds.
    """
    for number in range(1, tries + 1):
        try:
            return work()
        except Exception as error:
            if number == tries or isinstance(error, MemoryError | MienError):
                raise
            if kind_of_error(error) != "unreachable":
                raise
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (number - 1))
            sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
    raise AssertionError  # the loop returns or raises


def with_deadline(
    work: Callable[[], _T], seconds: float, progress: Callable[[], object] = lambda: None
) -> _T:
    """Call a function in a thread and return its result; after the deadline, the thread is abandoned.

    Args:
        work: the function.
        seconds: maximum duration.
        progress: returns what the function has done so far, such as a number of bytes; each change restarts the time.

    Raises:
        TimeoutError: it took longer.
    """
    results: list[_T] = []
    errors: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            errors.append(error)
        ended.set()

    threading.Thread(target=run, name="deadline", daemon=True).start()
    done, until = progress(), time.monotonic() + seconds
    while not ended.wait(min(_POLL_SECONDS, seconds)):
        if (now := progress()) != done:
            done, until = now, time.monotonic() + seconds
        elif time.monotonic() >= until:
            raise TimeoutError(f"no answer within {seconds:,.0f} seconds")
    if errors:
        raise errors[0]
    return results[0]
