"""Draw the panel of a face: one row per expression with label, bar and percentage.

All white parts of a panel are combined in one mask and painted in one step, to keep drawing fast for videos.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mien.palette import INK, PAPER, color_of
from mien.recognition.drawing.low_confidence import best_label
from mien.recognition.drawing.painting import (
    LARGE_FONT,
    paint,
    paint_rounded,
    rounded,
    text_mask,
    text_width,
)
from mien.recognition.drawing.sizes import plain
from mien.recognition.faces import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.recognition.drawing.layout import Size
    from mien.recognition.drawing.sizes import Proportions
    from mien.recognition.faces import Expression

_SHEET = 0.84
_MUTED = 0.74
_FAINT = 0.16
"""Opacities: of the dark background; of the text of rows that are not the most probable; of bar tracks and borders."""


def draw_panel(
    canvas: NDArray[np.uint8], place: Box, expression: Expression, rows: int, proportions: Proportions
) -> None:
    """Draw a panel.

    Args:
        canvas: image to draw on, modified in place.
        place: position of the panel, of the size that `Proportions.panel` returns for these rows.
        expression: the expression to show.
        rows: number of rows: all classes in the order of the model, or the most probable ones if there are fewer rows.
        proportions: proportions of the drawing.
    """
    shares = list(expression.probabilities.items())
    if rows < len(shares):
        shares = sorted(shares, key=lambda pair: -pair[1])[:rows]
    column = proportions.label_column(list(expression.probabilities))
    grid = _Grid((place.width, place.height), len(shares), column, proportions)
    white = _blank_panel(tuple(label for label, _ in shares), grid).copy()
    _write_shares(white, shares, best_label(expression), grid)
    paint_rounded(canvas, place, proportions.radius, INK, _SHEET)
    paint(canvas, white, place.x, place.y, PAPER)
    for i, (label, share) in enumerate(shares):
        x, y = grid.bar_corner(i)
        bar = Box(place.x + x, place.y + y, round(proportions.bar[0] * share), proportions.bar[1])
        paint_rounded(canvas, bar, bar.height // 2, color_of(label, tuple(expression.probabilities)))


@dataclass(frozen=True, slots=True)
class _Grid:
    """Positions in a panel, in pixels from its top left corner."""

    size: Size
    rows: int
    label_column: int
    proportions: Proportions

    def middle(self, i: int) -> int:
        """Return the vertical center of row i."""
        row = self.proportions.row
        return (self.size[1] - self.rows * row + row) // 2 + i * row

    def bar_corner(self, i: int) -> tuple[int, int]:
        """Return the top left corner of the bar in row i."""
        left = self.proportions.pad + self.label_column + self.proportions.space
        return left, self.middle(i) - self.proportions.bar[1] // 2


def _blank_panel(labels: tuple[str, ...], grid: _Grid) -> NDArray[np.uint8]:
    """Return border, bar tracks and labels as a mask of white: uint8 (height, width)."""
    is_small = grid.proportions.font_size <= LARGE_FONT
    return _small_blank_panel(labels, grid) if is_small else _large_blank_panel(labels, grid)


def _draw_blank_panel(labels: tuple[str, ...], grid: _Grid) -> NDArray[np.uint8]:
    proportions = grid.proportions
    mask = _rim(grid.size, proportions)
    track = rounded(*proportions.bar, proportions.bar[1] // 2)
    for i, label in enumerate(labels):
        _stamp(mask, track, *grid.bar_corner(i), _FAINT)
        _stamp_text(mask, plain(label), proportions.pad, i, grid, _MUTED)
    return mask


_small_blank_panel = lru_cache(maxsize=32)(_draw_blank_panel)
_large_blank_panel = lru_cache(maxsize=8)(_draw_blank_panel)


def _rim(size: Size, proportions: Proportions) -> NDArray[np.uint8]:
    width, height = size
    rim, radius = proportions.rim, proportions.radius
    mask = rounded(width, height, radius)
    mask[rim:-rim, rim:-rim] -= rounded(width - 2 * rim, height - 2 * rim, radius - rim)
    return _faded(mask, _FAINT)


def _write_shares(mask: NDArray[np.uint8], shares: list[tuple[str, float]], winner: str, grid: _Grid) -> None:
    """Write the percentages, and the row of the most probable class in full white."""
    size = grid.proportions.panel_font_size
    for i, (label, share) in enumerate(shares):
        percent = f"{share:.0%}"
        strength = 1.0 if label == winner else _MUTED
        right = grid.size[0] - grid.proportions.pad
        _stamp_text(mask, percent, right - text_width(percent, size), i, grid, strength)
        if label == winner:
            _stamp_text(mask, plain(label), grid.proportions.pad, i, grid, strength)


def _stamp_text(mask: NDArray[np.uint8], text: str, x: int, i: int, grid: _Grid, strength: float) -> None:
    """Write text into row i of a mask."""
    size = grid.proportions.panel_font_size
    _stamp(mask, text_mask(text, size), x, grid.middle(i) - size, strength)


def _stamp(mask: NDArray[np.uint8], shape: NDArray[np.uint8], x: int, y: int, strength: float) -> None:
    """Combine a mask with a shape at x, y by the maximum, clipping the shape to the mask."""
    top, left = max(-y, 0), max(-x, 0)
    under = mask[y + top : y + shape.shape[0], x + left : x + shape.shape[1]]
    over = shape[top : top + under.shape[0], left : left + under.shape[1]]
    np.maximum(under, _faded(over, strength), out=under)


def _faded(mask: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    if strength == 1:
        return mask
    return np.asarray((mask * np.uint16(round(256 * strength))) >> 8, np.uint8)
