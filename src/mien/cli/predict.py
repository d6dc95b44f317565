"""`mien predict`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

import mien.cli.predict_options as its
from mien.cli.console import err, progress
from mien.cli.console_reporter import ConsoleReporter
from mien.cli.failures import Failures
from mien.cli.prediction_model import open_recognizer
from mien.cli.prediction_output import JsonOutput, Output, TextOutput, Video, shown
from mien.cli.shared_options import (
    InputShapeOption,
    LogitsOption,
    ModelClassNamesOption,
    PixelRangeOption,
    PixelScaleOption,
    PredictionLabelsOption,
    parse_input_shape,
    parse_pixel_range,
)
from mien.cli.skipped_files import PassedOver
from mien.cli.sources import STDIN, Source, find_sources
from mien.errors import DataError, MienError
from mien.ownership import guarding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mien.images import ImageSource
    from mien.recognition.recognizer import Recognizer

_STDIN_BYTES = 2**30
"""Maximum bytes read from standard input; no image is larger."""

EXAMPLES = its.EXAMPLES


def predict(
    source: its.SourceArgument,
    *,
    json: its.JsonOption = False,
    csv: its.CsvOption = None,
    save: its.SaveOption = None,
    explain: its.ExplainOption = False,
    force: its.ForceOption = False,
    excel_safe: its.ExcelSafeOption = False,
    max_faces: its.MaxFacesOption = None,
    min_confidence: its.MinConfidenceOption = 0.0,
    min_detection_confidence: its.MinDetectionConfidenceOption = 0.0,
    flip_tta: its.FlipTtaOption = True,
    threads: its.ThreadsOption = 0,
    every: its.EveryOption = 1,
    smoothing: its.SmoothingOption = 0.5,
    model: its.ModelOption = "default",
    labels: PredictionLabelsOption = None,
    model_class_names: ModelClassNamesOption = None,
    pixel_scale: PixelScaleOption = None,
    pixel_range: PixelRangeOption = None,
    logits: LogitsOption = False,
    input_shape: InputShapeOption = None,
) -> None:
    """Recognize the expressions of the faces in images and videos.

    An expression is what a face shows, not what a person feels. Images stay on this machine.
    """
    from mien.workflows.options import ModelOptions
    from mien.workflows.watched_video import WatchedVideo

    if explain and save is None:
        raise DataError("--explain draws into annotated copies. Choose a folder for them with --save DIR.")
    if excel_safe and (csv is None or csv.suffix.lower() != ".csv"):
        raise DataError("--excel-safe applies to a CSV file only. Choose one with --csv FILE.csv.")
    passed_over = PassedOver()
    sources = find_sources(source, leave_out=save, passed_over=passed_over)
    opening = ModelOptions(
        labels,
        model_class_names,
        pixel_scale,
        parse_pixel_range(pixel_range),
        logits,
        parse_input_shape(input_shape),
    )
    limits = {
        "max_faces": max_faces,
        "threads": threads,
        "min_confidence": min_confidence,
        "min_detection_confidence": min_detection_confidence,
    }
    recognizer = open_recognizer(model, opening, flip_tta=flip_tta, explain=explain, **limits)
    videos = [one for one in sources if one.kind != "image"]
    images = [one for one in sources if one.kind == "image"]
    failures = Failures(keeps_files=bool(csv or save))
    with guarding(), ExitStack() as stack:
        outputs = _open_outputs(
            stack, sources, recognizer, model, json=json, csv=csv, force=force, save=save, explain=explain,
            excel_safe=excel_safe,
        )  # fmt: skip
        _predict_images(images, recognizer, outputs, failures)
        for video in videos:
            at = int(video.name) if video.kind == "webcam" else video.name
            watched = WatchedVideo(
                at, recognizer, every=every, reporter=_VideoReporter(), smoothing_seconds=smoothing
            )
            _predict_video(Video(video, watched), outputs, failures)
    if save and failures.any_left(len(sources)):
        err.print(f"Annotated copies are in {save}")
    failures.end(len(sources), passed_over.sentences())


def _open_outputs(
    stack: ExitStack,
    sources: Sequence[Source],
    recognizer: Recognizer,
    model: str,
    *,
    json: bool,
    csv: Path | None,
    force: bool,
    save: Path | None,
    explain: bool,
    excel_safe: bool,
) -> list[Output]:
    outputs: list[Output] = []
    videos = any(source.kind != "image" for source in sources)

    def take(output: Output) -> None:
        stack.push(lambda _kind, error, _trace: output.close(error))
        outputs.append(output)

    if csv:
        from mien.cli.file_outputs import RowsOutput

        take(RowsOutput(csv, recognizer.labels, force=force, excel_safe=excel_safe))
    if save:
        from mien.cli.file_outputs import CopiesOutput

        take(CopiesOutput(save, sources, recognizer if explain else None))
    take(JsonOutput(model, videos=videos) if json else TextOutput(sources))
    return outputs


def _predict_images(
    sources: Sequence[Source], recognizer: Recognizer, outputs: Sequence[Output], failures: Failures
) -> None:
    from mien.recognition.image_batches import ImageResult, recognize_images

    good = [source for source in sources if not source.error]
    with _counting(len(sources)) as count:
        results = recognize_images(recognizer, ((one.name, _content(one)) for one in good))
        for source in sources:
            result = ImageResult(source.name, [], error=source.error) if source.error else next(results)
            if result.error:
                failures.add_input(result.error)
            if result.note:
                failures.add_note(result.note)
            for output in outputs:
                with failures.of_output(source.name):
                    output.image(source, result)
            count()


def _content(source: Source) -> ImageSource:
    if source.name != STDIN:
        return source.name
    return cast("BinaryIO", _StandardInput())


class _StandardInput:
    """Standard input as an image: read on first use, up to the size limit of an image."""

    name = "standard input"  # its name in messages
    _content: bytes | None = None

    def read(self) -> bytes:
        from mien.content import kind_of_bytes

        if self._content is None:
            if sys.stdin is None:
                raise DataError("it is closed")
            self._content = sys.stdin.buffer.read(_STDIN_BYTES + 1)
        if kind_of_bytes(self._content) == "video":
            raise DataError("it is a video; save it to a file and pass the name of the file")
        if len(self._content) > _STDIN_BYTES:
            raise DataError(f"it is larger than {_STDIN_BYTES / 2**30:g} GB, the limit for an image")
        return self._content


@contextmanager
def _counting(total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar for three or more inputs; yield a function to call after each input."""
    if total < 3:
        yield lambda: None
        return
    with progress("Recognizing") as report:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            report(done, total)

        yield count


def _predict_video(video: Video, outputs: Sequence[Output], failures: Failures) -> None:
    def send(call: Callable[[Output], None], receivers: Sequence[Output]) -> list[Output]:
        """Call each output; return those that succeeded. A failed one receives no more of this video."""
        succeeded = []
        for output in receivers:
            with failures.of_output(video.source.name):
                call(output)
                succeeded.append(output)
        return succeeded

    try:
        video.watched.open()
    except MienError as error:
        video.error = str(error)
    writing = send(lambda output: output.begin_video(video), outputs)
    try:
        with closing(video.watched) as watched:
            for frame, faces in () if video.error else watched:
                writing = send(lambda output: output.frame(video, frame, faces), writing)  # noqa: B023 - called at once
    except MienError as error:
        video.error = str(error)
    except KeyboardInterrupt:
        if video.source.kind != "webcam":
            raise  # Ctrl-C is the normal end of a webcam
    finally:
        if video.error:
            failures.add_input(video.error)
        send(lambda output: output.end_video(video), writing)


class _VideoReporter(ConsoleReporter):
    """Print warnings about a video as they are, because they contain its name."""

    def warning(self, text: str) -> None:
        """Print a warning."""
        err.print(shown(text))
