"""Draw boxes, labels and probability bars of faces on an image, scaled to its resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import DataError
from mien.palette import INK, UNSURE_BELOW, color_of, ink_on
from mien.quoting import quoted
from mien.recognition.drawing.fitting import fit_labels
from mien.recognition.drawing.layout import Wish, lay_out
from mien.recognition.drawing.legend import Entry, add_legend
from mien.recognition.drawing.low_confidence import best_label, is_uncertain
from mien.recognition.drawing.painting import check_image, paint, paint_frame, paint_rounded, text_mask
from mien.recognition.drawing.panels import draw_panel
from mien.recognition.drawing.sizes import MIN_FONT_SIZE, fit_proportions, plain
from mien.recognition.faces import Box, require_faces
from mien.recognition.values import unit_float, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.palette import Color
    from mien.recognition.drawing.layout import Size
    from mien.recognition.drawing.sizes import Proportions
    from mien.recognition.faces import Expression, Face

_FEW, _SOME = 4, 8
"""Maximum number of faces for which all bars, or the first bars, are drawn."""

_MAX_SIDE = 1 << 14

_TOP = 3
"""Number of bars if there is no space for all."""


def draw_faces(
    image: NDArray[np.uint8],
    faces: Sequence[Face],
    *,
    bars: bool = True,
    unsure_below: float = UNSURE_BELOW,
    min_side: int = 0,
    legend: bool = False,
) -> NDArray[np.uint8]:
    """Draw boxes, labels and probability bars.

    The tag of a face shows its label and probability, and in videos the number of its track. Bars show the
    probability of each class; with many faces or little space, of the three most probable classes or none. Uncertain
    expressions (with a low score or the label `"uncertain"`) have a dashed box and a question mark after the most
    probable label. If the tags of many faces do not fit, their font size is reduced, and then they are replaced by
    numbers: the number of the track, or the position of the face in `faces`, from 1.

    Args:
        image: RGB uint8 (H, W, 3).
        faces: the faces found in it, the largest first; boxes may extend beyond the image.
        bars: whether to draw probability bars.
        unsure_below: expressions with a lower score are drawn as uncertain, in [0, 1].
        min_side: images whose shorter side has fewer pixels are enlarged to this size before drawing (the longer side to
            at most four times this size), so that there is space for readable text; 0 keeps the size.
        legend: whether to add a legend below the image for labels that are replaced by numbers. The image becomes
            higher, and a very small one wider, but its pixels do not move. The legend also shows labels that do not
            fit into very small images.

    Returns:
        A new image, RGB uint8, of the same size if it is not enlarged and has no legend.

    Raises:
        DataError: If the image has another shape or type, an item of `faces` is not a face, or a setting is invalid.
    """
    faces = require_faces(faces)
    unsure_below = unit_float(unsure_below, "unsure_below")
    if not 0 <= whole_number(min_side, "min_side", "pixels") <= _MAX_SIDE:
        raise DataError.from_parts(
            expected=f"min_side from 0 to {_MAX_SIDE:,} pixels", received=quoted(min_side)
        )
    canvas, scale = _enlarged(image, min_side)
    size = canvas.shape[1], canvas.shape[0]
    marks = [
        _Mark(
            box,
            face.expression,
            _tag_text(face, unsure_below),
            is_uncertain(face.expression, unsure_below),
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
    if proportions.font_size >= MIN_FONT_SIZE:
        _draw_words(canvas, [mark for mark in marks if mark.text], proportions, bars=bars and not entries)
    return add_legend(canvas, entries) if legend and entries else canvas


@dataclass(frozen=True, slots=True)
class _Mark:
    """The drawing of one face: its box within the image, its expression, the text of its tag and its number."""

    box: Box
    expression: Expression
    text: str
    uncertain: bool
    number: str

    @property
    def color(self) -> Color:
        """The color of the most probable expression."""
        return color_of(best_label(self.expression), tuple(self.expression.probabilities))


def _numbers(faces: Sequence[Face]) -> list[str]:
    """Return the number of each face, as text."""
    return [str(i) if face.track is None else f"#{face.track}" for i, face in enumerate(faces, 1)]


def _fitted(size: Size, marks: list[_Mark], *, legend: bool) -> tuple[Proportions, list[_Mark], list[Entry]]:
    """Fit the tags; return the proportions, the marks with the fitted tags, and the entries of the legend."""
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
    """Return a copy of the image, enlarged if it is too small, and the scale factor."""
    check_image(image)
    height, width = image.shape[:2]
    scale = min(min_side / min(height, width), 4 * min_side / max(height, width))
    if scale <= 1:
        return image.copy(), 1.0
    size = round(width * scale), round(height * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8), scale


def _visible(box: Box, scale: float, size: Size) -> Box | None:
    """Clip a box to the image, in pixels of the enlarged image; `None` if it is outside."""
    left, top = max(round(box.x * scale), 0), max(round(box.y * scale), 0)
    right, bottom = min(round(box.right * scale), size[0]), min(round(box.bottom * scale), size[1])
    return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _tag_text(face: Face, unsure_below: float) -> str:
    label, uncertain = plain(best_label(face.expression)), is_uncertain(face.expression, unsure_below)
    track = "" if face.track is None else f"#{face.track} "
    return f"{track}{label}{'?' if uncertain else ''} {face.expression.score:.0%}"


def _draw_box(canvas: NDArray[np.uint8], mark: _Mark, proportions: Proportions) -> None:
    """Draw a line in the color of the expression on a wider dark line, visible on dark and light images."""
    box, rim, line = mark.box, proportions.rim, proportions.line
    radius = min(round(0.8 * proportions.font_size), box.width // 5, box.height // 5)
    dash = round(0.7 * proportions.font_size) if mark.uncertain else 0
    around = Box(box.x - rim, box.y - rim, box.width + 2 * rim, box.height + 2 * rim)
    paint_frame(canvas, around, INK, thickness=line + 2 * rim, radius=radius + rim, opacity=0.45)
    paint_frame(canvas, box, mark.color, thickness=line, radius=radius, dash=dash)


def _draw_words(
    canvas: NDArray[np.uint8], marks: Sequence[_Mark], proportions: Proportions, *, bars: bool
) -> None:
    """Draw tags and panels."""
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
    """Return the possible numbers of bars, the preferred one first; none for many faces."""
    labels = min(len(mark.expression.probabilities) for mark in marks)
    if len(marks) > _SOME or not labels:
        return ()
    top = min(_TOP, labels)
    return (top,) if len(marks) > _FEW else (labels, top)


def _draw_tag(canvas: NDArray[np.uint8], place: Box, mark: _Mark, proportions: Proportions) -> None:
    color = mark.color
    paint_rounded(canvas, place, proportions.radius, color)
    text = text_mask(mark.text, proportions.font_size)
    top = place.y + place.height // 2 - proportions.font_size
    paint(canvas, text, place.x + proportions.pad, top, ink_on(color))
