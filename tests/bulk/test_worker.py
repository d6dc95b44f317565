"""A worker reads inputs ahead, within its budget of memory."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from mien.bulk import worker
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetched

SIZE = 60


class Reader:
    """Reads inputs of 60 bytes and notes their names when there is room for them."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def fetch(self, entry: Entry, hold: Callable[[int], None], beat: Callable[[], None]) -> Fetched:
        """Read an input."""
        beat()
        hold(SIZE)
        self.read.append(entry.uri)
        return Fetched(bytes(SIZE))


def inbox(reader: Any, entries: list[Entry], told: list[int]) -> worker._Inbox:
    messages = [pickle.dumps((number, entry, None)) for number, entry in enumerate(entries)]
    return worker._Inbox(BytesIO(b"".join(messages)), reader, told.append)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def test_inputs_are_read_ahead_only_while_they_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "READ_AHEAD_BYTES", 2 * SIZE)
    reader, told = Reader(), []
    box = inbox(reader, [Entry(f"/{number}.jpg") for number in range(5)], told)
    wait_for(lambda: len(told) == 5 and "/0.jpg" in reader.read and len(reader.read) >= 2)
    time.sleep(0.05)
    assert len(reader.read) <= 3  # the first one never waits
    for number in range(5):
        item = box.take()
        assert item is not None
        assert (item.number, item.fetched.result(10).content) == (number, bytes(SIZE))
        assert box._budget.held <= 3 * SIZE
        item.ticket.release()
    assert box.take() is None
    assert box._budget.held == 0


def test_an_input_larger_than_the_memory_to_read_ahead_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "READ_AHEAD_BYTES", SIZE // 2)
    reader, told = Reader(), []
    box = inbox(reader, [Entry(f"/{number}.jpg") for number in range(3)], told)
    for number in range(3):
        item = box.take()
        assert item is not None
        item.fetched.result(10)
        assert reader.read == [f"/{one}.jpg" for one in range(number + 1)]
        item.ticket.release()


def test_values_of_a_table_are_read_in_order_by_one_thread() -> None:
    threads: set[str] = set()

    class Noting(Reader):
        def fetch(self, *given: Any) -> Fetched:
            threads.add(threading.current_thread().name)
            return super().fetch(*given)

    reader = Noting()
    entries = [Entry(f"/t.parquet/{number}", where="parquet") for number in range(20)]
    box = inbox(reader, entries, [])
    for _ in entries:
        item = box.take()
        assert item is not None
        item.fetched.result(10)
        item.ticket.release()
    assert reader.read == [one.uri for one in entries]
    assert len(threads) == 1
