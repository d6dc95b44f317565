"""Standard output of `mien predict`: a table or a JSON document. Files are written by `file_outputs`.

Each is an `Output`. All outputs receive the same results in the same order and store none of them, so memory use
does not depend on the number of images or the length of a video.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from mien.cli.console import out, write_out
from mien.json_values import finite
from mien.quoting import printable
from mien.wording import counted
from mien.workflows.track_summary import seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.cli.sources import Source
    from mien.recognition.faces import Face
    from mien.recognition.image_batches import ImageResult
    from mien.recognition.video.watching import Frame
    from mien.workflows.watched_video import WatchedVideo

_NAME_WIDTH = 40


@dataclass
class Video:
    """A video or webcam that is being processed.

    Args:
        source: the input.
        watched: its frames and faces, and the summary of each track.
        error: why it failed, if it did.
    """

    source: Source
    watched: WatchedVideo
    error: str | None = None


class Output:
    """Receive results one by one; the base class ignores them."""

    def image(self, source: Source, result: ImageResult) -> None:
        """Receive an image that was processed or failed."""

    def begin_video(self, video: Video) -> None:
        """Receive a video that was opened or failed to open."""

    def frame(self, video: Video, frame: Frame, faces: Sequence[Face]) -> None:
        """Receive a processed frame of the video."""

    def end_video(self, video: Video) -> None:
        """Receive the end or failure of the video."""

    def close(self, error: BaseException | None = None) -> None:
        """Receive the end of the results; `error` is the exception that ended the run, if any."""


class TextOutput(Output):
    """Print one line per face of an image and per tracked face of a video."""

    def __init__(self, sources: Sequence[Source]) -> None:
        longest = max((cell_len(shown(source.name)) for source in sources), default=0)
        self._width = max(8, min(longest, _NAME_WIDTH))
        self._begun = False
        self._alone = len(sources) == 1

    def image(self, source: Source, result: ImageResult) -> None:
        """Print one line per face."""
        if result.error and self._alone:
            return  # the error is reported separately
        self._head()
        name = self._name(source.name)
        if result.error:
            out.print(f"{name}  failed (see the end)")
        elif not result.faces:
            out.print(f"{name}  no face")
        for i, face in enumerate(result.faces):
            box = face.box
            place = f"{box.width}x{box.height} at {box.x},{box.y}"
            label, score = face.expression.label, face.expression.score
            known = (
                label in face.expression.probabilities
            )  # the score of "uncertain" is that of another label
            others = describe(face.expression.probabilities, skip=int(known), most=2)
            percent = f"{score:.0%}" if known else ""
            out.print(
                f"{name if not i else ' ' * self._width}  {label:<10} {percent:>4}  {others:<28}  {place}"
            )

    def begin_video(self, video: Video) -> None:
        """Print the name and size of the video."""
        info = video.watched.info
        if info is None:
            return
        length = f", {clock(info.seconds)}" if info.seconds else ""
        out.print(
            f"{shown(video.source.name)}: {info.width}x{info.height}, {info.fps:.4g} frames per second{length}"
        )

    def end_video(self, video: Video) -> None:
        """Print one line per track, the longest first."""
        if video.error and video.watched.info is None:
            return
        tracks = video.watched.tracks.values()
        out.print(f"  {counted(video.watched.frames, 'frame')} processed, {counted(len(tracks), 'face')}")
        for track in sorted(tracks, key=lambda one: -one.frames)[:20]:
            span = f"{clock(track.first_seconds)} to {clock(track.last_seconds)}"
            doubt = "" if track.label in track.probabilities else f"{track.label}: "
            out.print(f"  #{track.track:<4} {span:<16}  {doubt}{describe(track.probabilities, most=3)}")
        if len(tracks) > 20:
            out.print(f"  … and {len(tracks) - 20} more, shorter tracks")

    def _head(self) -> None:
        if not self._begun:
            out.print(
                f"{'image':<{self._width}}  {'expression':<10} {'':>4}  {'other expressions':<28}  face in pixels"
            )
        self._begun = True

    def _name(self, name: str) -> str:
        short = name = shown(name)
        while cell_len(short) > self._width:
            name = name[1:]
            short = f"…{name}"
        return short + " " * (self._width - cell_len(short))


class JsonOutput(Output):
    """One JSON document on standard output, written incrementally; it is complete even after Ctrl-C.

    Args:
        model: name of the model.
        videos: whether the input contains videos; the document has `videos` only then.
    """

    def __init__(self, model: str, *, videos: bool) -> None:
        self._videos = videos
        self._count = 0
        self._in_videos = False
        self._open = False
        write_out(f'{{"model": {json.dumps(model)}, "images": [')

    def image(self, source: Source, result: ImageResult) -> None:  # noqa: ARG002
        """Write the image with its size and faces."""
        self._item(_dump({**result.to_dict(), "source": speakable(result.source)}))

    def begin_video(self, video: Video) -> None:
        """Write the size of the video."""
        self._switch()
        info = video.watched.info
        known = {
            "source": speakable(video.source.name),
            "width": info.width if info else None,
            "height": info.height if info else None,
            "fps": info.fps if info else None,
        }
        self._item(_dump(known)[:-1] + ', "frames": [')
        self._open, self._count = True, 0

    def frame(self, video: Video, frame: Frame, faces: Sequence[Face]) -> None:  # noqa: ARG002
        """Write the frame with its faces."""
        row = {
            "frame": frame.index,
            "seconds": seconds_of(frame.seconds),
            "faces": [face.to_dict() for face in faces],
        }
        self._item(_dump(row))

    def end_video(self, video: Video) -> None:
        """Write the summary of the tracks."""
        rest = {"error": video.error, "tracks": [track.to_dict() for track in video.watched.tracks.values()]}
        write_out("], " + _dump(rest)[1:])
        self._open, self._count = False, 1

    def close(self, error: BaseException | None = None) -> None:  # noqa: ARG002
        """Close the open arrays and objects."""
        if self._open:
            write_out("]}")
        if self._videos:
            self._switch()
        write_out("]}\n")

    def _switch(self) -> None:
        if not self._in_videos:
            write_out('], "videos": [')
            self._in_videos, self._count = True, 0

    def _item(self, text: str) -> None:
        write_out((",\n" if self._count else "\n") + text)
        self._count += 1


def shown(name: str) -> str:
    """Return a name for the terminal, with line breaks and control characters escaped."""
    return printable(name)


def speakable(name: str) -> str:
    """Return a name as valid Unicode for JSON, with bytes that are not UTF-8 escaped, as in the rows."""
    return name.encode(errors="backslashreplace").decode()


def describe(probabilities: Any, *, skip: int = 0, most: int = 3) -> str:
    """Format the most probable expressions, such as `happy 61%, neutral 30%`; those below 0.5% are omitted."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])[skip : skip + most]
    return ", ".join(f"{label} {value:.0%}" for label, value in ranked if value >= 0.005)


def clock(seconds: float) -> str:
    """Format a time in a video: `0:07`, `1:02:03`."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _dump(value: Any) -> str:
    return json.dumps(finite(value), allow_nan=False)
