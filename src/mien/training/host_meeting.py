"""TCP connections between the first host of a training and all others."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

MEET_SECONDS = 30.0  # until all hosts are connected
HELLO_BYTES = 12  # handshake in bytes: 8 for a secret, 4 for the host index


@dataclass
class Peer:
    """The state of another host, as known to this process."""

    index: int
    connection: socket.socket
    heard: float = field(default_factory=time.monotonic)
    done: bool = False  # has completed all epochs
    gone: bool = False  # was done, then disconnected or timed out


def listen() -> socket.socket:
    """Return a server socket on a free port of all addresses."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def meet(server: socket.socket, greeting: bytes, count: int) -> list[Peer]:
    """Accept the connections of all other hosts; return none if one does not connect in time.

    Connections without the secret in `greeting` are closed.
    """
    until = time.monotonic() + MEET_SECONDS
    peers: list[Peer] = []
    with server:
        while len(peers) < count and (left := until - time.monotonic()) > 0:
            server.settimeout(left)
            try:
                connection, _ = server.accept()
            except OSError:
                time.sleep(0.05)  # failed or timed out; wait for the next connection
                continue
            hello = receive(connection, HELLO_BYTES, min(until, time.monotonic() + 5.0))
            if len(hello) == HELLO_BYTES and hello.startswith(greeting):
                peers.append(Peer(int.from_bytes(hello[8:], "big"), connection))
            else:
                connection.close()
    for peer in peers if len(peers) < count else ():
        peer.connection.close()
    return peers if len(peers) == count else []


def receive(connection: socket.socket, size: int, until: float) -> bytes:
    """Receive `size` bytes, or fewer if the connection closes or the deadline passes."""
    told = b""
    with suppress(OSError):
        while len(told) < size and (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (more := connection.recv(size - len(told))):
                break
            told += more
    return told
