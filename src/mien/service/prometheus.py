"""Prometheus metrics, in a separate registry."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which several workers share their metrics."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters, gauges and histograms of one worker, and the exposition of all workers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self.requests = Counter("mien_requests", "Requests answered.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "mien_request_seconds",
            "Seconds from the first byte of a request to the last of its answer.",
            ["route"],
            registry=own,
            buckets=_SECONDS,
        )
        self.refusals = Counter(
            "mien_refusals", "Requests and images refused, by reason.", ["reason"], registry=own
        )
        self.images = Counter("mien_images", "Images processed.", registry=own)
        self.pictures = Counter("mien_pictures", "Alias of mien_images.", registry=own)
        self.frames = Counter("mien_frames", "Video frames processed.", registry=own)
        self.faces = Counter("mien_faces", "Faces found in images and frames.", registry=own)
        self.batches = Histogram(
            "mien_batch_faces", "Faces per call of the network.", registry=own, buckets=_SIZES
        )
        self.queue = Gauge(
            "mien_queue", "Images in flight: received, waiting or being processed.", registry=own,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.held = Gauge(
            "mien_held_bytes", "Bytes of requests in flight.", registry=own, multiprocess_mode="livesum"
        )
        if SHARED in os.environ:
            _forget_the_dead(Path(os.environ[SHARED]))
        else:
            ProcessCollector(registry=own)

    def text(self) -> bytes:
        """Return the metrics in the text format of Prometheus, of all workers if there are several."""
        if SHARED not in os.environ:
            return generate_latest(_Undated(self._registry))
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


class _Undated(CollectorRegistry):
    """A registry without the `_created` samples, an extra line per counter.

    prometheus_client can disable them itself, but only for the whole process, which may contain other applications.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._all = registry

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics."""
        for metric in self._all.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of killed workers from the sums."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:
            with suppress(OSError):
                path.unlink()
