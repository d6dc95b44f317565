"""A video or a webcam while `mien predict` watches it, and what each of its faces showed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.cli.sources import Source
    from mien.recognition.faces import Face
    from mien.recognition.video.watching import Frame, VideoInfo


@dataclass
class TrackSummary:
    """What one face of a video showed.

    Args:
        track: its number.
        first: when it was first seen, in seconds.
        last: when it was last seen.
        frames: in how many frames.
        sums: the sum of its probabilities over them.
        min_confidence: mean probability below which its label is `"uncertain"`.
    """

    track: int
    first: float
    last: float
    frames: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    min_confidence: float = 0.0

    def add(self, seconds: float, face: Face) -> None:
        """Take in one frame of it."""
        self.last = seconds
        self.frames += 1
        for label, value in face.expression.probabilities.items():
            self.sums[label] = self.sums.get(label, 0.0) + value

    @property
    def shares(self) -> dict[str, float]:
        """Mean probability of each expression, the highest first."""
        means = {label: value / self.frames for label, value in self.sums.items()}
        return dict(sorted(means.items(), key=lambda item: -item[1]))

    @property
    def label(self) -> str:
        """The most probable expression on average, or `"uncertain"`."""
        label, share = next(iter(self.shares.items()))
        return label if share >= self.min_confidence else "uncertain"

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean data."""
        return {
            "track": self.track,
            "first_seconds": seconds_of(self.first),
            "last_seconds": seconds_of(self.last),
            "frames": self.frames,
            "label": self.label,
            "probabilities": self.shares,
        }


@dataclass
class Video:
    """A video or a webcam while it is looked at.

    Args:
        source: which.
        info: its size and length, `None` where it could not be opened.
        every: each how manyth of its frames is looked at.
        min_confidence: mean probability below which the label of a track is `"uncertain"`.
        tracks: its faces by their number.
        frames: frames looked at so far.
        error: why it failed, if it did.
        whole: whether it was watched to its end.
    """

    source: Source
    info: VideoInfo | None = None
    every: int = 1
    min_confidence: float = 0.0
    tracks: dict[int, TrackSummary] = field(default_factory=dict)
    frames: int = 0
    error: str | None = None
    whole: bool = False

    def add(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Take in one frame."""
        self.frames += 1
        for face in faces:
            if face.track is not None:
                summary = self.tracks.setdefault(
                    face.track,
                    TrackSummary(
                        face.track, frame.seconds, frame.seconds, min_confidence=self.min_confidence
                    ),
                )
                summary.add(frame.seconds, face)


def seconds_of(seconds: float) -> float:
    """A time to the microsecond: `1.88`, not `1.8800000000000003`."""
    return round(seconds, 6)
