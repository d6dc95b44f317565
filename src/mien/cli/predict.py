"""`mien predict`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from mien.cli.console import err, progress
from mien.cli.failures import Failures
from mien.cli.options import LabelsOption, ModelLabelsOption, PixelScaleOption  # noqa: TC001 - Typer reads them
from mien.cli.prediction_output import JsonOutput, Output, TextOutput, shown
from mien.cli.skipped_files import PassedOver
from mien.cli.sources import STDIN, Source, find_sources
from mien.cli.video_output import Video
from mien.errors import DataError, MienError
from mien.ownership import guarding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mien.images import ImageSource
    from mien.recognition.faces import Face
    from mien.recognition.recognizer import ExpressionClassifier, Recognizer
    from mien.recognition.video.watching import Frame, Frames

_STDIN_BYTES = 2**30
"""The most that is read from standard input: no image is larger."""


def predict(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Images, videos, folders, patterns, - for standard input, 0 for the webcam.",
        ),
    ],
    *,
    model: Annotated[
        str,
        typer.Option(metavar="MODEL", help="A bundled model, a .onnx, .keras or .h5 file, or a run folder."),
    ] = "default",
    model_labels: ModelLabelsOption = None,
    pixel_scale: PixelScaleOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a row for each face; .csv, .json, .jsonl or .parquet."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write annotated copies. Only earlier copies of the same input are replaced; where another file has "
            "the name, the copy takes a number.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file of --csv even if mien did not write it.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show in the copies of images where each expression was seen.")
    ] = False,
    labels: LabelsOption = None,
    every: Annotated[int, typer.Option(min=1, help="Of a video, look at every Nth frame.")] = 1,
    smoothing: Annotated[
        float, typer.Option(min=0, help="Of a video, seconds over which a face's probabilities are averaged.")
    ] = 0.5,
    max_faces: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of faces per image; the largest are kept.")
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Label a face 'uncertain' if no expression is at least this probable; its probabilities are kept.",
        ),
    ] = 0.0,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 for all.")] = 0,
) -> None:
    """Find the faces in images and videos, and name what they show.

    The expression a face shows is not what a person feels. Images stay on this machine.
    """
    if explain and save is None:
        raise DataError("--explain shows itself in annotated copies: say where they go, with --save DIR.")
    passed_over = PassedOver()
    sources = find_sources(source, leave_out=save, passed_over=passed_over)
    own = (model_labels, pixel_scale)
    recognizer = _open(model, labels, max_faces, threads, min_confidence, own)
    videos = [one for one in sources if one.kind != "image"]
    images = [one for one in sources if one.kind == "image"]
    failures = Failures(keeps_files=bool(csv or save))
    with guarding(), ExitStack() as stack:
        outputs = _open_outputs(
            stack, sources, recognizer, model, json=json, csv=csv, force=force, save=save, explain=explain
        )
        _predict_images(images, recognizer, outputs, failures)
        for video in videos:
            watched = Video(video, every=every, min_confidence=min_confidence)
            _predict_video(watched, recognizer, outputs, failures, smoothing=smoothing)
    if save and failures.any_left(len(sources)):
        err.print(f"Annotated copies are in {save}")
    failures.end(len(sources), passed_over.sentences())


def _open(
    model: str,
    labels: str | None,
    max_faces: int | None,
    threads: int,
    min_confidence: float,
    own: tuple[str | None, float | None] = (None, None),
) -> Recognizer:
    from mien.recognition.recognizer import Recognizer

    classifier = _open_classifier(model, labels, *own)
    taxonomy = labels if isinstance(classifier, str) else None
    return Recognizer(
        classifier,
        taxonomy=taxonomy,
        max_faces=max_faces,
        threads=threads,
        min_confidence=min_confidence,
    )


def _open_classifier(
    model: str, labels: str | None, model_labels: str | None, pixel_scale: float | None
) -> str | ExpressionClassifier:
    """A Keras file, or a run folder that has not come to its ONNX file yet, is opened by the training wing."""
    from mien.cli.models import look_at, open_model
    from mien.model_kinds import KERAS_KINDS, ModelKind
    from mien.recognition.model_files import BUNDLED, RUN_MODEL

    kind = ModelKind.ONNX if model in BUNDLED else look_at(model)
    unfinished = kind is ModelKind.RUN and not (Path(model) / RUN_MODEL).exists()
    if kind in KERAS_KINDS or unfinished or model_labels or pixel_scale is not None:
        opened = open_model(model, labels=model_labels, scale=pixel_scale, taxonomy=labels, asks_labels=True)
        return opened.classifier or opened
    return model


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
) -> list[Output]:
    outputs: list[Output] = []
    videos = any(source.kind != "image" for source in sources)

    def take(output: Output) -> None:
        stack.push(lambda _kind, error, _trace: output.close(error))
        outputs.append(output)

    if csv:
        from mien.cli.file_outputs import RowsOutput

        take(RowsOutput(csv, recognizer.labels, force=force))
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
    """Standard input as an image: read when its turn comes, and no further than an image may go."""

    name = "standard input"  # what a message calls it
    _content: bytes | None = None

    def read(self) -> bytes:
        from mien.content import kind_of_bytes

        if self._content is None:
            if sys.stdin is None:
                raise DataError("it is closed")
            self._content = sys.stdin.buffer.read(_STDIN_BYTES + 1)
        if kind_of_bytes(self._content) == "video":
            raise DataError("it is a video: write it to a file, and give the name of that")
        if len(self._content) > _STDIN_BYTES:
            raise DataError(f"it holds more than {_STDIN_BYTES / 2**30:g} GB, which no image does")
        return self._content


@contextmanager
def _counting(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar where there is much to do."""
    if total < 3:
        yield lambda: None
        return
    with progress("Looking at images") as report:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            report(done, total)

        yield count


def _predict_video(
    video: Video,
    recognizer: Recognizer,
    outputs: Sequence[Output],
    failures: Failures,
    *,
    smoothing: float,
) -> None:
    def tell(what: Callable[[Output], None], whom: Sequence[Output]) -> list[Output]:
        """Those that took it; one that cannot write is told nothing more of this video."""
        able = []
        for output in whom:
            with failures.of_output(video.source.name):
                what(output)
                able.append(output)
        return able

    with ExitStack() as stack:
        frames = _open_video(video, stack)
        writing = tell(lambda output: output.begin_video(video), outputs)
        try:
            for frame, faces in _watch_video(video, frames, recognizer, smoothing) if frames else ():
                writing = tell(lambda output: output.frame(video, frame, faces), writing)  # noqa: B023 - called at once
        except MienError as error:
            video.error = str(error)
        except KeyboardInterrupt:
            if video.source.kind != "webcam":
                raise  # a webcam has no other end
        finally:
            if video.error:
                failures.add_input(video.error)
            tell(lambda output: output.end_video(video), writing)


def _open_video(video: Video, stack: ExitStack) -> Frames | None:
    """Its frames, closed with the stack; where it cannot be opened, the video is told why."""
    from mien.recognition.video.watching import read_frames

    name = video.source.name
    try:
        frames = read_frames(int(name) if video.source.kind == "webcam" else name, every=video.every)
    except MienError as error:
        video.error = str(error)
        return None
    video.info = frames.info
    return stack.enter_context(frames)


def _watch_video(
    video: Video, frames: Frames, recognizer: Recognizer, smoothing: float
) -> Iterator[tuple[Frame, list[Face]]]:
    from mien.recognition.video.watching import watch

    with (
        progress(f"Watching {shown(video.source.name)}") as report,
        closing(watch(recognizer, frames, smoothing_seconds=smoothing)) as watched,
    ):
        for frame, faces in watched:
            video.add(frame, faces)
            yield frame, faces
            if seconds := frames.info.seconds:
                report(round(1000 * min(frame.seconds, seconds)), round(1000 * seconds))
        video.whole = True
    if frames.damage:
        err.print(shown(frames.damage))
