"""`VideoCopy` and `VideoChart`: the files made of a video, frame by frame, while its faces are recognized.

copy = VideoCopy(Path("annotated.mp4"), sound_from="video.mp4")
copy.begin(frames.info)
for frame, faces in watch(recognizer, frames):
    copy.add(frame, faces)
copy.end(whole=True)
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mien.recognition.faces import Face
    from mien.recognition.video import Frame, VideoInfo, VideoWriter


class VideoFile(Protocol):
    """Protocol of files made of a video.

    Attributes:
        problem: what is missing in the file, as a clause; "" if nothing is.
    """

    problem: str

    def begin(self, info: VideoInfo | None, every: int = 1) -> None:
        """Begin the file of a video, of which every Nth frame follows; `info` is `None` for frames without a video."""

    def add(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Add a frame."""

    def end(self, *, whole: bool) -> None:
        """Finish the file; `whole`: all frames of the video were added."""

    def close(self, error: BaseException) -> None:
        """Stop after an error and leave no part of the file."""


class VideoCopy:
    """A copy of a video with the faces drawn on its frames, and with its sound.

    Args:
        path: the file to write.
        sound_from: the video whose sound is copied.
        guard: a context in which the file is created, such as `mien.ownership.guarding`; it is entered for each frame.

    Attributes:
        problem: why the copy has no sound, or not all of it, as a clause; "" if none is missing.
    """

    def __init__(
        self,
        path: Path,
        *,
        sound_from: str | Path | None = None,
        guard: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.problem = ""
        self._path, self._sound_from, self._guard = path, sound_from, guard
        self._writer: VideoWriter | None = None

    def begin(self, info: VideoInfo | None, every: int = 1) -> None:
        """Prepare to write; the file is created with the first frame.

        Raises:
            DataError: If there is no `info`, or the suffix of the path is not that of a video format.
            MissingExtra: If PyAV is not installed.
        """
        from mien.recognition.video import VideoWriter

        if info is None:
            raise DataError(
                "`save` needs the path of a video, or the frames of `read_frames`, whose size and frame rate are known. "
                "Write other frames with `mien.recognition.video.VideoWriter`."
            )
        size = info.width, info.height
        self._writer = VideoWriter(self._path, info.fps / every, size, sound_from=self._sound_from)

    def add(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Write a frame with its faces."""
        from mien.recognition.drawing import draw_faces

        if self._writer is None:
            return
        try:
            with self._guard():
                self._writer.write(draw_faces(frame.image, faces), frame.seconds)
        except Exception as error:
            self.close(error)
            raise

    def end(self, *, whole: bool) -> None:
        """Finish the file."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if whole:
            writer.finish_sound()
        writer.__exit__(None, None, None)
        if writer.sound_problem:
            what = "lacks a part of the sound" if writer.has_sound else "has no sound"
            self.problem = f"the annotated copy {what}: {writer.sound_problem}"

    def close(self, error: BaseException) -> None:
        """Remove the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(type(error), error, None)


class VideoChart:
    """The chart of the expressions of each face over time.

    Args:
        title: title of the chart.
        place: returns a context that yields the path to write, entered when the chart is drawn.

    Attributes:
        problem: why there is no chart, as a clause; "" if there is one.
    """

    def __init__(self, title: str, place: Callable[[], AbstractContextManager[Path]]) -> None:
        from mien.evaluation.figures.timeline import Timeline

        self.problem = ""
        self._title, self._place = title, place
        self._timeline = Timeline()

    def begin(self, info: VideoInfo | None, every: int = 1) -> None:
        """Do nothing, because the chart is drawn at the end."""

    def add(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Add a frame."""
        self._timeline.add(frame.seconds, faces)

    def end(self, *, whole: bool) -> None:  # noqa: ARG002 - the chart of a part is drawn, too
        """Draw the chart, if there was a face.

        Raises:
            MissingExtra: If matplotlib is not installed.
        """
        if not self._timeline.faces:
            self.problem = "there is no chart over time, because no face was found"
            return
        with self._place() as path:
            self._timeline.plot(path, self._title)

    def close(self, error: BaseException) -> None:
        """Do nothing: no part of the chart was written."""
