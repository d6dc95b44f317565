"""Run a worker process and restart it after a crash or timeout, without losing an input or counting it twice."""

from __future__ import annotations

import json
import pickle
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.bulk.output import set_aside
from mien.bulk.worker_folders import WorkerFolder
from mien.child_python import module_command
from mien.errors import MienError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.bulk.entries import Entry
    from mien.bulk.fetching import Fetched, Fetcher
    from mien.bulk.model_spec import ModelSpec, Seconds

Input = tuple["Entry", "Fetched | None"]
"""An input and its fetched content; if the content is `None`, the worker fetches it."""

COMMAND = module_command("mien.bulk.worker")
"""Command that starts a worker."""

_AHEAD = 16  # maximum inputs in flight per worker
_AHEAD_BYTES = 48 * 2**20
_UNKNOWN_BYTES = 4 * 2**20  # assumed size of an input of unknown size
_STARTS = 3  # maximum attempts to start a worker
_FETCH_SECONDS = 600.0  # extra timeout for fetching an input: the longest try (`remote_reads`)
_IDLE_DEATHS = 5  # consecutive crashes without an input in progress, before the first waiting one is blamed


Take = Callable[[dict[str, Any], "Seconds", int], None]
"""Callback that receives a finished row, its seconds by stage, and the process id of its worker."""


@dataclass
class Attempts:
    """Counts how often each input has crashed its worker or timed out.

    Args:
        most: number of attempts after which an input is set aside.
        counts: number of failed attempts by id.
        log: callback that receives all counts after each change.
    """

    most: int
    counts: dict[int, int] = field(default_factory=dict)
    log: Callable[[dict[int, int]], None] = lambda _counts: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, entry: Entry) -> int:
        """Count one more failed attempt of an input and return its count."""
        with self._lock:
            number = self.counts[entry.id] = self.counts.get(entry.id, 0) + 1
            self.log(dict(self.counts))
        return number


class WorkerProcess:
    """A running `mien.bulk.worker` process, with a folder for its temporary files that is removed at its end.

    Args:
        spec: the model.
        fetcher: reads inputs.
    """

    def __init__(self, spec: ModelSpec, fetcher: Fetcher) -> None:
        self._folder = WorkerFolder()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1
            )
        except BaseException:
            self._folder.remove()
            raise
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.send((spec, fetcher.copying_to(self._folder.path)))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def _listen(self) -> None:
        stream = self._process.stdout
        with suppress(ValueError, OSError):  # a line truncated by a crash
            for line in stream or ():
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def send(self, message: Any) -> None:
        """Send a message; do nothing if the process has exited."""
        with suppress(OSError, ValueError):
            if self._process.stdin:
                pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
                self._process.stdin.flush()

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """Return the next message; `None` if the process has exited.

        Raises:
            queue.Empty: no message arrived within `timeout` seconds.
        """
        return self._answers.get(timeout=timeout)

    def end(self) -> str:
        """Kill the process if it is still running, remove its temporary files, and return how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        killed_here = self._process.poll() is None
        self._process.kill()
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError, ValueError):
                if stream:
                    stream.close()
        self._folder.remove()
        if killed_here:
            return "no answer"
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            name = signal.Signals(-code).name
            return f"{name}, as when memory runs out" if name == "SIGKILL" else name
        return f"signal {-code}"


class Supervisor:
    """Runs one worker process and restarts it after a crash or timeout.

    Args:
        spec: the model.
        fetcher: reads inputs.
        attempts: number of failed attempts per input; shared by all supervisors.
        timeout: maximum seconds between messages of a worker on one input; after that, the worker is killed.
    """

    def __init__(self, spec: ModelSpec, fetcher: Fetcher, attempts: Attempts, timeout: float) -> None:
        self._spec, self._fetcher, self._attempts, self._timeout = spec, fetcher, attempts, timeout
        self._worker: WorkerProcess | None = None
        self._waiting: dict[int, Input] = {}
        self._begun: int | None = None
        self._idle_deaths = 0
        self._closing = threading.Lock()
        self.stopped = False

    def run(self, inputs: Iterator[Input], take: Take) -> None:
        """Recognize all inputs.

        Args:
            inputs: the inputs, consumed as the worker has capacity.
            take: callback that receives exactly one row per input.

        Raises:
            MienError: workers cannot be started.
        """
        numbers = iter(range(2**62))
        more = True
        while not self.stopped:
            while more and self._has_room():
                one = next(inputs, None)
                if one is None:
                    more = False
                    break
                worker = self._ready()
                if worker is None:
                    return
                number = next(numbers)
                self._waiting[number] = one
                worker.send((number, *one))
            if not self._waiting:
                return
            self._answer(take)

    def close(self) -> None:
        """Stop the worker."""
        self.stopped = True
        with self._closing:
            worker, self._worker = self._worker, None
        if worker:
            worker.end()

    def _has_room(self) -> bool:
        sizes = [_size(*one) for one in self._waiting.values()]
        return len(sizes) < _AHEAD and sum(sizes) < _AHEAD_BYTES

    def _ready(self) -> WorkerProcess | None:
        """Return the worker, started if necessary; `None` if it is to be stopped."""
        if self._worker is None:
            self._worker = start_worker(self._spec, self._fetcher)
            self._begun = None
        if self.stopped:  # possibly while the worker was starting and `close` found none to stop
            self.close()
        return self._worker

    def _answer(self, take: Take) -> None:
        """Handle the next message, a timeout or the exit of the worker."""
        worker = self._ready()
        if worker is None:
            return
        limit = self._timeout + (0.0 if self._begun is not None else _FETCH_SECONDS)
        try:
            message = self._next_message(worker, limit)
        except queue.Empty:
            if self._begun is None:  # the worker waits for the content of the first input
                self._begun = next(iter(self._waiting))
            self._died(f"no answer for {limit:g} seconds", take)
            return
        if message is None:
            self._died("", take)
        elif "begin" in message:
            self._begun = message["begin"]
        elif "row" in message:
            self._begun, self._idle_deaths = None, 0
            if self._waiting.pop(message["number"], None) is not None:
                take(message["row"], message["seconds"], worker.pid)

    def _next_message(self, worker: WorkerProcess, limit: float) -> dict[str, Any] | None:
        """Return the next message; those on reading ahead are no heartbeats of the input in progress."""
        deadline = time.monotonic() + limit
        while True:
            message = worker.receive(max(0.0, deadline - time.monotonic()))
            if message is None or "fetching" not in message or self._begun is None:
                return message

    def _died(self, reason: str, take: Take) -> None:
        """Start another worker and resend the waiting inputs, except one that has reached its maximum attempts."""
        dead = self._worker
        if dead is None or self.stopped:
            return
        pid, how = dead.pid, dead.end()
        self._worker, blamed, self._begun = None, self._begun, None
        if blamed is None:
            self._idle_deaths += 1
            if self._idle_deaths >= _IDLE_DEATHS:
                blamed = next(iter(self._waiting), None)
        if blamed is not None and blamed in self._waiting:
            entry, _ = self._waiting[blamed]
            times = self._attempts.add(entry)
            if times >= self._attempts.most:
                del self._waiting[blamed]
                take(set_aside(entry, times, reason or how), {}, pid)
        if self._waiting and (worker := self._ready()):
            for number, one in self._waiting.items():
                worker.send((number, *one))


def _size(entry: Entry, fetched: Fetched | None) -> int:
    """Return the bytes of an input in memory, or an assumption."""
    if fetched is not None:
        return len(fetched.content or b"")
    return entry.bytes if entry.bytes >= 0 else _UNKNOWN_BYTES


def start_worker(spec: ModelSpec, fetcher: Fetcher) -> WorkerProcess:
    """Start a worker and wait until it has loaded its model.

    Raises:
        ModelError: the model cannot be loaded.
        MienError: the process does not start.
    """
    how = ""
    for number in range(_STARTS):
        worker = WorkerProcess(spec, fetcher)
        try:
            message = worker.receive(120)
        except queue.Empty:
            message = None
        if message and message.get("ready"):
            return worker
        how = worker.end()
        if message and "fatal" in message:
            raise ModelError(message["fatal"])
        time.sleep(0.2 * 2**number)
    raise MienError(
        f"A worker process cannot be started ({how}). Is there enough memory? Try fewer `workers`."
    )
