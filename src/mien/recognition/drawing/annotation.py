"""Draw faces on an image: boxes, tags and panels, the same look on a thumbnail and on 12 megapixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import DataError
from mien.palette import INK, UNSURE_BELOW, color_of, ink_on
from mien.recognition.drawing.fitting import fit_labels
from mien.recognition.drawing.layout import Wish, lay_out
from mien.recognition.drawing.legend import Entry, add_legend
from mien.recognition.drawing.low_confidence import best_label, is_guess
from mien.recognition.drawing.painting import check_image, paint, paint_frame, paint_rounded, text_mask
from mien.recognition.drawing.panels import draw_panel
from mien.recognition.drawing.sizes import LEAST_TYPE, fit_proportions, plain
from mien.recognition.faces import Box, Face

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.palette import Color
    from mien.recognition.drawing.layout import Size
    from mien.recognition.drawing.sizes import Proportions
    from mien.recognition.faces import Expression

_FEW, _SOME = 4, 8
"""How many faces may have all bars, and how many the first ones."""

_TOP = 3
"""Bars where there is no room for all."""


def draw_faces(
    image: NDArray[np.uint8],
    faces: Sequence[Face],
    *,
    bars: bool = True,
    unsure_below: float = UNSURE_BELOW,
    min_side: int = 0,
    legend: bool = False,
) -> NDArray[np.uint8]:
    """Draw boxes, tags and probability bars.

    A tag says the label and its probability, and in a video the number of the track. Bars show the probability
    of each label; where there are many faces or little room, of the first three or not at all. An expression
    that is only a guess (a low score, or the label `"uncertain"`) has a dashed box and a question mark behind its
    most probable label. Where tags of many faces have no room they shrink, and then become numbers: that of the
    track, or else the place of the face in `faces`, from 1.

    Args:
        image: RGB uint8 (H, W, 3).
        faces: what was found in it, the largest first; boxes may reach over its edge.
        bars: whether to draw them.
        unsure_below: an expression with a lower score is a guess, in [0, 1].
        min_side: an image whose shorter side has fewer pixels is enlarged to so many before anything is
            drawn (and its longer side to at most four times as many), so that there is room for text that can
            be read; 0 keeps the size.
        legend: whether a legend below the image tells what numbers stand for. It makes the image higher, and a
            very small one wider, but moves none of its pixels. Also the tags of an image that is too small for
            type that can be read go there.

    Returns:
        A new image, RGB uint8, of the same size where it was not enlarged and has no legend.

    Raises:
        DataError: the image has another shape or type, or what was given are no faces.
    """
    canvas, scale = _enlarged(image, min_side)
    size = canvas.shape[1], canvas.shape[0]
    marks = [
        _Mark(
            box,
            face.expression,
            _tag_text(face, unsure_below),
            is_guess(face.expression, unsure_below),
            number,
        )
        for face, number in zip(faces, _numbers(faces), strict=True)
        if (box := _visible(face.box, scale, size))
    ]
    if not marks:
        return canvas
    proportions, marks, entries = _fitted(size, marks, legend=legend)
    for mark in marks:
        _draw_box(canvas, mark, proportions)
    if proportions.type_size >= LEAST_TYPE:
        _draw_words(canvas, [mark for mark in marks if mark.text], proportions, bars=bars and not entries)
    return add_legend(canvas, entries) if legend and entries else canvas


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is drawn of one face: its box within the image, its expression, the text of its tag, its number."""

    box: Box
    expression: Expression
    text: str
    unsure: bool
    number: str

    @property
    def color(self) -> Color:
        """That of its most probable expression."""
        return color_of(best_label(self.expression), tuple(self.expression.probabilities))


def _numbers(faces: Sequence[Face]) -> list[str]:
    """What may stand for the tag of each face."""
    if wrong := [face for face in faces if not isinstance(face, Face)]:
        raise DataError(f"Expected faces as mien.Face, as a Recognizer gives them, got {wrong[0]!r:.80}.")
    return [str(i) if face.track is None else f"#{face.track}" for i, face in enumerate(faces, 1)]


def _fitted(size: Size, marks: list[_Mark], *, legend: bool) -> tuple[Proportions, list[_Mark], list[Entry]]:
    """The proportions of a drawing, its marks with tags that fit, and what numbers among these stand for."""
    boxes, texts = [mark.box for mark in marks], [mark.text for mark in marks]
    wanted = fit_proportions(size, boxes, texts)
    if not legend and len(marks) <= _SOME:
        return wanted, marks, []
    fit = fit_labels(size, boxes, texts, [mark.number for mark in marks], wanted)
    alone = len(marks) == 1
    entries = [
        Entry("" if alone else mark.number, mark.text, mark.color)
        for mark, numbered in zip(marks, fit.numbered, strict=True)
        if numbered
    ]
    drawn = [
        replace(mark, text="" if alone else mark.number) if numbered else mark
        for mark, numbered in zip(marks, fit.numbered, strict=True)
    ]
    return fit.proportions, drawn, entries


def _enlarged(image: NDArray[np.uint8], min_side: int) -> tuple[NDArray[np.uint8], float]:
    """A copy of the image, enlarged where it is too small; and how many times."""
    check_image(image)
    height, width = image.shape[:2]
    scale = min(min_side / min(height, width), 4 * min_side / max(height, width))
    if scale <= 1:
        return image.copy(), 1.0
    size = round(width * scale), round(height * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8), scale


def _visible(box: Box, scale: float, size: Size) -> Box | None:
    """The part of a box that lies in the image, in pixels of the enlarged one; `None` where there is none."""
    left, top = max(round(box.x * scale), 0), max(round(box.y * scale), 0)
    right, bottom = min(round(box.right * scale), size[0]), min(round(box.bottom * scale), size[1])
    return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _tag_text(face: Face, unsure_below: float) -> str:
    label, doubt = plain(best_label(face.expression)), is_guess(face.expression, unsure_below)
    track = "" if face.track is None else f"#{face.track} "
    return f"{track}{label}{'?' if doubt else ''} {face.expression.score:.0%}"


def _draw_box(canvas: NDArray[np.uint8], mark: _Mark, proportions: Proportions) -> None:
    """A line in the expression's color on a wider dark one, so that it shows on dark and on light."""
    box, rim, line = mark.box, proportions.rim, proportions.line
    radius = min(round(0.8 * proportions.type_size), box.width // 5, box.height // 5)
    dash = round(0.7 * proportions.type_size) if mark.unsure else 0
    around = Box(box.x - rim, box.y - rim, box.width + 2 * rim, box.height + 2 * rim)
    paint_frame(canvas, around, INK, thickness=line + 2 * rim, radius=radius + rim, opacity=0.45)
    paint_frame(canvas, box, mark.color, thickness=line, radius=radius, dash=dash)


def _draw_words(
    canvas: NDArray[np.uint8], marks: Sequence[_Mark], proportions: Proportions, *, bars: bool
) -> None:
    """Tags and panels."""
    if not marks:
        return
    rows = _row_choices(marks) if bars else ()
    wishes = [
        Wish(
            mark.box,
            proportions.tag(mark.text),
            tuple(proportions.panel(list(mark.expression.probabilities), n) for n in rows),
        )
        for mark in marks
    ]
    places = lay_out((canvas.shape[1], canvas.shape[0]), wishes, gap=proportions.gap)
    for mark, place in zip(marks, places, strict=True):
        if place.panel:
            draw_panel(canvas, place.panel, mark.expression, rows[place.level], proportions)
    for mark, place in zip(marks, places, strict=True):
        _draw_tag(canvas, place.tag, mark, proportions)


def _row_choices(marks: Sequence[_Mark]) -> tuple[int, ...]:
    """How many bars to show, the number wanted most first: all, the first ones, or none of many faces."""
    labels = min(len(mark.expression.probabilities) for mark in marks)
    if len(marks) > _SOME or not labels:
        return ()
    top = min(_TOP, labels)
    return (top,) if len(marks) > _FEW else (labels, top)


def _draw_tag(canvas: NDArray[np.uint8], place: Box, mark: _Mark, proportions: Proportions) -> None:
    color = mark.color
    paint_rounded(canvas, place, proportions.radius, color)
    text = text_mask(mark.text, proportions.type_size)
    top = place.y + place.height // 2 - proportions.type_size
    paint(canvas, text, place.x + proportions.pad, top, ink_on(color))
