"""The end of one host of a training is noticed by the others, within a bounded time."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from mien.training import host_watch
from mien.training.host_watch import HostWatch

NAMES = ("127.0.0.1:9", "second", "third")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (
        ("_BEAT_SECONDS", 0.05), ("_SILENT_SECONDS", 0.6), ("_DONE_SECONDS", 0.6), ("_GRACE_SECONDS", 0.2),
        ("_ABORT_SECONDS", 0.0),
    ):  # fmt: skip
        monkeypatch.setattr(host_watch, name, seconds)
    monkeypatch.setattr(host_watch.atexit, "register", lambda *_given: None)


class Hosts:
    """The watches of several hosts in one process, and what their processes were told at their end."""

    def __init__(self, count: int = 3) -> None:
        self.ended: queue.Queue[tuple[int, str]] = queue.Queue()
        self.watches = [HostWatch(NAMES[:count], index, self._end(index)) for index in range(count)]
        self._told: list[queue.Queue[Sequence[int]]] = [queue.Queue() for _ in range(count)]
        started = [
            threading.Thread(target=self.watches[index].start, args=(self._broadcast(index),))
            for index in range(count)
        ]
        for one in started:
            one.start()
        for one in started:
            one.join(10)

    def _end(self, index: int) -> Callable[[str], None]:
        return lambda sentence: self.ended.put((index, sentence))

    def _broadcast(self, index: int) -> Callable[[Sequence[int]], Sequence[int]]:
        def broadcast(numbers: Sequence[int]) -> Sequence[int]:
            if index == 0:
                for one in self._told:
                    one.put(numbers)
            return self._told[index].get(timeout=10)

        return broadcast

    def kill(self, index: int) -> None:
        """End the watch of a host without a word and close its connections, as when its process ends."""
        self.watches[index]._is_done.set()
        self.watches[index]._came_out.set()
        for peer in self.watches[index]._peers:
            with suppress(OSError):  # the other end may be closed
                peer.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(HostWatch.done, self.watches))
        for watch in self.watches:
            for peer in watch._peers:
                peer.connection.close()


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    found = Hosts()
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_host_that_ends_is_named_to_all_others(hosts: Hosts, killed: int) -> None:
    assert [watch.lost for watch in hosts.watches] == [None] * 3
    hosts.kill(killed)
    for watch in (one for index, one in enumerate(hosts.watches) if index != killed):
        lost = watch.wait_for_loss(5)
        assert f"Host {killed} ({NAMES[killed]}) has ended or cannot be reached" in str(lost)
        assert "with `resume`" in str(lost)


@pytest.mark.slow
def test_a_host_that_says_nothing_any_more_is_lost(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.watches[2], "_send", lambda _message: None)
    assert "Host 2 (third)" in str(hosts.watches[0].wait_for_loss(5))
    assert "Host 2 (third)" in str(hosts.watches[1].wait_for_loss(5))


def test_a_training_that_does_not_come_out_of_native_code_is_ended_with_its_process(hosts: Hosts) -> None:
    hosts.kill(1)
    hosts.watches[0].wait_for_loss(5)
    hosts.watches[0].give_up()  # this one came out by itself
    index, sentence = hosts.ended.get(timeout=5)
    assert index in {1, 2}
    assert "has ended or cannot be reached" in sentence


@pytest.mark.slow
def test_hosts_that_are_done_are_not_missed(hosts: Hosts) -> None:
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(HostWatch.done, hosts.watches)) == [True] * 3
    hosts.kill(0)
    hosts.kill(1)
    assert [watch.wait_for_loss(0.3) for watch in hosts.watches] == [None] * 3
    assert hosts.ended.empty()


@pytest.mark.slow
def test_a_host_that_trains_on_long_after_another_one_is_done_is_ended(hosts: Hosts) -> None:
    assert hosts.watches[1].done() is False
    assert "Host 1 (second)" in str(hosts.watches[0].wait_for_loss(5))


def test_a_stranger_who_does_not_know_the_secret_is_turned_away() -> None:
    server = host_watch._listen()
    strangers = [socket.create_connection(("127.0.0.1", server.getsockname()[1])) for _ in range(2)]
    strangers[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    strangers[1].sendall(b"secret!!" + (1).to_bytes(4, "big"))
    (peer,) = host_watch._meet(server, b"secret!!", 1)
    assert peer.index == 1
    with pytest.raises(ConnectionResetError):
        strangers[0].recv(10)
    for one in (*strangers, peer.connection):
        one.close()


def test_without_connections_there_is_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_watch, "_MEET_SECONDS", 0.1)
    watch = HostWatch(NAMES[:2], 0)
    watch.start(lambda numbers: numbers)
    assert watch.wait_for_loss(5) is None
