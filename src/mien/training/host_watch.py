"""Detect the loss of a host in multi-host training, so that the other hosts exit with an error instead of hanging.

The hosts sum their gradients after every batch. If a host is lost, the others block in native code, which Python cannot
interrupt, until JAX aborts the process with pages of its own messages. Therefore every host keeps a TCP connection to
the first host and sends a heartbeat every two seconds. If a connection closes or its heartbeats time out, the first
host notifies the others. A process whose training does not return from native code within the grace period exits, and
so does a process that JAX aborts because it detected the loss first.

A host that has completed all epochs reports that it is done and waits for the others without a timeout. The first host
reports that it is done when all hosts are; from then on no host depends on another. The hosts are watched only if all
of them connect to the first one.
"""

from __future__ import annotations

import atexit
import secrets
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.training import host_meeting
from mien.training.host_meeting import Peer
from mien.training.native_end import AbortHandler, end_process, skip_shutdown_of_jax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_READY, _ALIVE, _DONE, _LOST = b"+", b".", b"!", b"x"
_BEAT_SECONDS = 2.0
_SILENT_SECONDS = 60.0  # heartbeat timeout
_GRACE_SECONDS = 10.0  # in which the training can return from native code after a loss
_ABORT_SECONDS = 3.0  # in which JAX detects a loss and prints its messages, if it does
_LEFT: list[HostWatch] = []  # keeps the connections open and the abort handlers in memory


class HostWatch:
    """Watch the other hosts during a training.

    Args:
        hosts: the names of all hosts.
        index: index of this host in `hosts`.
        end: function that exits the process if the training does not return from native code; called with the error
            message.
    """

    def __init__(self, hosts: Sequence[str], index: int, end: Callable[[str], None] | None = None) -> None:
        self._hosts, self._index, self._end = tuple(hosts), index, end or end_process
        self._peers: list[Peer] = []
        self._is_done = threading.Event()
        self._is_lost = threading.Event()
        self._came_out = threading.Event()
        self._parted = threading.Event()
        self._aborting = threading.Event()
        self._lost_index = -1
        self._sent = 0.0
        self._ending = threading.Lock()
        self._abort: AbortHandler | None = None

    def start(self, broadcast: Callable[[Sequence[int]], Sequence[int]]) -> None:
        """Connect to the other hosts and start to watch them.

        If a host does not connect, there is no watch, and only JAX's own timeout applies.

        Args:
            broadcast: returns the first host's integers, each below 2**31, on every host.
        """
        server = host_meeting.listen() if self._index == 0 else None
        secret = [secrets.randbelow(2**31) for _ in range(2)]
        port, *secret = broadcast([server.getsockname()[1] if server else 0, *secret])
        greeting = b"".join(int(one).to_bytes(4, "big") for one in secret)
        if server:
            self._peers = host_meeting.meet(server, greeting, len(self._hosts) - 1)
            self._send(_READY)
        else:
            with suppress(OSError):
                self._peers = self._connect(int(port), greeting)
        if self._peers:
            self._abort = AbortHandler(self._on_abort)
            threading.Thread(target=self._watch, name="host-watch", daemon=True).start()

    def _connect(self, port: int, greeting: bytes) -> list[Peer]:
        """Connect to the first host; return no peer unless it confirms that all hosts are connected."""
        host = self._hosts[0].rpartition(":")[0].strip("[]")
        connection = socket.create_connection((host, port), timeout=host_meeting.MEET_SECONDS)
        with suppress(OSError):
            connection.sendall(greeting + self._index.to_bytes(4, "big"))
        if host_meeting.receive(connection, 1, time.monotonic() + 2 * host_meeting.MEET_SECONDS) == _READY:
            return [Peer(0, connection)]
        connection.close()
        return []

    @property
    def lost(self) -> ModelError | None:
        """The error to raise if a host is lost; `None` if no loss has been detected."""
        return ModelError(self._sentence()) if self._is_lost.is_set() else None

    def wait_for_loss(self, seconds: float = 5.0) -> ModelError | None:
        """Return `lost` for a failed training, waiting up to `seconds` because the loss may be detected later."""
        if self._peers:
            self._is_lost.wait(seconds)
        return self.lost

    def leave(self) -> None:
        """Leave the training; the other hosts stop as well, unless this host is done.

        This also prevents JAX from waiting for the other hosts at exit, and from aborting because they are gone.
        """
        if not self._peers or (self._parted.is_set() and not self._is_lost.is_set()):
            return
        with self._ending:
            self._came_out.set()
            if not self._is_lost.is_set():
                self._parted.set()  # set before sending: the others reply that this host is lost
        self._send(_LOST + (self._lost_index if self._is_lost.is_set() else self._index).to_bytes(4, "big"))
        self._parted.set()
        if self._is_lost.is_set():
            self._aborting.wait(_ABORT_SECONDS)  # so that the error message is printed last
        self._skip_shutdown()

    def done(self) -> bool:
        """Report that this host has completed all epochs, and wait for the others.

        Returns:
            Whether all hosts are still connected and can shut JAX down together.

        Raises:
            ModelError: If another host ended before it was done.
        """
        if self._parted.is_set() and not self._is_lost.is_set():
            return False
        with self._ending:
            self._came_out.set()
        self._is_done.set()
        if self._index:  # the first host reports it when all are done
            self._send(_DONE)
        if self._peers:
            self._parted.wait()
        if lost := self.lost:
            raise lost
        if any(peer.gone for peer in self._peers):
            self._skip_shutdown()
            return False
        if self._abort:
            self._abort.restore()
        return True

    def _skip_shutdown(self) -> None:
        if self not in _LEFT:
            _LEFT.append(self)
            skip_shutdown_of_jax()
            if self._abort:
                atexit.register(self._abort.suspend)

    def _watch(self) -> None:
        try:
            self._watch_until_parted()
        finally:
            self._parted.set()
        if self._is_lost.is_set():
            self._send(_LOST + self._lost_index.to_bytes(4, "big"))
            self._came_out.wait(_GRACE_SECONDS)
            self._end_unless_out()

    def _watch_until_parted(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer in self._peers:
                peer.connection.setblocking(False)
                selector.register(peer.connection, selectors.EVENT_READ, peer)
            while not self._is_lost.is_set() and not self._parted.is_set():
                for key, _ in selector.select(min(0.5, _BEAT_SECONDS)):
                    if not self._hear(key.data):
                        selector.unregister(key.fileobj)
                        self._miss(key.data)
                if self._is_done.is_set() and all(peer.done for peer in self._peers):
                    if self._index == 0:
                        self._send(_DONE)
                    break
                self._beat(time.monotonic())

    def _beat(self, now: float) -> None:
        """Send a heartbeat when one is due, and handle peers whose heartbeats timed out."""
        if now - self._sent >= _BEAT_SECONDS:
            self._sent = now
            self._send(_ALIVE)
        for peer in self._peers:
            if now - peer.heard > _SILENT_SECONDS:
                self._miss(peer)

    def _on_abort(self) -> None:
        """Exit an aborting process with an error message if a host was lost; called in the thread that aborts.

        The main thread may be writing a file, so it is given the grace period. After this host has left, JAX's threads
        may abort because the others are gone; such threads are blocked.
        """
        self._aborting.set()
        in_main = threading.current_thread() is threading.main_thread()
        if self._is_lost.wait(3.0):
            if not in_main:
                self._came_out.wait(_GRACE_SECONDS)
            self._end_unless_out()
        if self._came_out.is_set() and not in_main:
            threading.Event().wait()

    def _end_unless_out(self) -> None:
        with self._ending:
            if not self._came_out.is_set():
                self._end(self._sentence())

    def _hear(self, peer: Peer) -> bool:
        """Receive the messages of a peer; return whether its connection is open."""
        try:
            told = peer.connection.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            told = b""
        if not told:
            return False
        peer.heard = time.monotonic()
        said, lost, index = told.partition(_LOST)
        peer.done = peer.done or _DONE in said
        if lost and not peer.done:
            self._lose(int.from_bytes(index[:4], "big"))
        return True

    def _miss(self, peer: Peer) -> None:
        """Handle a lost connection: the training continues only if that peer is done."""
        if peer.done:
            peer.gone = True
        else:
            self._lose(peer.index)

    def _lose(self, index: int) -> None:
        with self._ending:
            if not self._is_lost.is_set() and not self._parted.is_set():
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
