"""`ByteBudget`: a limit on the bytes of inputs that are read ahead, which bounds the memory of a worker."""

from __future__ import annotations

import threading


class ByteBudget:
    """Limits the number of bytes that all tickets hold together. Thread-safe.

    A ticket waits until its bytes fit, except the oldest one, which never waits, so that the inputs before it are
    processed and return their bytes. Together, the tickets hold at most `limit` bytes and those of the oldest one.

    Args:
        limit: maximum number of bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Ticket, int] = {}  # the oldest first
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Number of bytes that all tickets hold."""
        with self._changed:
            return sum(self._held.values())

    def ticket(self) -> Ticket:
        """Return a ticket that holds no bytes yet."""
        ticket = Ticket(self)
        with self._changed:
            self._held[ticket] = 0
        return ticket

    def hold(self, ticket: Ticket, size: int) -> None:
        """Set the number of bytes that a ticket holds; wait until they fit."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(ticket, size))
            if ticket in self._held:
                self._held[ticket] = size
            self._changed.notify_all()

    def _fits(self, ticket: Ticket, size: int) -> bool:
        held = self._held.get(ticket)
        if held is None or size <= held or next(iter(self._held)) is ticket:
            return True
        return sum(self._held.values()) - held + size <= self._limit

    def release(self, ticket: Ticket) -> None:
        """Return the bytes of a ticket, and its place."""
        with self._changed:
            self._held.pop(ticket, None)
            self._changed.notify_all()


class Ticket:
    """The bytes of one input.

    Args:
        budget: the budget of which they are part.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget

    def hold(self, size: int) -> None:
        """Set the number of bytes of the input; wait until they fit."""
        self._budget.hold(self, size)

    def release(self) -> None:
        """Return all bytes; the input is processed."""
        self._budget.release(self)
