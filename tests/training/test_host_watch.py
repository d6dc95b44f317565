"""Host watch: the other hosts of a training notice the end of one within a bounded time."""

from __future__ import annotations

import ctypes
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from mien.training import host_meeting, host_watch
from mien.training.host_meeting import Peer
from mien.training.host_watch import HostWatch
from mien.training.native_end import AbortHandler

NAMES = ("127.0.0.1:9", "second", "third")


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (
        ("_BEAT_SECONDS", 0.05), ("_SILENT_SECONDS", 0.6), ("_GRACE_SECONDS", 0.2), ("_ABORT_SECONDS", 0.0),
    ):  # fmt: skip
        monkeypatch.setattr(host_watch, name, seconds)
    # These would change how this process ends.
    monkeypatch.setattr(HostWatch, "_skip_shutdown", lambda _watch: None)
    monkeypatch.setattr(host_watch, "AbortHandler", lambda _function: None)


class Hosts:
    """The watches of several hosts in one process, and the messages with which they ended their processes."""

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
        """Stop the watch of a host without a message and close its connections, as when its process ends."""
        self.watches[index]._parted.set()
        self.watches[index]._came_out.set()
        for peer in self.watches[index]._peers:
            with suppress(OSError):  # the other end may be closed
                peer.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(HostWatch.leave, self.watches))
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
def test_all_other_hosts_report_a_host_that_ends(hosts: Hosts, killed: int) -> None:
    assert [watch.lost for watch in hosts.watches] == [None] * 3
    hosts.kill(killed)
    for watch in (one for index, one in enumerate(hosts.watches) if index != killed):
        lost = watch.wait_for_loss(5)
        assert f"Host {killed} ({NAMES[killed]}) has ended or cannot be reached" in str(lost)
        assert "with `resume`" in str(lost)


@pytest.mark.slow
def test_silent_host_is_reported_as_lost(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.watches[2], "_send", lambda _message: None)
    assert "Host 2 (third)" in str(hosts.watches[0].wait_for_loss(5))
    assert "Host 2 (third)" in str(hosts.watches[1].wait_for_loss(5))


def test_process_stuck_in_native_code_is_ended(hosts: Hosts) -> None:
    hosts.kill(1)
    hosts.watches[0].wait_for_loss(5)
    hosts.watches[0].leave()  # this host returned from native code by itself
    index, sentence = hosts.ended.get(timeout=5)
    assert index in {1, 2}
    assert "has ended or cannot be reached" in sentence


def test_leaving_host_does_not_report_itself_as_lost(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    send = hosts.watches[1]._send

    def send_and_wait_for_the_answer(message: bytes) -> None:
        send(message)
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.3)

    monkeypatch.setattr(hosts.watches[1], "_send", send_and_wait_for_the_answer)
    hosts.watches[1].leave()
    assert hosts.watches[1].lost is None
    assert hosts.watches[1].done() is False
    assert f"Host 1 ({NAMES[1]})" in str(hosts.watches[0].wait_for_loss(5))


def all_done(hosts: Hosts) -> list[bool]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(HostWatch.done, hosts.watches))


@pytest.mark.slow
def test_finished_hosts_are_not_reported_as_lost(hosts: Hosts) -> None:
    assert all_done(hosts) == [True] * 3
    hosts.kill(0)
    hosts.kill(1)
    assert [watch.wait_for_loss(0.3) for watch in hosts.watches] == [None] * 3
    assert hosts.ended.empty()


@pytest.mark.slow
@pytest.mark.parametrize("last", [0, 1])
def test_finished_hosts_wait_for_a_much_slower_host(hosts: Hosts, last: int) -> None:
    others = [watch for index, watch in enumerate(hosts.watches) if index != last]
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(watch.done) for watch in others]
        assert hosts.watches[last].wait_for_loss(2) is None  # more than three times the silence limit
        assert not any(one.done() for one in waiting)
        assert hosts.watches[last].done() is True
        assert [one.result(5) for one in waiting] == [True, True]
    assert hosts.ended.empty()


def test_host_that_ends_after_finishing_is_not_reported_as_lost(hosts: Hosts) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(hosts.watches[1].done)
        until = time.monotonic() + 5
        while not hosts.watches[0]._peers or not any(peer.done for peer in hosts.watches[0]._peers):
            assert time.monotonic() < until
            time.sleep(0.01)
        hosts.kill(1)
        assert hosts.watches[0].wait_for_loss(0.3) is None
        second = pool.submit(hosts.watches[2].done)
        assert hosts.watches[0].done() is False  # JAX cannot be shut down together
        second.result(5)
        first.result(5)


def test_finished_hosts_fail_when_another_host_is_killed_before_finishing(
    hosts: Hosts,
) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(hosts.watches[index].done) for index in (0, 1)]
        hosts.kill(2)
        for one in waiting:
            assert "Host 2 (third) has ended" in str(one.exception(5))


def test_leaving_host_is_reported_to_all_others(hosts: Hosts) -> None:
    hosts.watches[1].leave()
    assert hosts.watches[1].done() is False
    for index in (0, 2):
        assert "Host 1 (second) has ended" in str(hosts.watches[index].wait_for_loss(5))


@pytest.mark.slow
def test_closed_connection_is_not_polled(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    hear = HostWatch._hear

    def counted(watch: HostWatch, peer: Peer) -> bool:
        if watch is hosts.watches[0] and peer.index == 1:
            heard.append(1)
        return hear(watch, peer)

    for peer in hosts.watches[0]._peers:
        peer.done = peer.index == 1
    hosts.kill(1)
    time.sleep(0.2)
    monkeypatch.setattr(HostWatch, "_hear", counted)
    time.sleep(0.3)
    assert heard == []


@pytest.mark.slow
def test_watch_is_disabled_when_one_of_three_hosts_cannot_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_meeting, "MEET_SECONDS", 0.5)

    def unreachable(_watch: HostWatch, _port: int, _greeting: bytes) -> list[Peer]:
        raise TimeoutError

    ended: list[str] = []
    told: queue.Queue[Sequence[int]] = queue.Queue()
    watches = [HostWatch(NAMES, index, ended.append) for index in range(3)]
    monkeypatch.setattr(watches[2], "_connect", unreachable.__get__(watches[2]))

    def first(numbers: Sequence[int]) -> Sequence[int]:
        told.put(numbers)
        told.put(numbers)
        return numbers

    with ThreadPoolExecutor() as pool:
        for index, watch in enumerate(watches):
            pool.submit(watch.start, (lambda _numbers: told.get(timeout=5)) if index else first)
    assert [watch._peers for watch in watches] == [[], [], []]
    assert [watch.wait_for_loss(0.5) for watch in watches] == [None] * 3
    time.sleep(0.5)
    assert ended == []
    assert [watch.done() for watch in watches] == [True] * 3


@pytest.mark.slow
def test_slow_unauthenticated_connection_does_not_delay_startup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_meeting, "MEET_SECONDS", 0.5)
    server = host_meeting.listen()
    stranger = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
    begun = time.monotonic()

    def trickle() -> None:
        with suppress(OSError):
            for _ in range(11):
                stranger.sendall(b"s")
                time.sleep(0.2)

    sending = threading.Thread(target=trickle)
    sending.start()
    assert host_meeting.meet(server, b"secret!!", 1) == []
    assert time.monotonic() - begun < 1.5
    sending.join()
    stranger.close()


def test_failed_accept_does_not_end_the_watch() -> None:
    server = FailingOnce(host_meeting.listen())
    other = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
    other.sendall(b"secret!!" + (1).to_bytes(4, "big"))
    (peer,) = host_meeting.meet(server, b"secret!!", 1)  # type: ignore[arg-type]
    assert peer.index == 1
    for one in (other, peer.connection):
        one.close()


class FailingOnce:
    """A socket whose first connection is gone when it is accepted."""

    def __init__(self, server: socket.socket) -> None:
        self._server, self._failed = server, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def __enter__(self) -> None:
        self._server.__enter__()

    def __exit__(self, *given: object) -> None:
        self._server.__exit__(*given)

    def accept(self) -> Any:
        if self._failed:
            return self._server.accept()
        self._failed = True
        raise ConnectionAbortedError


def get_abort_handler() -> int:
    """The function that the C library calls when the process aborts."""
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    found = library.signal(signal.SIGABRT, None)
    library.signal(signal.SIGABRT, found)
    return found or 0


def test_abort_handler_is_restored_when_all_hosts_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_watch, "AbortHandler", abort_handler_of_the_first_host)
    before = get_abort_handler()
    found = Hosts(2)
    assert get_abort_handler() != before
    assert all_done(found) == [True, True]
    assert get_abort_handler() == before
    found.close()


def abort_handler_of_the_first_host(function: Any) -> AbortHandler | None:
    """A process can have only one abort handler."""
    return None if function.__self__._index else AbortHandler(function)


LEFT = """
import ctypes, gc, queue, sys, threading, time
import mien.training.host_watch as host_watch
from jax._src import distributed

make = host_watch.AbortHandler  # one process has one
host_watch.AbortHandler = lambda function: None if function.__self__._index else make(function)
watch, other = (host_watch.HostWatch(("127.0.0.1:9", "second"), index) for index in range(2))
told = queue.Queue()
thread = threading.Thread(target=lambda: other.start(lambda _: told.get(timeout=20)))
thread.start()
watch.start(lambda numbers: (told.put(numbers), numbers)[1])
thread.join()
distributed.shutdown = lambda: print("shutdown of JAX", flush=True)
watch.leave()
del watch
gc.collect()
# Any thread that JAX aborts, as it does when it misses another host.
threading.Thread(target=ctypes.CDLL(None).abort, daemon=True).start()
time.sleep(4)
print("alive", flush=True)
{last}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "code"),
    [("sys.exit(0)", 0), ("sys.exit(7)", 7), ("raise ValueError", 1), ("sys.exit(130)", 130)],
)
def test_process_that_left_is_not_aborted_and_keeps_its_exit_code(last: str, code: int) -> None:
    script = LEFT.format(last=last)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert "alive" in ran.stdout, ran.stderr
    assert "shutdown of JAX" not in ran.stdout
    assert ran.returncode == code, ran.stderr


def test_connection_without_the_secret_is_rejected() -> None:
    server = host_meeting.listen()
    strangers = [socket.create_connection(("127.0.0.1", server.getsockname()[1])) for _ in range(2)]
    strangers[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    strangers[1].sendall(b"secret!!" + (1).to_bytes(4, "big"))
    (peer,) = host_meeting.meet(server, b"secret!!", 1)
    assert peer.index == 1
    with pytest.raises(ConnectionResetError):
        strangers[0].recv(10)
    for one in (*strangers, peer.connection):
        one.close()


def test_without_connections_there_is_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_meeting, "MEET_SECONDS", 0.1)
    watch = HostWatch(NAMES[:2], 0)
    watch.start(lambda numbers: numbers)
    assert watch.wait_for_loss(5) is None
