"""Inputs that are read ahead share a budget of memory."""

from __future__ import annotations

import threading

from mien.bulk.byte_budget import ByteBudget, Ticket


def started(ticket: Ticket, size: int) -> threading.Thread:
    thread = threading.Thread(target=ticket.hold, args=(size,), daemon=True)
    thread.start()
    thread.join(0.05)
    return thread


def test_a_ticket_waits_until_its_bytes_fit() -> None:
    budget = ByteBudget(100)
    first, second, third = (budget.ticket() for _ in range(3))
    first.hold(60)
    second.hold(40)
    waiting = started(third, 10)
    assert (waiting.is_alive(), budget.held) == (True, 100)
    second.hold(30)
    waiting.join(5)
    assert (waiting.is_alive(), budget.held) == (False, 100)


def test_the_oldest_ticket_never_waits_and_the_next_one_waits_for_its_release() -> None:
    budget = ByteBudget(100)
    first, second = budget.ticket(), budget.ticket()
    second.hold(100)
    first.hold(500)
    assert budget.held == 600
    waiting = started(second, 200)
    assert waiting.is_alive()
    first.release()
    waiting.join(5)
    assert (waiting.is_alive(), budget.held) == (False, 200)


def test_a_released_ticket_holds_nothing() -> None:
    budget = ByteBudget(10)
    ticket = budget.ticket()
    ticket.release()
    ticket.hold(50)
    ticket.release()
    assert budget.held == 0
