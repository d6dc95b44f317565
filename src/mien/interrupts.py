"""Delay Ctrl-C while something must be finished, and notice it if other code swallows it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def interrupts_delayed() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block; in other threads than the main one, which alone receives it, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held and callable(before):
        before(*held[-1])


_unhandled = False


@contextmanager
def interrupts_remembered() -> Iterator[None]:
    """Remember Ctrl-C within the block, because code of other packages may swallow the `KeyboardInterrupt`.

    `raise_remembered` raises it again. Does nothing in other threads than the main one, or if Ctrl-C is ignored.
    """
    global _unhandled  # noqa: PLW0603 - there is one main thread
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    handler = before

    def remember(number: int, frame: FrameType | None) -> None:
        global _unhandled  # noqa: PLW0603
        _unhandled = True
        handler(number, frame)

    _unhandled = False
    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _unhandled = False


def raise_remembered() -> None:
    """Raise the Ctrl-C of a block of `interrupts_remembered` again.

    Raises:
        KeyboardInterrupt: If Ctrl-C was received in the block, and the block continues.
    """
    global _unhandled  # noqa: PLW0603
    if _unhandled:
        _unhandled = False
        raise KeyboardInterrupt
