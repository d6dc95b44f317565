"""`TrackSummary`: the expressions of one face of a video, averaged over its frames.

summary = TrackSummary(track=1, first_seconds=0.0, last_seconds=0.0)
summary.add(0.04, face)
print(summary.label, summary.probabilities)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.renamed import renamed_fields

if TYPE_CHECKING:
    from mien.recognition.faces import Face


@renamed_fields(first="first_seconds", last="last_seconds")
@dataclass
class TrackSummary:
    """Summary of one track, that is, one face of a video over time.

    Args:
        track: number of the track.
        first_seconds: time of the first frame with the face, in seconds.
        last_seconds: time of the last frame with the face, in seconds.
        frames: number of frames with the face.
        sums: sums of the probabilities over these frames, by class name.
        min_confidence: mean probability below which the label is `"uncertain"`.
    """

    track: int
    first_seconds: float
    last_seconds: float
    frames: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    min_confidence: float = 0.0

    def add(self, seconds: float, face: Face) -> None:
        """Add one frame of the track."""
        self.last_seconds = seconds
        self.frames += 1
        for label, value in face.expression.probabilities.items():
            self.sums[label] = self.sums.get(label, 0.0) + value

    @property
    def probabilities(self) -> dict[str, float]:
        """Mean probability by class name, the highest first."""
        means = {label: value / self.frames for label, value in self.sums.items()}
        return dict(sorted(means.items(), key=lambda item: -item[1]))

    @property
    def shares(self) -> dict[str, float]:
        """Old name of `probabilities`."""
        return self.probabilities

    @property
    def label(self) -> str:
        """The class with the highest mean probability, or the label of low confidence."""
        from mien.recognition.faces import uncertain_label

        label, score = next(iter(self.probabilities.items()))
        return label if score >= self.min_confidence else uncertain_label(self.sums)

    @property
    def score(self) -> float:
        """The highest mean probability, in [0, 1]."""
        return next(iter(self.probabilities.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-serializable data."""
        return {
            "track": self.track,
            "first_seconds": seconds_of(self.first_seconds),
            "last_seconds": seconds_of(self.last_seconds),
            "frames": self.frames,
            "label": self.label,
            "score": self.score,
            "probabilities": self.probabilities,
        }


def seconds_of(seconds: float) -> float:
    """Round a time to microseconds, for example to `1.88` instead of `1.8800000000000003`."""
    return round(seconds, 6)
