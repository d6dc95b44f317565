"""Starting child processes for decoding, and the pipes to them, with a time limit on every read and write."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if os.name == "posix":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
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
    """The child process ended, or sent something that is not a message."""


class ChildLate(Exception):  # noqa: N818 - likewise
    """The child process did not answer in time; it was killed."""


def can_start() -> bool:
    """Whether child processes can be started for decoding; not on Windows and not in a frozen program."""
    return os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)


def start(
    module: str, arguments: Sequence[str] = (), *, descriptors: Sequence[int] = (), arenas: int = 1
) -> Child:
    """Start a module as a child process, with none of the secrets in the environment.

    Args:
        module: a module of mien with a `main` guard.
        arguments: of its command line.
        descriptors: open files that it inherits besides its pipes.
        arenas: of glibc's malloc; each reserves address space, and decoding with many threads is faster with two.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _ONE_THREAD
    environment["MALLOC_ARENA_MAX"] = str(arenas)
    process = subprocess.Popen(  # noqa: S603 - a module of ours
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        pass_fds=descriptors,
        bufsize=0,
    )
    return Child(process)


class Child:
    """A child process and its pipes. One thread talks to it; any thread may kill it.

    Args:
        process: just started, with pipes for standard input and output.

    Attributes:
        was_killed: whether this process has killed it.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._kept = process, bytearray()
        self.was_killed = False
        self._input, self._output = (cast("Any", file).fileno() for file in (process.stdin, process.stdout))
        os.set_blocking(self._input, False)
        with suppress(OSError, AttributeError):  # fewer switches between the processes for a frame of a video
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send(self, data: bytes, until: float) -> None:
        """Write to its standard input.

        Args:
            data: all of it is written.
            until: the time of `time.monotonic` until which that may take.
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
        """The next line that it writes, without its end.

        Args:
            until: the time of `time.monotonic` until which that may take.
        """
        while b"\n" not in self._kept:
            self._kept += self._some(_LONGEST_LINE, until)
            if len(self._kept) > _LONGEST_LINE and b"\n" not in self._kept:
                raise ChildGone
        line, _, rest = self._kept.partition(b"\n")
        self._kept = bytearray(rest)
        return bytes(line)

    def read_into(self, view: memoryview, until: float) -> None:
        """Fill a buffer with what it writes.

        Args:
            view: bytes.
            until: the time of `time.monotonic` until which that may take.
        """
        kept = min(len(self._kept), len(view))
        view[:kept] = self._kept[:kept]
        del self._kept[:kept]
        while kept < len(view):
            some = self._some(min(len(view) - kept, 1 << 20), until)
            view[kept : kept + len(some)] = some
            kept += len(some)

    def wait_for_output(self, seconds: float) -> bool:
        """Wait until it has written something or ended; gives back whether it has."""
        try:
            return self._poll(self._output, select.POLLIN, seconds)
        except ChildGone:
            return True

    def kill(self) -> None:
        """End it at once; whoever talks to it finds it gone."""
        self.was_killed = True
        self._process.kill()

    def close(self) -> int | None:
        """End it and close its pipes; by the thread that talks to it.

        Returns:
            Its exit status, negative for the signal that ended it.
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
        """Why it ended by itself: its exit status, negative for a signal; `None` if it still runs."""
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
        poll = select.poll()  # takes descriptors of any number, which `select.select` does not
        poll.register(descriptor, event)
        try:
            return bool(poll.poll(max(seconds, 0) * 1e3))
        except (OSError, ValueError) as error:
            raise ChildGone from error
