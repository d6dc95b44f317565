"""`BatchOptions`: the settings of a batch job, other than its inputs and output."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mien.errors import DataError
from mien.quoting import quoted

if TYPE_CHECKING:
    from mien.bulk.model_spec import ModelSpec

Engine = Literal["local", "ray"]

_DECODING = 0.8
"""Fraction of `timeout` after which a video decoder is killed, so that its worker survives."""

_OF_THE_ROWS = (
    "label_set",
    "flip_tta",
    "max_faces",
    "min_confidence",
    "min_detection_confidence",
    "fps",
    "flat",
    "column",
)
"""Options that affect the content of the rows; a resumed job must use the same values."""


@dataclass(frozen=True)
class BatchOptions:
    """Options of a batch job.

    Args:
        model: name of a bundled model, path of an ONNX file, or a run folder.
        label_set: label set of the predictions; the model's own by default.
        flip_tta: average the prediction of each face with that of its mirror image.
        max_faces: maximum number of faces per image; the largest are kept.
        min_confidence: probability in [0, 1] below which a face is labeled "uncertain".
        min_detection_confidence: detection confidence in [0, 1] below which a face is left out.
        fps: frames processed per second of video.
        flat: write one row per face instead of one per input.
        column: table column that holds URIs or image bytes; detected by default.
        engine: `local` for processes on this machine, `ray` for a Ray cluster.
        address: address of the Ray cluster, as accepted by `ray.init`; by default, Ray is started on this machine.
        workers: number of worker processes; 0 for one per processor core.
        max_attempts: number of worker crashes or timeouts after which an input is set aside.
        timeout: maximum seconds between heartbeats of a worker on one input; after that, the worker is killed.
        part_mb: approximate size of a finished Parquet file in megabytes.
        commit_seconds: maximum seconds between commits of the local engine; a kill loses uncommitted rows, which are
            then recomputed.
        storage_options: options for the fsspec file systems of URLs, such as `endpoint_url`. Never stored.

    Raises:
        DataError: a value has the wrong type or is out of range.
    """

    model: str = "default"
    label_set: str | None = None
    flip_tta: bool = True
    max_faces: int | None = None
    min_confidence: float = 0.0
    min_detection_confidence: float = 0.0
    fps: float = 1.0
    flat: bool = False
    column: str | None = None
    engine: Engine = "local"
    address: str | None = None
    workers: int = 0
    max_attempts: int = 3
    timeout: float = 300.0
    part_mb: float = 128.0
    commit_seconds: float = 10.0
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str | os.PathLike):
            raise DataError(f"Expected model as a name or a path, got {quoted(self.model)}.")
        object.__setattr__(self, "model", os.fspath(self.model))
        checks = {
            "engine": (self.engine in get_args(Engine), "local or ray"),
            "workers": (_whole(self.workers) and 0 <= self.workers <= 4096, "an integer from 0 to 4096"),
            "max_attempts": (
                _whole(self.max_attempts) and self.max_attempts >= 1,
                "an integer of 1 or more",
            ),
            "max_faces": (
                self.max_faces is None or (_whole(self.max_faces) and self.max_faces >= 1),
                "an integer of 1 or more",
            ),
            "min_confidence": (
                _real(self.min_confidence) and 0 <= self.min_confidence <= 1,
                "a number from 0 to 1",
            ),
            "min_detection_confidence": (
                _real(self.min_detection_confidence) and 0 <= self.min_detection_confidence <= 1,
                "a number from 0 to 1",
            ),
            "fps": (_real(self.fps) and 0 < self.fps <= 1000, "frames per second above 0 and up to 1000"),
            "timeout": (_real(self.timeout) and 1 <= self.timeout <= 86400, "1 to 86,400 seconds"),
            "part_mb": (_real(self.part_mb) and 0.01 <= self.part_mb <= 4096, "0.01 to 4096 megabytes"),
            "commit_seconds": (
                _real(self.commit_seconds) and 0.05 <= self.commit_seconds <= 3600,
                "0.05 to 3600 seconds",
            ),
            "storage_options": (isinstance(self.storage_options, dict), "a dictionary"),
        }
        for name, (good, expected) in checks.items():
            if not good:
                raise DataError(f"Expected {name} as {expected}, got {quoted(getattr(self, name))}.")
        if self.address is not None and self.engine != "ray":
            raise DataError("`address` needs `engine=ray`. Leave it out for the local engine.")

    @property
    def processes(self) -> int:
        """Number of workers that the local engine starts."""
        return self.workers or usable_cores()

    def identity(self, spec: ModelSpec) -> dict[str, Any]:
        """Return the settings that must be the same in every run of a job."""
        told = {name: value for name, value in asdict(self).items() if name in _OF_THE_ROWS}
        return told | {"model_sha256": spec.sha256}


def usable_cores() -> int:
    """Return the number of processor cores available to this process."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def model_spec(options: BatchOptions) -> tuple[ModelSpec, tuple[str, ...]]:
    """Return what workers need to load the model, and its class names.

    Raises:
        ModelError: the model is missing or invalid.
    """
    from mien import __version__
    from mien.bulk.model_spec import ModelSpec
    from mien.recognition.classifier import Classifier
    from mien.recognition.model_files import BUNDLED, read_model

    data = read_model(options.model)[1]
    bundled = options.model in BUNDLED
    labels = tuple(Classifier(options.model, label_set=options.label_set, threads=1).labels)
    spec = ModelSpec(
        model=options.model if bundled else Path(options.model).name,
        sha256=hashlib.sha256(data).hexdigest(),
        data=None if bundled else data,
        label_set=options.label_set,
        flip_tta=options.flip_tta,
        max_faces=options.max_faces,
        min_confidence=options.min_confidence,
        min_detection_confidence=options.min_detection_confidence,
        fps=options.fps,
        version=__version__,
        frame_seconds=_DECODING * options.timeout,
        processes=options.processes if options.engine == "local" else 0,
    )
    return spec, labels


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
