"""What `mien predict` writes to files: annotated copies (`--save DIR`) and rows (`--csv FILE`)."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from mien.cli.console import err
from mien.cli.prediction_output import Output, shown
from mien.cli.sources import STDIN
from mien.errors import DataError, MissingExtra
from mien.ownership import free_name, guarding, made_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.cli.sources import Source
    from mien.cli.video_output import Video
    from mien.evaluation.figures.timeline import Timeline
    from mien.recognition.faces import Face
    from mien.recognition.image_batches import ImageResult
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.video.watching import Frame, VideoWriter

_KEPT_SUFFIXES = {".png": frozenset({".jpg", ".jpeg", ".png", ".webp"}), ".mp4": frozenset({".mp4"})}
"""Formats that a copy keeps, by the format of other copies; these have its ending after their own: `video.webm.mp4`."""


class CopiesOutput(Output):
    """Images and videos with boxes, labels and bars drawn in, and for a video a chart of it over time.

    Args:
        folder: where they go, made if need be; files below a folder that was named keep their place in it. A copy
            replaces only an earlier copy of the same source; where another file has its name, it takes a number.
        sources: all that will be looked at; no copy overwrites one of them.
        explainer: where it is given, the copies of images show where in each face its expression was seen.

    Raises:
        DataError: there is a file where the folder should be, or nothing can be written there.
    """

    def __init__(self, folder: Path, sources: Sequence[Source], explainer: Recognizer | None = None) -> None:
        _require_folder(folder, "--save")
        _try_writing(folder)
        self._folder = folder
        self._explainer = explainer
        self._originals = {_identity(source.name) for source in sources} - {None}
        self._taken: set[Path] = set()
        self._run = secrets.token_hex(8)
        self._writer: VideoWriter | None = None
        self._timeline: Timeline | None = None

    def image(self, source: Source, result: ImageResult) -> None:
        """Write its copy, in its own format where that is a common one."""
        from mien.images import write_image
        from mien.recognition.drawing import draw_faces, draw_heat

        if result.image is None:
            return
        image = result.image
        for heat in self._explainer.explain(image, result.faces) if self._explainer else ():
            image = draw_heat(image, heat.transform, heat.heat)
        with self._copying(source, ".png") as path:
            write_image(path, draw_faces(image, result.faces, legend=True))

    def begin_video(self, video: Video) -> None:
        """Open its copy."""
        from mien.recognition.video.watching import VideoWriter

        if video.info is None:
            return
        size = video.info.width, video.info.height
        sound = None if video.source.kind == "webcam" else video.source.name
        with self._copying(video.source, ".mp4") as path:
            try:
                self._writer = VideoWriter(path, video.info.fps / video.every, size, sound_from=sound)
            except MissingExtra as error:
                raise DataError(
                    f"{video.source.name}: no annotated copy of the video was made. {error}"
                ) from error
        self._writer.__enter__()
        self._timeline = _new_timeline()

    def frame(self, video: Video, frame: Frame, faces: Sequence[Face]) -> None:
        """Write the frame with its faces."""
        from mien.recognition.drawing import draw_faces

        if self._writer:
            try:
                with made_of(self._origin(video.source)):
                    self._writer.write(draw_faces(frame.image, faces), frame.seconds)
            except Exception as error:
                self.close(error)
                raise
        if self._timeline:
            self._timeline.add(frame.seconds, faces)

    def end_video(self, video: Video) -> None:
        """Finish its copy and draw the chart."""
        timeline, writer = self._timeline, self._writer
        if writer and video.whole:
            writer.finish_sound()
        self.close()
        if writer and writer.sound_problem:
            problem = f"sound was left out of its annotated copy: {writer.sound_problem}."
            err.print(shown(f"{video.source.name}: {problem}"))
        if timeline and timeline.faces:  # none where Ctrl-C came first, too
            with self._copying(video.source, ".png", chart=True) as path:
                _draw_chart(timeline, path, shown(video.source.below.name))

    def close(self, error: BaseException | None = None) -> None:
        """Finish a copy that was under way, or after an error leave none."""
        writer, self._writer, self._timeline = self._writer, None, None
        if writer:
            writer.__exit__(type(error) if error else None, error, None)

    @contextmanager
    def _copying(self, source: Source, suffix: str, *, chart: bool = False) -> Iterator[Path]:
        """Where to write the copy or the chart of a source; a name that another file has gets a number."""
        with made_of(self._origin(source)) as guard:
            wanted = self._folder / _copy_name(source.below, suffix, chart=chart)
            path = free_name(wanted, lambda at: self._is_free(at) and guard.allows(at))
            self._taken.add(path)
            yield path

    def _is_free(self, path: Path) -> bool:
        return path not in self._taken and _identity(path) not in self._originals

    def _origin(self, source: Source) -> str:
        """What tells a source from all others; what standard input and webcams show is new in each run."""
        live = source.name == STDIN or source.kind == "webcam"
        return f"{source.name} {self._run}" if live else os.path.abspath(source.name)  # noqa: PTH100 - no links followed


def _copy_name(below: Path, suffix: str, *, chart: bool) -> Path:
    """The name of a copy: the same in the same format, else with the ending of the new format after the old one."""
    if chart and below.suffix.lower() == ".mp4":
        return below.with_suffix(suffix)
    if not chart and below.suffix.lower() in _KEPT_SUFFIXES[suffix]:
        return below
    return below.with_name(below.name + suffix)


class RowsOutput(Output):
    """A row for each face in a CSV, JSON or Parquet file.

    Args:
        path: the file; an earlier one of the same name is replaced if mien wrote it.
        labels: class names in the order of the probabilities.
        force: replace any other file too.

    Raises:
        DataError: the file cannot be written, or there is one that mien did not write.
    """

    def __init__(self, path: Path, labels: Sequence[str], *, force: bool = False) -> None:
        from mien.recognition.export_rows import RowWriter

        _require_folder(path.parent, "--csv")
        self._writer = RowWriter(path, labels)
        with guarding("Give another name to --csv, or replace the file with --force.", force=force):
            self._writer.__enter__()

    def image(self, source: Source, result: ImageResult) -> None:
        """A row for each face."""
        self._writer.write(source.name, result.faces)

    def frame(self, video: Video, frame: Frame, faces: Sequence[Face]) -> None:
        """A row for each face of the frame."""
        self._writer.write(video.source.name, faces, frame=frame.index, seconds=frame.seconds)

    def close(self, error: BaseException | None = None) -> None:  # noqa: ARG002 - rows that are there are worth keeping
        """Finish the file."""
        self._writer.__exit__(None, None, None)


def _require_folder(folder: Path, option: str) -> None:
    """Check, before any work is done, that a folder is one or can be made.

    Raises:
        DataError: it or a folder above it is a file.
    """
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if there.exists() and not there.is_dir():
        raise DataError(f"{there}: expected a folder to write to, got a file. Name another with {option}.")


def _try_writing(folder: Path) -> None:
    """Find out before the work, not after it, that nothing can be written there.

    Raises:
        DataError: nothing can.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder to write to, but nothing can be written there "
            f"({error.strerror or error}). Name another with --save."
        ) from error


def _identity(path: str | Path) -> tuple[int, int] | None:
    """What tells a file from all others, by whatever name it goes; `None` where there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _new_timeline() -> Timeline:
    from mien.evaluation.figures.timeline import Timeline

    return Timeline()


def _draw_chart(timeline: Timeline, path: Path, name: str) -> None:
    """The chart of a video; the copy itself does not need what draws it."""
    try:
        timeline.plot(path, f"Expressions in {name}")
    except MissingExtra as error:
        err.print(f"No chart over time: {error}")
