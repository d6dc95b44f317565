"""Ctrl-C that other code swallows is noticed; Ctrl-C during a block is delayed to its end."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from mien.interrupts import interrupts_delayed, interrupts_remembered, raise_remembered


def test_a_swallowed_ctrl_c_is_raised_once_more() -> None:
    with interrupts_remembered():
        raise_remembered()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_remembered()
        raise_remembered()


def test_nothing_is_remembered_after_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        signal.raise_signal(signal.SIGINT)
    raise_remembered()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_remembered():
            signal.raise_signal(signal.SIGINT)
            raise_remembered()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def delayed(done: list[str]) -> None:
    with interrupts_delayed():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")


def test_a_delayed_ctrl_c_is_remembered_too() -> None:
    done: list[str] = []
    with interrupts_remembered():
        with pytest.raises(KeyboardInterrupt):
            delayed(done)
        with pytest.raises(KeyboardInterrupt):
            raise_remembered()
    assert done
