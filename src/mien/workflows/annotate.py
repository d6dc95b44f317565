"""Annotated images and videos: `draw_faces` and `watch`, as `mien predict --save` makes them.

import mien

mien.draw_faces("photo.jpg", out="annotated.jpg")
for frame, faces in mien.watch("video.mp4", save="annotated.mp4"):
    print(frame.seconds, [face.expression.label for face in faces])
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.ownership import guarding

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mien.recognition.faces import Face
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.video import Frame

_REMEDY = "Choose another file, or replace it with `force=True`."


def draw_faces(
    image: Any,
    faces: Sequence[Face] | None = None,
    *,
    recognizer: Recognizer | None = None,
    out: str | Path | None = None,
    force: bool = False,
    **drawing: Any,
) -> NDArray[np.uint8]:
    """Draw the faces of an image with their expressions: boxes, labels and probability bars.

    Args:
        image: a path, bytes, an RGB array uint8 (height, width, 3) or a Pillow image.
        faces: the faces; by default they are detected by the recognizer.
        recognizer: the recognizer; by default a new `mien.Recognizer`.
        out: an image file to write; by default nothing is written.
        force: replace a file of that name that mien did not write.
        **drawing: options of `mien.recognition.drawing.draw_faces`: `bars`, `unsure_below`, `min_side`, and `legend`
            (`True` by default).

    Returns:
        A new image, RGB uint8.

    Raises:
        DataError: If the image cannot be read, or `out` exists and mien did not write it.
    """
    from mien.images import read_image, write_image
    from mien.recognition import drawing as draw
    from mien.recognition.recognizer import Recognizer

    pixels = read_image(image)
    if faces is None:
        faces = (recognizer or Recognizer())(pixels)
    drawn = draw.draw_faces(pixels, faces, **{"legend": True, **drawing})
    if out is not None:
        with guarding(_REMEDY, force=force) as guard:
            guard.check(Path(out))
            write_image(Path(out), drawn)
    return drawn


def watch(
    video: Any,
    recognizer: Any = None,
    *,
    every: int = 1,
    save: str | Path | None = None,
    force: bool = False,
    **tracking: Any,
) -> Generator[tuple[Frame, list[Face]]]:
    """Detect and track the faces in a video, and smooth their probabilities.

    Args:
        video: the path of a video, the number of a webcam, or frames as returned by
            `mien.recognition.video.read_frames`. The order `watch(recognizer, video)` of earlier versions works too.
        recognizer: the recognizer; by default a new `mien.Recognizer`.
        every: process every Nth frame.
        save: a video file to write, with the faces drawn on it; needs the path of a video, or frames with `info`.
        force: replace a file of that name that mien did not write.
        **tracking: options of `mien.recognition.video.watch`: `chunk`, `tracker`, `smoothing_seconds`.

    Yields:
        Each frame with its faces.

    Raises:
        DataError: If the video cannot be read, or `save` exists and mien did not write it.
    """
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.video import read_frames
    from mien.recognition.video import watch as track

    if hasattr(video, "many"):
        video, recognizer = recognizer, video
    if video is None:
        raise DataError("Expected the path of a video, the number of a webcam, or frames.")
    recognizer = recognizer or Recognizer()
    if not isinstance(video, str | Path | int):
        yield from _drawn(track(recognizer, video, **tracking), video, save, every=every, force=force)
        return
    with read_frames(video, every=every) as frames:
        pairs = track(recognizer, frames, **tracking)
        yield from _drawn(pairs, frames, save, every=every, force=force, source=video)


def _drawn(
    pairs: Iterable[tuple[Frame, list[Face]]],
    frames: Any,
    save: str | Path | None,
    *,
    every: int,
    force: bool,
    source: str | Path | int | None = None,
) -> Generator[tuple[Frame, list[Face]]]:
    """Yield the same frames and faces while writing them to a video."""
    if save is None:
        yield from pairs
        return
    from mien.recognition.drawing import draw_faces as draw
    from mien.recognition.video import VideoWriter

    info = getattr(frames, "info", None)
    if info is None:
        raise DataError("Expected the path of a video where an annotated copy is to be saved, got frames.")
    sound = source if isinstance(source, str | Path) else None
    size = info.width, info.height
    with (
        guarding(_REMEDY, force=force),
        VideoWriter(Path(save), info.fps / every, size, sound_from=sound) as writer,
    ):
        for frame, faces in pairs:
            writer.write(draw(frame.image, faces), frame.seconds)
            yield frame, faces
        writer.finish_sound()
