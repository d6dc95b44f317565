"""Notice that another host of a training is gone, so that the others end with one sentence and do not wait forever.

The hosts add up their gradients after every batch. If one is gone, the others wait in native code, which Python cannot
interrupt, until JAX ends the process with a page of its own messages. So every host holds a TCP connection to the first
one and sends a byte every two seconds. A connection that is closed or silent tells the first host, which tells the
others; a training that does not come out of native code by then is ended with its process. So is a process that JAX
aborts because it has noticed the loss first.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import secrets
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ALIVE, _DONE, _LOST = b".", b"!", b"x"
_BEAT_SECONDS = 2.0
_SILENT_SECONDS = 60.0  # that a host may say nothing
_DONE_SECONDS = 20.0  # that a host may train on after another one is done
_MEET_SECONDS = 30.0
_GRACE_SECONDS = 10.0  # for the training to come out of native code by itself
_ABORT_SECONDS = 1.0  # in which JAX aborts a process if it does so at all
_HELLO = 12  # bytes: 8 of a secret, 4 of the host's index


@dataclass
class _Peer:
    """Another host, as one process sees it."""

    index: int
    connection: socket.socket
    heard: float = field(default_factory=time.monotonic)
    done: bool = False


class HostWatch:
    """Watches the other hosts while a training lasts.

    Args:
        hosts: the names of all hosts.
        index: the place of this host among them.
        end: what ends a process whose training does not come out of native code; told the sentence.
    """

    def __init__(self, hosts: Sequence[str], index: int, end: Callable[[str], None] | None = None) -> None:
        self._hosts, self._index, self._end = tuple(hosts), index, end or _end_process
        self._peers: list[_Peer] = []
        self._is_done = threading.Event()
        self._is_lost = threading.Event()
        self._came_out = threading.Event()
        self._ended = threading.Event()
        self._lost_index = -1
        self._abort: _AbortHandler | None = None

    def start(self, broadcast: Callable[[Sequence[int]], Sequence[int]]) -> None:
        """Meet the others and begin to watch. Without connections there is no watch, and JAX's own timeout holds.

        Args:
            broadcast: gives every host the whole numbers of the first one, each below 2**31.
        """
        server = _listen() if self._index == 0 else None
        secret = [secrets.randbelow(2**31) for _ in range(2)]
        port, *secret = broadcast([server.getsockname()[1] if server else 0, *secret])
        greeting = b"".join(int(one).to_bytes(4, "big") for one in secret)
        with suppress(OSError):
            if server:
                self._peers = _meet(server, greeting, len(self._hosts) - 1)
            else:
                self._peers = [_Peer(0, self._connect(int(port), greeting))]
        if self._peers:
            self._abort = _AbortHandler(self._on_abort)
            threading.Thread(target=self._watch, name="host-watch", daemon=True).start()

    def _connect(self, port: int, greeting: bytes) -> socket.socket:
        host = self._hosts[0].rpartition(":")[0].strip("[]")
        connection = socket.create_connection((host, port), timeout=_MEET_SECONDS)
        connection.sendall(greeting + self._index.to_bytes(4, "big"))
        return connection

    @property
    def lost(self) -> ModelError | None:
        """Why the training cannot go on, `None` where all hosts are there."""
        return ModelError(self._sentence()) if self._is_lost.is_set() else None

    def wait_for_loss(self, seconds: float = 5.0) -> ModelError | None:
        """As `lost`, for a training that has failed: the loss may be noticed a moment later."""
        if self._peers:
            self._is_lost.wait(seconds)
        return self.lost

    def give_up(self) -> None:
        """Have the process end without JAX's goodbyes, which fail without the other host and abort it."""
        time.sleep(_ABORT_SECONDS)  # an abort says the same, and nothing comes after it
        self._came_out.set()
        self._is_done.set()
        atexit.register(_leave, 2)

    def done(self) -> bool:
        """Tell the others that the training of this host has ended; gives back whether theirs has, too."""
        self._came_out.set()
        self._is_done.set()
        for peer in self._peers:
            with suppress(OSError):
                peer.connection.sendall(_DONE)
        if self._peers:
            self._ended.wait(2 * _DONE_SECONDS)
        if self._abort:
            self._abort.restore()
        if all(peer.done for peer in self._peers):
            return True
        atexit.register(_leave, 0)
        return False

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer in self._peers:
                peer.connection.setblocking(False)
                selector.register(peer.connection, selectors.EVENT_READ, peer)
            sent = 0.0
            until = 0.0
            while not self._is_lost.is_set():
                for key, _ in selector.select(0.5):
                    self._hear(key.data)
                now = time.monotonic()
                if self._is_done.is_set():
                    until = until or now + _DONE_SECONDS
                    if now > until or all(peer.done for peer in self._peers):
                        break
                    continue
                if now - sent >= _BEAT_SECONDS:
                    sent = now
                    self._send(_ALIVE)
                self._lose_silent_ones(now)
        self._ended.set()
        if self._is_lost.is_set() and not self._is_done.is_set():
            self._send(_LOST + self._lost_index.to_bytes(4, "big"))
            if not self._came_out.wait(_GRACE_SECONDS):
                self._end(self._sentence())

    def _lose_silent_ones(self, now: float) -> None:
        for peer in self._peers:
            if now - peer.heard > (_DONE_SECONDS if peer.done else _SILENT_SECONDS):
                self._lose(peer.index)

    def _on_abort(self) -> None:
        """End an aborting process with a sentence if the reason is a loss; called in the thread that aborts."""
        if not self._is_lost.wait(3.0) and not self._came_out.is_set():
            return
        self._end("" if self._came_out.is_set() else self._sentence())

    def _hear(self, peer: _Peer) -> None:
        """Take what a host says."""
        try:
            told = peer.connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if peer.done:
            time.sleep(0.1)  # its connection is closed, which would be heard again and again
            return
        if not told:
            self._lose(peer.index)
            return
        peer.heard = time.monotonic()
        if _DONE in told:
            peer.done = True
        if _LOST in told:
            after = told.index(_LOST) + 1
            self._lose(int.from_bytes(told[after : after + 4], "big"))

    def _lose(self, index: int) -> None:
        if not self._is_lost.is_set() and not self._is_done.is_set():
            self._lost_index = index
            self._is_lost.set()

    def _send(self, message: bytes) -> None:
        for peer in self._peers:
            with suppress(OSError):
                peer.connection.sendall(message)

    def _sentence(self) -> str:
        known = 0 <= self._lost_index < len(self._hosts)
        name = f" ({self._hosts[self._lost_index][:60]})" if known else ""
        return (
            f"Host {self._lost_index}{name} has ended or cannot be reached, so this host stops its training, too. Start "
            "the same command on every host again, with `resume`."
        )


def _listen() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _meet(server: socket.socket, greeting: bytes, count: int) -> list[_Peer]:
    """The connections of all other hosts; strangers, who do not know the greeting, are turned away.

    Raises:
        OSError: not all have come.
    """
    until = time.monotonic() + _MEET_SECONDS
    peers: list[_Peer] = []
    with server:
        while len(peers) < count:
            server.settimeout(max(0.01, until - time.monotonic()))
            connection, _ = server.accept()
            connection.settimeout(5.0)
            hello = b""
            with suppress(OSError):
                while len(hello) < _HELLO and (more := connection.recv(_HELLO - len(hello))):
                    hello += more
            if len(hello) == _HELLO and hello.startswith(greeting):
                peers.append(_Peer(int.from_bytes(hello[8:], "big"), connection))
            else:
                connection.close()
    return peers


class _AbortHandler:
    """Calls a function when native code aborts the process; if that returns, the process ends as usual.

    Python's own handlers run in the main thread, which waits in native code, so this one is set in the C library.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _number: function())
        self._set = None
        if sys.platform != "win32":
            self._set = ctypes.CDLL(None).signal
            self._set.argtypes, self._set.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
            self._before = self._set(signal.SIGABRT, ctypes.cast(self._handler, ctypes.c_void_p))

    def restore(self) -> None:
        """Have an abort end the process as before."""
        if self._set:
            self._set(signal.SIGABRT, self._before)


def _leave(code: int) -> None:
    """End the process before JAX's own handler, which waits for hosts that are gone and aborts."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _end_process(sentence: str) -> None:
    """Say why and end: nothing else ends a thread that waits in native code."""
    if sentence:
        with suppress(OSError):
            os.write(2, f"{sentence}\n".encode())
    os._exit(2)
