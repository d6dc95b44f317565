"""Progress and counts of a job: rows, failures by reason, seconds by stage and by worker."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.bulk.model_spec import LATENCY, STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

_WINDOW = 20.0  # seconds over which the rate is averaged


@dataclass(frozen=True)
class Progress:
    """Progress of a job.

    Args:
        stage: `listing`, `waiting` (for the first machine of a cluster), `recognizing` or `finishing`.
        done: number of inputs that have a row, including those of earlier runs; while listing, of inputs found.
        total: number of all inputs; 0 while listing.
        failures: number of failed inputs of this run, by reason.
        rate: inputs per second, averaged over about the last 20 seconds.
    """

    stage: str
    done: int
    total: int
    failures: Mapping[str, int] = field(default_factory=dict)
    rate: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated remaining time in seconds; `None` if unknown."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


@dataclass
class Tally:
    """Counts of a run.

    Args:
        total: number of all inputs of the job.
        before: number of inputs that earlier runs have finished.
        dropped: number of inputs whose rows were removed at the start of the run, to be processed again.
        listing: seconds that the run took before, to list the inputs and to find the finished ones.
        started: time at which the run began to process inputs, in seconds since 1970.
        stage: current stage of `Progress`.
    """

    total: int
    before: int
    dropped: int = 0
    rows: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    latency: float = 0.0
    workers: dict[str, dict[str, float]] = field(default_factory=dict)
    listing: float = 0.0
    started: float = field(default_factory=time.time)
    stage: str = "recognizing"
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def add(
        self,
        worker: str,
        rows: int,
        failures: Mapping[str, int],
        seconds: Mapping[str, float],
        span: tuple[float, float] | None = None,
    ) -> None:
        """Add the counts of a worker.

        Args:
            worker: name of the worker.
            rows: number of rows.
            failures: number of failed inputs among them, by reason.
            seconds: seconds by stage, and `LATENCY`.
            span: when the worker started and ended them, by the clock of its machine; by default, they have just ended
                and took the sum of the stages.
        """
        now = time.time()
        first, last = span or (now - sum(seconds.get(stage, 0.0) for stage in STAGES), now)
        self.rows += rows
        self.failures.update(failures)
        self.latency += seconds.get(LATENCY, 0.0)
        one = self.workers.setdefault(
            worker, {"rows": 0, "first": first, "last": last} | dict.fromkeys(STAGES, 0.0)
        )
        one["rows"] += rows
        one["first"], one["last"] = min(one["first"], first), max(one["last"], last)
        for stage in STAGES:
            self.seconds[stage] += seconds.get(stage, 0.0)
            one[stage] += seconds.get(stage, 0.0)
        self._marks.append((now, self.rows))
        while self._marks and now - self._marks[0][0] > _WINDOW and len(self._marks) > 2:
            self._marks.popleft()

    def progress(self, stage: str | None = None) -> Progress:
        """Return the current progress, of the current stage by default."""
        rate = 0.0
        if len(self._marks) > 1 and self._marks[-1][0] > self._marks[0][0]:
            (first, few), (last, many) = self._marks[0], self._marks[-1]
            rate = (many - few) / (last - first)
        return Progress(stage or self.stage, self.before + self.rows, self.total, dict(self.failures), rate)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-serializable data."""
        return {
            "rows": self.rows,
            "dropped": self.dropped,
            "listing": self.listing,
            "seconds": time.time() - self.started,
            "stages": self.seconds,
            "latency": self.latency,
            "workers": {
                name: {"rows": int(one["rows"]), "seconds": one["last"] - one["first"]}
                | {stage: one[stage] for stage in STAGES}
                for name, one in self.workers.items()
            },
        }
