"""State of a video or webcam while `mien predict` processes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mien.workflows.track_summary import TrackSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.cli.sources import Source
    from mien.recognition.faces import Face
    from mien.recognition.video.watching import Frame, VideoInfo


@dataclass
class Video:
    """A video or webcam that is being processed.

    Args:
        source: the input.
        info: size and length; `None` if it could not be opened.
        every: process every Nth frame.
        min_confidence: mean probability below which the label of a track is `"uncertain"`.
        tracks: track summaries by number.
        frames: number of frames processed so far.
        error: why it failed, if it did.
        whole: whether it was processed to its end.
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
        """Add one frame."""
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
