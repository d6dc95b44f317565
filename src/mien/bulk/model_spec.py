"""`ModelSpec`: what a worker needs to recognize as the one who started it does; the stages it goes through."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("fetch", "decode", "detect", "classify")
Seconds = dict[str, float]
"""Seconds of each of `STAGES`."""


@dataclass(frozen=True)
class ModelSpec:
    """What a worker needs to recognize as the one who started it does.

    Args:
        model: the name of a bundled model, or of the file.
        sha256: of the file.
        data: the file's bytes, where it is not bundled; workers may be on other machines.
        label_set: the label set to answer in; the model's own by default.
        flip_tta: average each face with its mirror image.
        max_faces: keep only so many faces per image, the largest.
        min_confidence: below this probability the label is "uncertain".
        fps: frames per second of a video that are looked at.
        version: the version of mien.
        frame_seconds: seconds from one processed frame of a video to the next, after which its decoder is killed.
        processes: workers on one machine, which share its memory; 0 for one per core of it.
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
    processes: int = 0
