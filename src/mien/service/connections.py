"""Connection limits: the number of connections, and timeouts for sending, reading and idling.

Uvicorn's h11 protocol has no such limits, except the keep-alive timeout.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.service.limits import CUT

if TYPE_CHECKING:
    import asyncio

    from mien.service.settings import Settings

_TICK = 0.5  # seconds between two checks of a connection
_LINGER = 5.0  # seconds for reading the body of a refused request, so that the client receives the response
_FREE_PIECES = 1_000
_LEAST_PIECE = 64  # minimum average bytes per piece of a body beyond the free pieces
_RESERVE = 64  # file descriptors for everything but connections
_PARTING = 3.0  # seconds, during shutdown, to receive a request and to have some of a response read

_ENDING = "ending"  # key in the state of the application


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limits(most: int) -> tuple[int, int]:
    """Return the maximum number of connections and the backlog, within the limit of open files.

    Args:
        most: desired maximum number of connections.
    """
    files = 1 << 16
    with suppress(ImportError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = soft if soft > 0 else files
    backlog = max(
        8, min(512, files // 4)
    )  # asyncio accepts this many at a time, before any of them is processed
    return max(8, min(most, files - backlog - _RESERVE)), backlog


class Pieces(h11.Connection):
    """An HTTP/1.1 server connection that refuses bodies in very small pieces; each costs as much as a large one."""

    def __init__(self, header_bytes: int) -> None:
        super().__init__(h11.SERVER, header_bytes)
        self._pieces = self._bytes = 0

    def next_event(self) -> Any:
        """Return the next event of a request.

        Raises:
            h11.RemoteProtocolError: the request is not valid HTTP, or the pieces of its body are too small.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
            names = {name for name, _ in event.headers}
            if {
                b"content-length",
                b"transfer-encoding",
            } <= names:  # a proxy may use the other one: request smuggling (RFC 9112, 6.1)
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > _FREE_PIECES + self._bytes // _LEAST_PIECE:
                raise h11.RemoteProtocolError("too many small pieces")
        return event


class FrontProtocol(H11Protocol):
    """One connection, with limits.

    Args:
        settings: the limits.
        most: maximum number of connections.
        options: arguments that Uvicorn passes to its protocols.
    """

    def __init__(self, settings: Settings, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._settings, self._most = settings, most
        self.conn = Pieces(self.config.h11_max_incomplete_event_size or 16384)
        self._tick: asyncio.TimerHandle | None = None
        self._header_since: float | None = None  # start of the wait for a header
        self._left_since: float | None = None  # start of reading the rest of a refused body
        self._unread = 0
        self._unread_since = 0.0
        self._ending_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if self.app_state.get(_ENDING):  # accepted after shutdown had begun
            transport.close()
            return
        peer = self.client[0] if self.client else None
        same = sum(1 for one in self.connections if (getattr(one, "client", None) or [None])[0] == peer)
        if len(self.connections) > self._most or same > self._settings.connections_per_caller:
            self._count("connections")
            transport.write(_BUSY)
            transport.close()
        self._header_since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after a closed connection."""
        if self._tick:
            self._tick.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Shut down: a request in progress is finished; one that is still arriving gets a few seconds."""
        self.app_state[_ENDING] = True
        self._ending_since = self.loop.time()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Process received data."""
        if self.transport.is_closing():
            return
        if self._header_since is None and (self.cycle is None or self.cycle.response_complete):
            self._header_since = self.loop.time()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._header_since = None

    def on_response_complete(self) -> None:
        """Reset the header timeout, which starts again with the first byte of the next request."""
        self._header_since = None
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Send 400 for invalid HTTP, or abort the connection if a response has started."""
        self._count("protocol")
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def _look_later(self) -> None:
        self._tick = self.loop.call_later(_TICK, self._look)

    def _look(self) -> None:
        """Close the connection if a timeout has expired; otherwise, check again later."""
        now = self.loop.time()
        if self._does_not_read(now):
            self._count("unread")
            self.transport.abort()
            return
        if not self.transport.is_closing():
            self._close_if_late(now)
        self._look_later()

    def _close_if_late(self, now: float) -> None:
        if self._ending_since is not None and now - self._ending_since > _PARTING:
            self._cut_short()
        if self._header_since is not None and now - self._header_since > self._settings.header_timeout:
            self._count("header time")
            if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:  # a partial header
                self.transport.write(_SLOW)
            self.transport.close()
            return
        is_left = (
            self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete
        )
        self._left_since = (self._left_since or now) if is_left else None
        if self._left_since is not None and now - self._left_since > _LINGER:
            self.transport.close()

    def _cut_short(self) -> None:
        """Refuse a request whose body has not arrived yet."""
        if (
            self.conn.their_state is h11.SEND_BODY
            and self.cycle is not None
            and not self.cycle.response_started
        ):
            self.scope["state"][CUT] = True
            self.cycle.message_event.set()  # wakes up the reader of the body

    def _does_not_read(self, now: float) -> bool:
        """Return whether the client has not read any of its response for too long."""
        size = self.transport.get_write_buffer_size()
        if not size or size < self._unread or not self._unread:
            self._unread_since = now
        self._unread = size
        patience = self._settings.write_timeout
        if self._ending_since is not None:
            patience = min(patience, _PARTING)
        return bool(size) and now - self._unread_since > patience

    def _count(self, reason: str) -> None:
        metrics = self.app_state.get("metrics")
        if metrics is not None:
            metrics.refusals.labels(reason).inc()


def _plain(status: str, text: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    return f"{head}Retry-After: 5\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


_BUSY = _plain("503 Service Unavailable", "Too many connections. Retry in a few seconds.")
_SLOW = _plain("408 Request Timeout", "The header of the request did not arrive in time.")


def end_now(status: int) -> None:
    """Exit the process immediately, even if threads are still working for disconnected clients."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)
