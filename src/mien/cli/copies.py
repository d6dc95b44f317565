"""Annotated copies: what `mien predict --save DIR` writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.predictions import Output
from mien.cli.screen import err
from mien.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.cli.predictions import Film
    from mien.cli.sources import Source
    from mien.evaluation.figures.timeline import Timeline
    from mien.recognition.faces import Face
    from mien.recognition.pictures import PictureResult
    from mien.recognition.video import Frame, VideoWriter

_LEGIBLE_SIDE = 360
"""A picture smaller than this is enlarged before it is drawn on, so that its labels can be read."""

_KEPT_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class CopiesOutput(Output):
    """Pictures and films with boxes, labels and bars drawn in, and for a film a chart of it over time.

    Args:
        folder: where they go, made if need be; files below a folder that was named keep their place in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[Path] = set()
        self._writer: VideoWriter | None = None
        self._timeline: Timeline | None = None
        self._film_path = folder

    def picture(self, source: Source, result: PictureResult) -> None:
        """Write its copy, in its own format where that is a common one."""
        from mien.images import write_image
        from mien.recognition.drawing import draw_faces

        if result.image is None:
            return
        suffix = source.below.suffix.lower()
        path = self._place(source, suffix if suffix in _KEPT_SUFFIXES else ".png")
        write_image(path, draw_faces(result.image, result.faces, min_side=_LEGIBLE_SIDE))

    def begin_film(self, film: Film) -> None:
        """Open its copy."""
        from mien.recognition.video import VideoWriter

        if film.info is None:
            return
        self._film_path = self._place(film.source, ".mp4")
        self._writer = VideoWriter(self._film_path, film.info.fps, (film.info.width, film.info.height))
        self._writer.__enter__()
        self._timeline = _new_timeline()

    def frame(self, film: Film, frame: Frame, faces: Sequence[Face]) -> None:  # noqa: ARG002
        """Write the frame with its faces."""
        from mien.recognition.drawing import draw_faces

        if self._writer:
            self._writer.write(draw_faces(frame.image, faces), frame.seconds)
        if self._timeline:
            self._timeline.add(frame.seconds, faces)

    def end_film(self, film: Film) -> None:
        """Finish its copy and draw the chart."""
        if self._writer:
            self._writer.__exit__(None, None, None)
        if self._timeline and film.tracks:
            _draw_chart(self._timeline, self._film_path.with_suffix(".png"), film.source.below.name)
        self._writer = self._timeline = None

    def close(self) -> None:
        """Finish a copy that was under way."""
        if self._writer:
            self._writer.__exit__(None, None, None)

    def _place(self, source: Source, suffix: str) -> Path:
        """Where the copy goes; a second file of the same name gets a number."""
        wanted = self._folder / source.below.with_suffix(suffix)
        path, number = wanted, 2
        while path in self._taken or _same_file(path, source.name):
            path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
            number += 1
        self._taken.add(path)
        return path


def _same_file(path: Path, name: str) -> bool:
    """Whether a copy would overwrite its own original."""
    return path.exists() and Path(name).exists() and path.samefile(name)


def _new_timeline() -> Timeline:
    from mien.evaluation.figures.timeline import Timeline

    return Timeline()


def _draw_chart(timeline: Timeline, path: Path, name: str) -> None:
    """The chart of a film; the copy itself does not need what draws it."""
    try:
        timeline.plot(path, f"Expressions in {name}")
    except MissingExtra as error:
        err.print(f"No chart over time: {error}")
