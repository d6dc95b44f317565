"""Files that `mien predict` writes: annotated copies (`--save DIR`) and rows (`--csv FILE`)."""

from __future__ import annotations

from functools import partial
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from mien.cli.console import err
from mien.cli.prediction_output import Output, shown
from mien.cli.sources import STDIN
from mien.errors import DataError, MissingExtra
from mien.files import path_on_disk
from mien.ownership import guarding
from mien.wording import counted
from mien.workflows.annotate import annotated_image
from mien.workflows.copy_folder import CopyFolder, Original
from mien.workflows.video_files import VideoChart, VideoCopy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.cli.prediction_output import Video
    from mien.cli.sources import Source
    from mien.recognition.faces import Face
    from mien.recognition.image_batches import ImageResult
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.video.watching import Frame


class CopiesOutput(Output):
    """Copies of images and videos with boxes, labels and bars, and a chart over time for each video.

    Args:
        folder: the output folder, created if needed; files of an input folder keep their relative paths. A copy
            replaces only an earlier copy of the same source; if the name is taken by another file, a number is added.
        sources: all inputs; no copy overwrites one of them.
        explainer: if given, the copies of images show a heat map per face.

    Raises:
        DataError: If the path is a file, or the folder is not writable.
    """

    def __init__(self, folder: Path, sources: Sequence[Source], explainer: Recognizer | None = None) -> None:
        _require_folder(folder, "--save")
        _try_writing(folder)
        self._folder = CopyFolder(folder, [source.name for source in sources])
        self._explainer = explainer
        self._copy: VideoCopy | None = None
        self._chart: VideoChart | None = None

    def image(self, source: Source, result: ImageResult) -> None:
        """Write the copy, in the format of the image if that is a common one."""
        from mien.images import write_image

        if result.image is not None:
            drawn = annotated_image(result.image, result.faces, self._explainer)
            with self._folder.place(_original(source), ".png") as path:
                write_image(path, drawn)

    def begin_video(self, video: Video) -> None:
        """Open the copy."""
        if video.watched.info is None:
            return
        original = _original(video.source)
        sound = None if video.source.kind == "webcam" else video.source.name
        with self._folder.place(original, ".mp4") as path:
            copy = VideoCopy(path, sound_from=sound, guard=partial(self._folder.recording, original))
            try:
                copy.begin(video.watched.info, video.watched.every)
            except MissingExtra as error:
                raise DataError(
                    f"{video.source.name}: no annotated copy of the video was written. {error}"
                ) from error
        title = f"Expressions in {shown(video.source.below.name)}"
        self._copy = copy
        self._chart = VideoChart(title, partial(self._folder.place, original, ".png", chart=True))

    def frame(self, video: Video, frame: Frame, faces: Sequence[Face]) -> None:  # noqa: ARG002
        """Write the frame with its faces."""
        if self._copy and self._chart:
            try:
                self._copy.add(frame, faces)
            except Exception:
                self._copy = self._chart = None
                raise
            self._chart.add(frame, faces)

    def end_video(self, video: Video) -> None:
        """Finish the copy and draw the chart."""
        copy, chart = self._copy, self._chart
        self._copy = self._chart = None
        if copy is None or chart is None:
            return
        copy.end(whole=video.watched.whole)
        if copy.problem:
            err.print(shown(f"{video.source.name}: {copy.problem}."))
        try:
            chart.end(whole=video.watched.whole)
        except MissingExtra as error:
            err.print(f"No chart over time: {error}")

    def close(self, error: BaseException | None = None) -> None:
        """Finish the current copy, or remove it after an error."""
        copy, self._copy, self._chart = self._copy, None, None
        if copy and error:
            copy.close(error)
        elif copy:
            copy.end(whole=False)


class RowsOutput(Output):
    """One row per face in a CSV, JSON or Parquet file.

    If no input can be read, nothing is written, and an existing file keeps its rows.

    Args:
        path: the file; an existing file is replaced if mien wrote it.
        labels: class names in the order of the probabilities.
        force: replace any other file too.
        excel_safe: prevent spreadsheets from interpreting names as formulas.

    Raises:
        DataError: If the file cannot be written, or it exists and mien did not write it.
    """

    def __init__(
        self, path: Path, labels: Sequence[str], *, force: bool = False, excel_safe: bool = False
    ) -> None:
        from mien.recognition.export_rows import RowWriter

        _require_folder(path_on_disk(path).parent, "--csv")
        self._writer = RowWriter(path, labels, excel_safe=excel_safe)
        self._path, self._rows, self._any_read = path, 0, False
        with guarding("Give another name to --csv, or replace the file with --force.", force=force):
            self._writer.__enter__()

    def image(self, source: Source, result: ImageResult) -> None:
        """Write one row per face."""
        self._any_read |= result.error is None
        self._writer.write(source.name, result.faces)
        self._rows += len(result.faces)

    def frame(self, video: Video, frame: Frame, faces: Sequence[Face]) -> None:
        """Write one row per face of the frame."""
        self._any_read = True
        self._writer.write(video.source.name, faces, frame=frame.index, seconds=frame.seconds)
        self._rows += len(faces)

    def close(self, error: BaseException | None = None) -> None:  # noqa: ARG002 - complete rows are kept
        """Finish the file, or write nothing if no input was read."""
        if self._any_read:
            self._writer.__exit__(None, None, None)
            err.print(shown(f"Wrote {counted(self._rows, 'row')} to {self._path}"))
        else:
            nothing = DataError("No input could be read.")
            self._writer.__exit__(DataError, nothing, None)


def _require_folder(folder: Path, option: str) -> None:
    """Check, before any work is done, that a folder exists or can be created.

    Raises:
        DataError: If it or a parent is a file, or it is a URL.
    """
    path_on_disk(folder)
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if there.exists() and not there.is_dir():
        raise DataError(f"{there}: expected a folder, got a file. Choose another path with {option}.")


def _try_writing(folder: Path) -> None:
    """Check, before any work is done, that files can be written to the folder.

    Raises:
        DataError: If the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"{folder}: expected a writable folder, but nothing can be written there "
            f"({error.strerror or error}). Choose another folder with --save."
        ) from error


def _original(source: Source) -> Original:
    return Original(source.name, source.below, live=source.name == STDIN or source.kind == "webcam")
