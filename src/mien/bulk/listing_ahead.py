"""List several tars at once: most of the time of indexing a tar in an object store is spent waiting for its headers.

A tar is read by a thread of its own from the moment its expansion is made, and `in_order` makes a few expansions before
they are needed.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mien.bulk.entries import Entry

AT_ONCE = 8
"""Number of expansions that are made before the first of them is used up."""

_ENTRIES = 500
"""Number of entries that are passed on together."""

_PARTS = 4
"""Maximum number of parts of one expansion that wait to be taken, which bounds the memory for large tars."""

_SECONDS = 0.1
"""Time in seconds between two checks of whether the other side has ended."""


def in_order(expansions: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    """Yield the entries of all expansions in their order, taking up to `AT_ONCE` expansions in advance.

    An exception of `expansions` itself is raised after the entries of those before it.
    """
    waiting: deque[Iterator[Entry]] = deque()
    rest, failure = iter(expansions), None
    while True:
        try:
            expansion = None if failure else next(rest, None)
        except Exception as error:  # noqa: BLE001 - raised below
            expansion, failure = None, error
        if expansion is not None:
            waiting.append(expansion)
        if waiting and (expansion is None or len(waiting) == AT_ONCE):
            yield from waiting.popleft()
        elif expansion is None:
            break
    if failure:
        raise failure


class Ahead:
    """Entries that a thread lists in advance.

    Args:
        entries: makes the iterator over the entries; called in the thread.
        stop: ends the thread early when set.
    """

    def __init__(self, entries: Callable[[], Iterator[Entry]], stop: threading.Event) -> None:
        self._entries, self._stop = entries, stop
        self._parts: Queue[list[Entry]] = Queue(_PARTS)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="listing", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Entry]:
        while True:
            try:
                yield from self._parts.get(timeout=_SECONDS)
            except Empty:
                if self._thread.is_alive() or not self._parts.empty():
                    continue
                break
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            entries = self._entries()
            while not self._stop.is_set() and (part := list(islice(entries, _ENTRIES))):
                self._put(part)
        except Exception as error:  # noqa: BLE001 - raised where the entries are taken
            self._error = error

    def _put(self, part: list[Entry]) -> None:
        while not self._stop.is_set():
            try:
                self._parts.put(part, timeout=_SECONDS)
            except Full:
                continue
            return
