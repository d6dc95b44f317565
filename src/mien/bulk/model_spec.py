"""`ModelSpec`: model and settings of a worker; and the names of the processing stages."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("fetch", "decode", "detect", "classify")
LATENCY = "latency"
"""Key, beside the stages, of the seconds that reading inputs ahead took; this happens while others are processed."""

Seconds = dict[str, float]
"""Seconds spent in each of `STAGES`, and `LATENCY`."""


@dataclass(frozen=True)
class ModelSpec:
    """Model and settings with which a worker produces the same results as the process that started it.

    Args:
        model: name of a bundled model, or of the model file.
        sha256: SHA-256 of the model file.
        data: bytes of the model file, because workers may be on other machines; `None` for a bundled model.
        label_set: label set of the predictions; the model's own by default.
        flip_tta: average the prediction of each face with that of its mirror image.
        max_faces: maximum number of faces per image; the largest are kept.
        min_confidence: probability below which a face is labeled "uncertain".
        fps: frames processed per second of video.
        version: version of mien.
        frame_seconds: maximum seconds between two processed frames of a video; after that, its decoder is killed.
        min_detection_confidence: detection confidence below which a face is left out.
        processes: number of workers that share the memory of one machine; 0 for one per core.
    """

    model: str
    sha256: str
    data: bytes | None
    label_set: str | None
    flip_tta: bool
    max_faces: int | None
    min_confidence: float
    fps: float
    version: str
    frame_seconds: float = 240.0
    min_detection_confidence: float = 0.0
    processes: int = 0
