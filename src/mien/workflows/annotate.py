"""Annotated images and videos: `draw_faces` and `watch`, as `mien predict --save` makes them.

import mien

mien.draw_faces("photo.jpg", out="annotated.jpg", explain=True)
for frame, faces in mien.watch("video.mp4", save="annotated.mp4", chart="chart.png"):
    print(frame.seconds, [face.expression.label for face in faces])
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, ModelError
from mien.files import require_file
from mien.ownership import guarding
from mien.quoting import printable, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mien.recognition.faces import Face
    from mien.recognition.recognizer import Recognizer
    from mien.workflows.reporter import Reporter
    from mien.workflows.video_files import VideoFile
    from mien.workflows.watched_video import WatchedVideo

_REMEDY = "Choose another file, or replace it with `force=True`."


def draw_faces(
    image: Any,
    faces: Sequence[Face] | None = None,
    *,
    recognizer: Recognizer | None = None,
    explain: bool = False,
    out: str | Path | None = None,
    force: bool = False,
    **drawing: Any,
) -> NDArray[np.uint8]:
    """Draw the faces of an image with their expressions: boxes, labels and probability bars.

    Args:
        image: a path, bytes, an RGB array uint8 (height, width, 3) or a Pillow image.
        faces: the faces; by default they are detected by the recognizer.
        recognizer: the recognizer; by default a new `mien.Recognizer`.
        explain: draw a heat map on each face, which shows the regions that contribute to its expression. The faces must
            come from this recognizer.
        out: an image file to write; by default nothing is written.
        force: replace a file of that name that mien did not write.
        **drawing: options of `mien.recognition.drawing.draw_faces`: `bars`, `unsure_below`, `min_side`, and `legend`
            (`True` by default).

    Returns:
        A new image, RGB uint8.

    Raises:
        DataError: If the image cannot be read, or `out` exists and mien did not write it.
        ModelError: If the model of the recognizer has no heat maps.
    """
    from mien.images import read_image, write_image
    from mien.recognition.recognizer import Recognizer

    _check_names(out, force=force)
    pixels = read_image(image)
    if recognizer is None and (faces is None or explain):
        recognizer = Recognizer()
    if explain and not hasattr(recognizer, "explain"):
        raise ModelError.from_parts(
            expected="a mien.Recognizer for heat maps", received=type(recognizer).__name__
        )
    if faces is None and recognizer is not None:
        faces = recognizer(pixels)
    drawn = annotated_image(
        pixels, () if faces is None else faces, recognizer if explain else None, **drawing
    )
    if out is not None:
        with _written_to(Path(out), force=force) as path:
            write_image(path, drawn)
    return drawn


def annotated_image(
    image: NDArray[np.uint8], faces: Sequence[Face], explainer: Recognizer | None = None, **drawing: Any
) -> NDArray[np.uint8]:
    """Return an image with its faces drawn on it, as `draw_faces` does.

    Args:
        image: RGB uint8 (height, width, 3).
        faces: the faces.
        explainer: the recognizer that recognized the faces, to draw a heat map on each face; `None`: no heat maps.
        **drawing: options of `mien.recognition.drawing.draw_faces`.
    """
    from mien.recognition.drawing import draw_faces as draw
    from mien.recognition.drawing import draw_heatmap

    for heat in explainer.explain(image, faces) if explainer else ():
        image = draw_heatmap(image, heat.transform, heat.heat)
    return draw(image, faces, **{"legend": True, **drawing})


def watch(
    video: Any,
    recognizer: Any = None,
    *,
    every: int = 1,
    save: str | Path | None = None,
    chart: str | Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
    **tracking: Any,
) -> WatchedVideo:
    """Detect and track the faces in a video, and smooth their probabilities.

    If your loop over the frames ends early, `save` and `chart` contain the frames so far. They are written when the
    iterator is closed: at the end of a `with` block, by `close()`, when nothing refers to the iterator anymore, or when
    the program exits. If the video cannot be processed to its end, they are not written.

        with mien.watch("video.mp4", save="annotated.mp4") as video:
            for frame, faces in video:
                if frame.seconds > 10:
                    break
        # annotated.mp4 is complete now

    Args:
        video: the path of a video, the number of a webcam, or frames as returned by
            `mien.recognition.video.read_frames`. The order `watch(recognizer, video)` of earlier versions works too.
        recognizer: the recognizer; by default a new `mien.Recognizer`.
        every: process every Nth frame.
        save: a video file to write, with the faces drawn on it and the sound of the video; needs the path of a video,
            or frames with `info`.
        chart: a PNG file to write, with a chart of the expressions of each face over time. Without a face, none is
            written.
        force: replace files of these names that mien did not write.
        reporter: the reporter for progress and warnings; by default a display in a notebook, else the logger `mien`.
        **tracking: options of `mien.recognition.video.watch`: `chunk`, `tracker`, `smoothing_seconds`.

    Returns:
        An iterator of pairs of a frame and its faces, and a context manager that closes it. Its `tracks` summarize each
        face so far.

    Raises:
        DataError: If `save` or `chart` exists and mien did not write it, or has an unsupported suffix; with the first
            frame, if the video cannot be read.
        MissingExtra: If PyAV for `save` or matplotlib for `chart` is not installed.
    """
    from mien.evaluation.figures.style import need
    from mien.workflows.video_files import VideoChart, VideoCopy
    from mien.workflows.watched_video import WatchedVideo

    if hasattr(video, "predict_batch") or hasattr(video, "many"):
        video, recognizer = recognizer, video
    _check_names(save, chart, force=force)
    files: list[VideoFile] = []
    if save is not None:
        sound = video if isinstance(video, str | Path) else None
        guard = partial(guarding, _REMEDY, force=force)  # entered for each frame, so it reads no file
        files.append(VideoCopy(Path(save), sound_from=sound, guard=guard))
    if chart is not None:
        if Path(chart).suffix.lower() != ".png":
            raise DataError(
                f"{quoted_path(str(chart))}: expected a name that ends in .png for a chart to write."
            )
        need("matplotlib", "charts")
        title = (
            f"Expressions in {printable(Path(video).name)}"
            if isinstance(video, str | Path)
            else "Expressions over time"
        )
        files.append(VideoChart(title, partial(_written_to, Path(chart), force=force)))
    return WatchedVideo(video, recognizer, every=every, files=files, reporter=reporter, **tracking)


def _check_names(*paths: str | Path | None, force: bool) -> None:
    """Check, before any work is done, that files can have these names and no file of the user would be replaced."""
    from mien.images import path_to_write

    for path in paths:
        if path is not None:
            require_file(path_to_write(path, "a file"))
            with _written_to(Path(path), force=force):
                pass


@contextmanager
def _written_to(path: Path, *, force: bool) -> Iterator[Path]:
    """Yield a path to write; the block is not entered if mien did not write the file of that name."""
    with guarding(_REMEDY, force=force) as guard:
        guard.check(path)
        yield path
