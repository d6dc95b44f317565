"""Dynamic batching: faces of concurrent requests share calls of the network."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.recognition.custom_models import ExpressionClassifier

_MOST_AT_ONCE = 64


@dataclass(eq=False)
class _Job:
    """Crops waiting for their probabilities or an error."""

    crops: NDArray[np.uint8]
    answer: NDArray[np.float32] | None = None
    error: Exception | None = field(default=None)

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None


class Batching:
    """A classifier that batches the crops of all threads that call it while it is busy.

    No thread waits for a batch to fill: while one call runs, the crops of other threads are queued; the next thread
    that acquires the lock classifies them together, up to the maximum batch size.

    Args:
        classifier: the expression classifier.
        observe: callback that receives the number of faces of each call.
    """

    def __init__(
        self, classifier: ExpressionClassifier, observe: Callable[[int], None] = lambda _: None
    ) -> None:
        self._classifier = classifier
        self._observe = observe
        self._waiting: list[_Job] = []
        self._list = threading.Lock()
        self._turn = threading.Lock()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self._classifier.labels

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 (n, classes), of gray crops, uint8 (n, 48, 48).

        Raises:
            MienError: the classifier failed for the batch that contained these crops.
        """
        job = _Job(crops)
        with self._list:
            self._waiting.append(job)
        with self._turn:
            while not job.done:
                self._answer(self._take())
        if job.error is not None:
            raise job.error
        assert job.answer is not None  # noqa: S101 - done without an error
        return job.answer

    def _take(self) -> list[_Job]:
        """Remove and return the next jobs of the queue: at least one, up to the maximum batch size."""
        with self._list:
            count, crops = 1, len(self._waiting[0].crops)
            for job in self._waiting[1:]:
                crops += len(job.crops)
                if crops > _MOST_AT_ONCE:
                    break
                count += 1
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _answer(self, jobs: list[_Job]) -> None:
        crops = np.concatenate([job.crops for job in jobs])
        self._observe(len(crops))
        try:
            rows = self._classifier.probabilities(crops)
        except Exception as error:  # noqa: BLE001 - told to each thread that asked
            for job in jobs:
                job.error = error
            return
        parts = np.split(rows, np.cumsum([len(job.crops) for job in jobs])[:-1])
        for job, part in zip(jobs, parts, strict=True):
            job.answer = part
