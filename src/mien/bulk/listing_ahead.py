"""List several tars at once: most of the time of indexing a tar in an object store is spent waiting for its headers.

A tar is read by a thread of its own from the moment its expansion is made, and `in_order` makes a few expansions before
they are needed.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
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

    An exception of `expansions` itself is raised after the entries of those before it. Expansions that are not used up,
    because another one failed or the caller stopped, are closed.
    """
    waiting: deque[Iterator[Entry]] = deque()
    rest, failure = iter(expansions), None
    try:
        while True:
            try:
                expansion = None if failure else next(rest, None)
            except Exception as error:  # noqa: BLE001 - raised below
                expansion, failure = None, error
            if expansion is not None:
                waiting.append(expansion)
            if waiting and (expansion is None or len(waiting) == AT_ONCE):
                yield from waiting[0]
                waiting.popleft()
            elif expansion is None:
                break
    finally:
        for one in waiting:
            _close(one)
    if failure:
        raise failure


class Wrapped:
    """The entries of a generator that takes them from an expansion.

    Closing it closes the expansion, too. Closing only the generator would not if the generator has not begun.

    Args:
        entries: the generator.
        expansion: the expansion from which it takes its entries.
    """

    def __init__(self, entries: Iterator[Entry], expansion: Iterator[Entry]) -> None:
        self._entries, self._expansion = entries, expansion

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def close(self) -> None:
        """End the expansion early, and the thread that lists it in advance."""
        _close(self._entries)
        _close(self._expansion)


class Ahead:
    """Entries that a thread lists in advance.

    Args:
        entries: makes the iterator over the entries; called in the thread.
        ended: called before the end of the entries, or before the exception that ended them is raised, but not if they
            are closed early.
    """

    def __init__(
        self, entries: Callable[[], Iterator[Entry]], ended: Callable[[], None] = lambda: None
    ) -> None:
        self._entries, self._ended = entries, ended
        self._parts: Queue[list[Entry] | None] = Queue(_PARTS)  # `None` is the end
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._taken = self._take()
        self._thread = threading.Thread(target=self._run, name="listing", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._taken)

    def close(self) -> None:
        """End the thread early, without waiting for it."""
        self._stop.set()
        _close(self._taken)

    def _take(self) -> Iterator[Entry]:
        while (part := self._next_part()) is not None:
            yield from part
        self._ended()
        if self._error is not None:
            raise self._error

    def _next_part(self) -> list[Entry] | None:
        while True:
            with suppress(Empty):  # with a timeout, because Windows cannot interrupt an endless wait
                return self._parts.get(timeout=_SECONDS)

    def _run(self) -> None:
        try:
            entries = self._entries()
            while not self._stop.is_set() and (part := list(islice(entries, _ENTRIES))):
                self._put(part)
        except Exception as error:  # noqa: BLE001 - raised where the entries are taken
            self._error = error
        finally:
            self._put(None)

    def _put(self, part: list[Entry] | None) -> None:
        while not self._stop.is_set():
            with suppress(Full):
                self._parts.put(part, timeout=_SECONDS)
                return


def _close(entries: Iterator[Entry]) -> None:
    """Close a generator or expansion; other iterators have nothing to close."""
    close = getattr(entries, "close", None)
    if close is not None:
        close()
