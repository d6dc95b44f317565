"""Draw a legend below an image that lists the labels of numbered faces in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.palette import INK, PAPER
from mien.recognition.drawing.painting import fill, paint, paint_rounded, text_mask, text_width
from mien.recognition.faces import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.palette import Color

_MIN_FONT_SIZE, _MAX_FONT_SIZE = 12, 40
_FONT_SCALE = 0.018
"""Font size as a fraction of the square root of the image area: 20 pixels at 1280x960."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a legend.

    Args:
        number: number at the face; "" for the only face of an image.
        text: label of the face.
        color: color of its expression.
    """

    number: str
    text: str
    color: Color


def add_legend(image: NDArray[np.uint8], entries: Sequence[Entry]) -> NDArray[np.uint8]:
    """Add a legend below an image. The position of the image's pixels does not change.

    Args:
        image: RGB uint8 (height, width, 3).
        entries: the entries, filled in column by column.

    Returns:
        RGB uint8, higher than the image, and wider if a column needs more space than the image is wide.
    """
    height, width = image.shape[:2]
    size = round(min(max(_FONT_SCALE * (height * width) ** 0.5, _MIN_FONT_SIZE), _MAX_FONT_SIZE))
    gap, swatch, row = round(0.5 * size), round(0.7 * size), round(1.6 * size)
    numbers = max(text_width(entry.number, size) for entry in entries)
    left = numbers + gap if numbers else 0
    column = left + swatch + gap + max(text_width(entry.text, size) for entry in entries) + 2 * gap
    columns = min(max((width - gap) // column, 1), len(entries))
    rows = -(-len(entries) // columns)
    canvas = np.empty((height + rows * row + 2 * gap, max(width, column + gap), 3), np.uint8)
    fill(canvas, Box(0, 0, canvas.shape[1], canvas.shape[0]), INK)
    canvas[:height, :width] = image
    for i, entry in enumerate(entries):
        x, y = gap + i // rows * column, height + gap + i % rows * row
        middle = y + row // 2
        number = text_width(entry.number, size)
        if number:
            paint(canvas, text_mask(entry.number, size), x + numbers - number, middle - size, PAPER)
        mark = Box(x + left, middle - swatch // 2, swatch, swatch)
        paint_rounded(canvas, mark, max(swatch // 5, 1), entry.color)
        paint(canvas, text_mask(entry.text, size), x + left + swatch + gap, middle - size, PAPER)
    return canvas
