"""Call a function again after errors that pass: 5xx, timeouts, connections that break."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from mien.bulk.locations import kind_of_error

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 6
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0  # seconds; doubled from try to try

_T = TypeVar("_T")


def with_retries(
    work: Callable[[], _T], *, tries: int = TRIES, sleep: Callable[[float], object] = time.sleep
) -> _T:
    """What a function gives, called again after errors that pass: 5xx, timeouts, connections that break.

    A file that is not there, or that may not be read, is not asked for again.

    Args:
        work: the function.
        tries: how often it is called at most.
        sleep: what waits, with growing times and a random share so that many do not come back at once.
    """
    for number in range(1, tries + 1):
        try:
            return work()
        except Exception as error:
            if number == tries or kind_of_error(error) != "unreachable" or isinstance(error, MemoryError):
                raise
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (number - 1))
            sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
    raise AssertionError  # the loop returns or raises
