"""`BatchOptions`: all of a job but its inputs and its output."""

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
"""Share of `timeout` after which the decoder of a video is killed, so that its worker lives on."""

_OF_THE_ROWS = ("label_set", "flip_tta", "max_faces", "min_confidence", "fps", "flat")
"""Options that change what the rows say; a job that is resumed must have the same."""


@dataclass(frozen=True)
class BatchOptions:
    """How a job is done.

    Args:
        model: a bundled model, an ONNX file or a run folder.
        label_set: the label set to answer in; the model's own by default.
        flip_tta: average each face with its mirror image.
        max_faces: maximum number of faces per image; the largest are kept.
        min_confidence: label a face "uncertain" if no expression is at least this probable, in [0, 1].
        fps: frames per second of a video that are looked at.
        flat: write a row for each face instead of each input.
        column: the column of tables that holds URIs or image bytes.
        engine: `local`, processes on this machine, or `ray`, a Ray cluster.
        address: the cluster's address, as `ray.init` takes it; one on this machine by default.
        workers: processes that recognize; 0 for one per processor core.
        max_attempts: an input that ends its worker so many times is set aside.
        timeout: seconds that a worker may be silent on one input.
        part_mb: about the size of a finished Parquet file in megabytes.
        commit_seconds: rows are committed at least so often; what is not, is done again after a kill.
        storage_options: what the file systems of URLs take, such as `endpoint_url`. Never stored.

    Raises:
        DataError: a value is out of its range.
    """

    model: str = "default"
    label_set: str | None = None
    flip_tta: bool = True
    max_faces: int | None = None
    min_confidence: float = 0.0
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
        object.__setattr__(self, "model", os.fspath(self.model))
        checks = {
            "engine": (self.engine in get_args(Engine), "local or ray"),
            "workers": (_whole(self.workers) and 0 <= self.workers <= 4096, "a whole number from 0 to 4096"),
            "max_attempts": (
                _whole(self.max_attempts) and self.max_attempts >= 1,
                "a whole number from 1 on",
            ),
            "max_faces": (
                self.max_faces is None or (_whole(self.max_faces) and self.max_faces >= 1),
                "a whole number from 1 on",
            ),
            "min_confidence": (
                _real(self.min_confidence) and 0 <= self.min_confidence <= 1,
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
            raise DataError(
                "An address is that of a Ray cluster: choose the engine ray with it, or leave it out."
            )

    @property
    def processes(self) -> int:
        """How many workers the local engine starts."""
        return self.workers or usable_cores()

    def identity(self, spec: ModelSpec) -> dict[str, Any]:
        """What must be the same in each run of a job."""
        told = {name: value for name, value in asdict(self).items() if name in _OF_THE_ROWS}
        return told | {"model_sha256": spec.sha256}


def usable_cores() -> int:
    """The processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def model_spec(options: BatchOptions) -> tuple[ModelSpec, tuple[str, ...]]:
    """What workers need to open the model, and its class names.

    Raises:
        ModelError: the model is missing or is none.
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
