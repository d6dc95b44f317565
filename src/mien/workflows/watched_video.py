"""`WatchedVideo`: the frames of a video with their faces, and a summary of each track. `mien.watch` returns one.

video = WatchedVideo("video.mp4", recognizer)
for frame, faces in video:
    print(frame.seconds, [face.expression.label for face in faces])
for track in video.tracks.values():
    print(track.track, track.label, track.probabilities)
"""

from __future__ import annotations

import atexit
import inspect
import os
import weakref
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mien.errors import DataError
from mien.quoting import printable
from mien.workflows.notebook import default_reporter
from mien.workflows.track_summary import TrackSummary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from mien.recognition.faces import Face
    from mien.recognition.video import Frame, VideoInfo
    from mien.workflows.reporter import Advance, Reporter
    from mien.workflows.video_files import VideoFile


class WatchedVideo(Generator["tuple[Frame, list[Face]]", None, None]):
    """Iterator over the frames of a video, each with its faces, which are tracked and whose probabilities are smoothed.

    The video is opened with the first frame. Closing the iterator, or leaving its `with` block, finishes the files with
    the frames so far. Iterators that are still open when the program exits are closed then.

    Args:
        video: the path of a video, the number of a webcam, or frames.
        recognizer: the recognizer; by default a new `mien.Recognizer`.
        every: process every Nth frame; not used for frames.
        files: the files to write.
        reporter: the reporter; by default a display in a notebook, else the logger `mien`.
        **tracking: options of `mien.recognition.video.watch`.

    Attributes:
        every: as given.
    """

    def __init__(
        self,
        video: Any,
        recognizer: Any = None,
        *,
        every: int = 1,
        files: Sequence[VideoFile] = (),
        reporter: Reporter | None = None,
        **tracking: Any,
    ) -> None:
        self.every = every
        self._processing = _Processing(video, recognizer, every, files, reporter, tracking)
        # The generator refers to the processing and not to this object: without a cycle, both end with the last
        # reference to this object, as after a `break`.
        self._pairs = self._processing.run()
        _open_videos.add(self)

    @property
    def info(self) -> VideoInfo | None:
        """Size, frame rate and duration of the video; `None` until it is open, and for frames without a video."""
        return self._processing.info

    @property
    def tracks(self) -> dict[int, TrackSummary]:
        """A summary of each face so far, by the number of its track."""
        return self._processing.tracks

    @property
    def frames(self) -> int:
        """Number of frames processed so far."""
        return self._processing.frames

    @property
    def whole(self) -> bool:
        """Whether all frames were processed."""
        return self._processing.whole

    def open(self) -> None:
        """Open the video, so that `info` is known before the first frame.

        Raises:
            DataError: If it cannot be decoded.
        """
        self._processing.open()

    def send(self, value: None) -> tuple[Frame, list[Face]]:
        """Return the next frame and its faces."""
        return self._pairs.send(value)

    def throw(self, *error: Any) -> tuple[Frame, list[Face]]:
        """Raise an exception where the iteration was suspended."""
        return self._pairs.throw(*error)

    def close(self) -> None:
        """Finish the files with the frames so far, and close the video if it was opened here."""
        _open_videos.discard(self)
        self._pairs.close()
        self._processing.close()  # if no frame was read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self._processing.name
        return f"WatchedVideo({name!r}, frames={self.frames}, tracks={len(self.tracks)}, whole={self.whole})"


_open_videos: weakref.WeakSet[WatchedVideo] = weakref.WeakSet()
"""Iterators that may have unfinished files."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_videos.clear)  # the files are those of the parent process


@atexit.register
def _close_open_videos() -> None:
    """Finish the files while Python still works; later, they could be neither encoded nor recorded."""
    with ExitStack() as stack:  # an error with one does not affect the others
        for video in list(_open_videos):
            if inspect.getgeneratorstate(video._pairs) != inspect.GEN_RUNNING:  # noqa: SLF001 - in a daemon thread
                stack.callback(video.close)


class _Processing:
    """The work of a `WatchedVideo` and its state."""

    def __init__(
        self,
        video: Any,
        recognizer: Any,
        every: int,
        files: Sequence[VideoFile],
        reporter: Reporter | None,
        tracking: Mapping[str, Any],
    ) -> None:
        self.name = str(video) if isinstance(video, str | Path | int) else "the video"
        self.info: VideoInfo | None = None
        self.tracks: dict[int, TrackSummary] = {}
        self.frames = 0
        self.whole = False
        self._video, self._recognizer, self._every = video, recognizer, every
        self._files, self._reporter, self._tracking = files, reporter, tracking
        self._opened: Any = None

    def open(self) -> None:
        """Open the video: a file in a child process with resource limits, a webcam in this process."""
        from mien.recognition.video.decoder_pool import open_video

        if self._opened is not None:
            return
        if self._video is None:
            raise DataError("Expected the path of a video, the number of a webcam, or frames.")
        is_frames = not isinstance(self._video, str | Path | int)
        self._opened = self._video if is_frames else open_video(self._video, every=self._every)
        self.info = getattr(self._opened, "info", None)

    def close(self) -> None:
        """Close the video, unless it was given as frames."""
        if self._opened is not None and self._opened is not self._video:
            self._opened.close()

    def run(self) -> Generator[tuple[Frame, list[Face]]]:
        """Yield each frame with its faces; write the files."""
        reporter = self._reporter or default_reporter()
        try:
            self.open()
            for file in self._files:
                file.begin(self.info, self._every)
            with reporter.progress(f"Processing {printable(self.name)}") as advance:
                yield from self._recognize(advance)
            self.whole = True
            if damage := getattr(self._opened, "damage", ""):
                reporter.warning(damage)
        except (GeneratorExit, KeyboardInterrupt):
            self._end(reporter)
            raise
        except BaseException as error:
            for file in self._files:
                file.close(error)
            raise
        else:
            self._end(reporter)
        finally:
            self.close()

    def _recognize(self, advance: Advance) -> Generator[tuple[Frame, list[Face]]]:
        from mien.recognition.recognizer import Recognizer
        from mien.recognition.video import watch

        recognizer = Recognizer() if self._recognizer is None else self._recognizer
        min_confidence = getattr(recognizer, "min_confidence", 0.0)
        seconds = getattr(self.info, "seconds", None)
        with closing(watch(recognizer, self._opened, **self._tracking)) as watched:
            for frame, faces in watched:
                self._add(frame, faces, min_confidence)
                yield frame, faces
                if seconds:
                    advance(round(1000 * min(frame.seconds, seconds)), round(1000 * seconds))

    def _add(self, frame: Frame, faces: Sequence[Face], min_confidence: float) -> None:
        self.frames += 1
        for face in faces:
            if face.track is None:
                continue
            if face.track not in self.tracks:
                self.tracks[face.track] = TrackSummary(
                    face.track, frame.seconds, frame.seconds, min_confidence=min_confidence
                )
            self.tracks[face.track].add(frame.seconds, face)
        for file in self._files:
            file.add(frame, faces)

    def _end(self, reporter: Reporter) -> None:
        for file in self._files:
            file.end(whole=self.whole)
            if file.problem:
                reporter.warning(f"{self.name}: {file.problem}.")
