"""Copy the sound of a video into another one while that is being written."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.recognition.video.av_capture import faults, open_container

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIMING = 0.1  # seconds before the first frame that an audio decoder needs to start


class SoundCopy:
    """Copies the sound of a video packet by packet, without re-encoding.

    Args:
        source: path of the video with the sound.
        target: PyAV container for output, to which nothing has been written yet.

    Attributes:
        problem: why sound is missing, as the end of a sentence; "" if all of it is copied.
        copied: whether any sound was copied.
    """

    def __init__(self, source: str | Path, target: Any) -> None:
        self.problem, self.copied = "", False
        self._target = target
        self._primed = (
            "mp4" in target.format.name or "mov" in target.format.name
        )  # these formats can hide the start
        self._streams: dict[int, Any] = {}  # output streams by the index of the input stream
        self._packets: Iterator[Any] = iter(())
        self._waiting: tuple[Any, float] | None = None
        self._start = 0.0
        try:
            self._container = open_container(str(Path(source).absolute()))
            self._begin()
        except faults() as error:
            self.problem = f"the sound cannot be read ({error})"

    def advance(self, seconds: float) -> None:
        """Copy the sound up to a time, counted from the first frame."""
        try:
            while (packet := self._next()) and packet[1] <= seconds:
                self._waiting = None
                self._copy(packet[0])
        except faults() as error:
            self.problem = f"the sound is damaged after {max(seconds, 0):.1f} seconds ({error})"
            self._packets, self._waiting = iter(()), None

    def finish(self) -> None:
        """Copy the remaining sound, which can be longer than the frames."""
        self.advance(math.inf)

    def close(self) -> None:
        """Close the source."""
        with suppress(AttributeError):  # if it could not be opened
            self._container.close()

    def _begin(self) -> None:
        sounds, refused = self._container.streams.audio, set()
        known: tuple[type[Exception], ...] = (AttributeError, *faults())
        for stream in sounds:
            try:
                self._streams[stream.index] = self._target.add_stream_from_template(stream)
            except known:  # AttributeError if FFmpeg has no decoder for it
                refused.add(getattr(stream.codec_context, "name", None) or "an unknown one")
        if refused:
            kind = self._target.format.name.split(",")[0].upper()
            self.problem = f"its codec ({', '.join(sorted(refused))}) cannot be stored in {kind}"
        frames = self._container.streams.video
        if frames and frames[0].start_time:
            self._start = float(frames[0].start_time * frames[0].time_base)
        kept = [stream for stream in sounds if stream.index in self._streams]
        if kept:
            self._packets = iter(self._container.demux(kept))

    def _next(self) -> tuple[Any, float] | None:
        """Return the next packet and its time; packets before the first frame are skipped."""
        while self._waiting is None:
            packet = next(self._packets, None)
            if packet is None:
                return None
            if packet.size and packet.pts is not None:
                begin = float(packet.pts * packet.time_base) - self._start
                if not packet.is_discard if begin >= 0 else self._primed and begin > -_PRIMING:
                    self._waiting = packet, begin
        return self._waiting

    def _copy(self, packet: Any) -> None:
        shift = round(self._start / packet.time_base)
        packet.pts = packet.dts = packet.pts - shift
        packet.stream = self._streams[packet.stream.index]
        self._target.mux(packet)
        self.copied = True
