"""Progress of `mien batch` on standard error: a live line on a terminal, otherwise a plain line once a minute."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mien.cli.console import err, live_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.bulk.tally import Progress

_MINUTE = 60.0


@contextmanager
def batch_progress() -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a job on standard error; yield a function that receives it."""
    with live_line() as draw:
        if draw is None:
            yield PlainLines(lambda line: err.print(line, soft_wrap=True))
        else:
            yield lambda progress: draw(line_of(progress))


class PlainLines:
    """Writes the progress of a job as lines, for logs: the first after a minute, then one per minute.

    That the job waits for machines is written at once, because it may last forever.

    Args:
        write: writes a line.
        clock: returns the time in seconds.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._written = clock()
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        """Write a line if it is due."""
        now = self._clock()
        begins_to_wait = progress.stage == "waiting" != self._stage
        self._stage = progress.stage
        if begins_to_wait or now - self._written >= _MINUTE:
            self._written = now
            self._write(line_of(progress))


def line_of(progress: Progress) -> str:
    """Format the progress of a job as one line."""
    if progress.stage == "listing":
        return f"Listing inputs: {progress.done:,}"
    if progress.stage == "waiting":
        return "Waiting for a machine with free cores to join the Ray cluster"
    if progress.stage == "finishing":
        return "Writing rows and summary"
    share = f" ({progress.done / progress.total:.0%})" if progress.total else ""
    line = f"{progress.done:,} of {progress.total:,} inputs{share}"
    if progress.rate:
        line += f", {progress.rate:,.1f} per second"
    if (left := progress.seconds_left) is not None:
        seconds = round(left)
        line += f", {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"
    if progress.failures:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in progress.failures.items())
        line += f"; failed: {reasons}"
    return line
