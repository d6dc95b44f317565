"""Start child processes for decoding, and communicate with them through pipes with a timeout on each read and write."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from mien.child_python import module_command

if os.name == "posix":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "PYTHONSAFEPATH",
    "LD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SYSTEMROOT",
)
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_LONGEST_LINE = 1 << 16
_PIPE_BYTES = 1 << 20


class ChildGone(Exception):  # noqa: N818 - named for what happened
    """The child process exited, or sent an invalid message."""


class ChildLate(Exception):  # noqa: N818 - likewise
    """The child process did not respond before the deadline and was killed."""


def can_start() -> bool:
    """Return whether child processes for decoding are supported: not on Windows and not in a frozen program."""
    return os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)


def start(
    module: str, arguments: Sequence[str] = (), *, descriptors: Sequence[int] = (), arenas: int = 1
) -> Child:
    """Start a module as a child process with a minimal environment, which contains no secrets.

    Args:
        module: a module of mien with a `__main__` guard.
        arguments: its command-line arguments.
        descriptors: file descriptors that it inherits in addition to its pipes.
        arenas: number of malloc arenas (glibc). Each reserves address space; decoding with many threads is faster with
            two.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _ONE_THREAD
    environment["MALLOC_ARENA_MAX"] = str(arenas)
    process = subprocess.Popen(  # noqa: S603 - a module of ours
        module_command(module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        pass_fds=descriptors,
        bufsize=0,
    )
    return Child(process)


class Child:
    """A child process and its pipes. Only one thread may communicate with it; any thread may kill it.

    Args:
        process: a process that was just started, with pipes for standard input and output.

    Attributes:
        was_killed: whether `kill` was called.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._kept = process, bytearray()
        self.was_killed = False
        self._input, self._output = (cast("Any", file).fileno() for file in (process.stdin, process.stdout))
        os.set_blocking(self._input, False)
        with suppress(OSError, AttributeError):  # a larger pipe needs fewer context switches per video frame
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def send(self, data: bytes, until: float) -> None:
        """Write all data to the standard input of the process.

        Args:
            data: the data.
            until: deadline, as a time of `time.monotonic`.

        Raises:
            ChildGone: If the process exited.
            ChildLate: If the deadline passed; the process is killed.
        """
        view = memoryview(data)
        while view:
            self._wait(self._input, select.POLLOUT, until)
            try:
                view = view[os.write(self._input, view[: 1 << 20]) :]
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise ChildGone from error

    def read_line(self, until: float) -> bytes:
        """Return the next line of the output, without its line end.

        Args:
            until: deadline, as a time of `time.monotonic`.

        Raises:
            ChildGone: If the process exited, or the line is too long.
            ChildLate: If the deadline passed; the process is killed.
        """
        while b"\n" not in self._kept:
            self._kept += self._some(_LONGEST_LINE, until)
            if len(self._kept) > _LONGEST_LINE and b"\n" not in self._kept:
                raise ChildGone
        line, _, rest = self._kept.partition(b"\n")
        self._kept = bytearray(rest)
        return bytes(line)

    def read_into(self, view: memoryview, until: float) -> None:
        """Fill a buffer with output of the process.

        Args:
            view: the buffer, a view of bytes.
            until: deadline, as a time of `time.monotonic`.

        Raises:
            ChildGone: If the process exited.
            ChildLate: If the deadline passed; the process is killed.
        """
        kept = min(len(self._kept), len(view))
        view[:kept] = self._kept[:kept]
        del self._kept[:kept]
        while kept < len(view):
            some = self._some(min(len(view) - kept, 1 << 20), until)
            view[kept : kept + len(some)] = some
            kept += len(some)

    def wait_for_output(self, seconds: float) -> bool:
        """Wait until there is output or the process exited; return whether that happened within the timeout."""
        try:
            return self._poll(self._output, select.POLLIN, seconds)
        except ChildGone:
            return True

    def kill(self) -> None:
        """Kill the process. A thread that communicates with it gets a `ChildGone` exception."""
        self.was_killed = True
        self._process.kill()

    def close(self) -> int | None:
        """Kill the process if it is running, and close its pipes. Call it in the thread that communicates with it.

        Returns:
            The exit status; the negative signal number if a signal terminated the process.
        """
        gone = self._process.poll()
        if gone is None:
            self._process.kill()
        for file in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                cast("Any", file).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        return self._process.returncode

    def exit_status(self, seconds: float = 1.0) -> int | None:
        """Wait for the process to exit and return its exit status, negative for a signal; `None` after the timeout."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def _some(self, most: int, until: float) -> bytes:
        self._wait(self._output, select.POLLIN, until)
        try:
            some = os.read(self._output, most)
        except (OSError, ValueError) as error:
            raise ChildGone from error
        if not some:
            raise ChildGone
        return some

    def _wait(self, descriptor: int, event: int, until: float) -> None:
        if not self._poll(descriptor, event, until - time.monotonic()):
            self.kill()
            raise ChildLate

    def _poll(self, descriptor: int, event: int, seconds: float) -> bool:
        poll = select.poll()  # unlike `select.select`, accepts file descriptors of 1024 and above
        poll.register(descriptor, event)
        try:
            return bool(poll.poll(max(seconds, 0) * 1e3))
        except (OSError, ValueError) as error:
            raise ChildGone from error
