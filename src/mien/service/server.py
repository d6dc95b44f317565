"""Run the service: socket, workers, logs and graceful shutdown."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from mien.errors import DataError
from mien.interrupts import interrupts_delayed
from mien.service.app import create_app
from mien.service.connections import FrontProtocol, connection_limits, end_now, raise_file_limit
from mien.service.limits import HEADER
from mien.service.log_output import drain_log
from mien.service.problems import plain, shown
from mien.service.prometheus import SHARED
from mien.service.served_model import open_model
from mien.service.worker_folder import worker_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from types import FrameType

    from mien.service.openapi import Service
    from mien.service.settings import Settings

_IDLE = 5  # seconds that a connection may wait for its next request
_AFTER_GRACE = 3  # seconds
_SEND_BUFFER = 128 << 10  # bytes of a response that the system buffers per connection
_PATIENCE = 60  # timeout of worker health checks in seconds; starting takes a while on a busy machine
_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "filters": {"limit": {"()": "mien.service.log_limits.LogLimit"}},
    "handlers": {
        "stderr": {"class": "mien.service.log_output.LogOutput", "formatter": "line", "filters": ["limit"]}
    },
    "loggers": {
        "asyncio": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "mien.service": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 selects a free port.

    Raises:
        DataError: the host is not an address of this machine, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise DataError(f"Expected a host of this machine, got {shown(host)}. Try 127.0.0.1.") from error
    listener = socket.socket(family, kind, protocol)
    if os.name == "posix":  # on Windows it would let two services share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Limits what is buffered for a client that does not read; connections inherit this from the listener.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    try:
        listener.bind(address)
        listener.listen(connection_limits(1 << 16)[1])
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"Expected a free port of this machine, got {plain(host)}:{port} ({reason}). "
            "Choose another with `port` or `host`."
        ) from error
    listener.set_inheritable(True)
    return listener


def prepare(
    settings: Settings, *, workers: int = 1, tell: Callable[[str], None] = lambda _note: None
) -> uvicorn.Config:
    """Load the model and configure the server, so that errors occur before the service starts.

    Args:
        settings: settings of each worker.
        workers: number of processes; each loads the model itself.
        tell: callback that receives a note on the assumed pixel range of a model file without a card.

    Raises:
        ModelError: the model is missing, unsupported or not trusted.
    """
    if workers == 1:
        app: Any = create_app(settings)
        note = app.state.parts.engine.note
    else:
        app = functools.partial(_make_worker, settings)
        _, note = open_model(settings)  # an invalid model is reported here, not by each worker
    if note:
        tell(note)
    return configure(app, settings, workers=workers)


def serve(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in progress are finished.

    Args:
        config: the result of `prepare`.
        listener: the result of `bind`; it is closed at the end.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the service.
    """
    if config.workers == 1:
        _serve_here(config, listener)
        return
    with worker_folder() as folder:
        os.environ[SHARED] = str(folder)  # the workers share their metrics there, nothing else
        try:
            group = _Workers(config, [listener])
            group.run()
        finally:
            del os.environ[SHARED]
    drain_log()
    if group.interrupted:
        raise KeyboardInterrupt


def _make_worker(settings: Settings) -> Service:
    """Create the application of one worker, which exits when the supervisor has exited."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_after, args=(supervisor,), daemon=True).start()
    if threading.current_thread() is threading.main_thread():
        ended = signal.getsignal(signal.SIGTERM)

        def end(sig: int, frame: FrameType | None) -> None:
            end_after(_grace(settings))
            if callable(ended):
                ended(sig, frame)

        signal.signal(signal.SIGTERM, end)
    return create_app(settings)


def _end_after(process: BaseProcess) -> None:
    process.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _Workers(Multiprocess):
    """Uvicorn's supervisor of workers, which also records Ctrl-C and detects the exit of a worker immediately."""

    interrupted = False

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._ending = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end_soon)

    def _end_soon(self, number: int, _: FrameType | None) -> None:
        """Shut down all workers, including suspended ones."""
        self.signal_queue.append(number)
        if self._ending:
            return
        self._ending = True
        for process in self.processes:
            if process.pid is not None and hasattr(signal, "SIGCONT"):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
        threading.Thread(target=self._kill_late, daemon=True).start()

    def _kill_late(self) -> None:
        time.sleep((self.config.timeout_graceful_shutdown or 0) + _AFTER_GRACE)
        for process in self.processes:
            with suppress(OSError, ValueError):
                process.process.kill()

    def keep_subprocess_alive(self) -> None:
        # While the worker's end of the pipe is also open here, the health check of a worker that dies during the check
        # blocks until its timeout, and delays the checks of all other workers.
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()

    def handle_int(self) -> None:
        self.interrupted = True
        super().handle_int()


def _serve_here(config: uvicorn.Config, listener: socket.socket) -> None:
    # After shutdown, the server raises the signal that ended it again; this is not a failure.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    status = 0
    try:
        _Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        status = 130
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        drain_log()
        if _still_working():
            end_now(status)
        end_after(None)


class _Server(uvicorn.Server):
    """Uvicorn's server, whose process exits soon after the grace period even if native code is still running."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it."""
        make_loop = self.config.get_loop_factory() or asyncio.new_event_loop
        serving = self.serve(sockets=sockets)
        loop: asyncio.AbstractEventLoop | None = None
        try:
            with (
                interrupts_delayed()
            ):  # in the constructor of a loop it would leave one that cannot be closed
                loop = made = make_loop()
            with asyncio.Runner(loop_factory=lambda: made) as runner:
                runner.run(serving)
        finally:
            serving.close()  # avoids a warning if Ctrl-C arrives before it has started
            if loop:
                loop.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        end_after(self.config.timeout_graceful_shutdown or 0)
        super().handle_exit(sig, frame)


def end_after(grace: float | None) -> None:
    """Let the system kill this process after a grace period, even if no Python code can run; `None` cancels this."""
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(0 if grace is None else int(grace) + _AFTER_GRACE)


def _still_working() -> bool:
    """Return whether worker threads are still running after half a second; Python would wait for them."""
    end = time.monotonic() + 0.5
    while any(thread.name.startswith("mien") for thread in threading.enumerate()):
        if time.monotonic() > end:
            return True
        time.sleep(0.01)
    return False


def _grace(settings: Settings) -> int:
    """Return the grace period in seconds."""
    return int(max(settings.deadline, 1)) + 1


def configure(app: Any, settings: Settings, *, workers: int) -> uvicorn.Config:
    """Return the Uvicorn configuration for an application, or for a factory if there are several workers."""
    raise_file_limit()
    most, backlog = connection_limits(settings.connections)
    return uvicorn.Config(
        app,
        factory=workers > 1,
        workers=workers,
        http=functools.partial(FrontProtocol, settings, most),  # type: ignore[arg-type]  # called like the class
        limit_concurrency=most + 1,  # of requests; `FrontProtocol` closes connections past `most`
        h11_max_incomplete_event_size=HEADER,
        timeout_keep_alive=_IDLE,
        ws="none",
        lifespan="on",
        loop="asyncio",
        interface="asgi3",
        log_config=_LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=backlog,
        timeout_graceful_shutdown=_grace(settings),
        timeout_worker_healthcheck=_PATIENCE,
    )
