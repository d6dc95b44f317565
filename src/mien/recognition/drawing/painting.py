"""Drawing primitives: antialiased text, rounded rectangles and frames.

Shapes are coverage masks, uint8 (h, w), where 255 is full coverage. Painting blends a color into the pixels under the
mask, so that its cost depends on the size of the shape and not of the image. Canvases are RGB uint8 (H, W, 3) and are
modified in place; shapes are clipped to the canvas.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.errors import DataError
from mien.recognition.faces import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mien.palette import Color

_SMALL_AREA = 4096
"""Area in pixels up to which painting a single mask is faster than five parts."""

LARGE_FONT = 48
"""Font size in pixels above which only a few masks are kept: those of a photo of 50 million pixels have up to 0.5 MB."""


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise an error unless an object is an RGB image.

    Raises:
        DataError: If it is not uint8 (H, W, 3), or has no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise DataError.from_parts(
            expected="an RGB image, uint8 (H, W, 3)",
            received=type(image).__name__,
            remedy="Read it with mien.images.read_image.",
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError.from_parts(
            expected="an RGB image, uint8 (H, W, 3)",
            received=f"{image.dtype} {image.shape}",
            remedy="Read it with mien.images.read_image.",
        )


def paint(
    canvas: NDArray[np.uint8], mask: NDArray[np.uint8], x: int, y: int, color: Color, opacity: float = 1.0
) -> None:
    """Blend a color into the canvas under a mask.

    Args:
        canvas: image to draw on, modified in place.
        mask: coverage uint8 (h, w).
        x: position of the left column of the mask; may be negative.
        y: position of the top row of the mask; may be negative.
        color: the color.
        opacity: opacity of the whole mask, in [0, 1].
    """
    left, top = max(-x, 0), max(-y, 0)
    region = canvas[y + top : max(y + mask.shape[0], 0), x + left : max(x + mask.shape[1], 0)]
    if not region.size:
        return
    cover = mask[top : top + region.shape[0], left : left + region.shape[1]]
    cover = np.asarray(cv2.merge([cover] * 3), np.uint8)
    added = cv2.LUT(cover, _mixing(color, opacity)[0])
    kept = cv2.LUT(cover, _mixing((255, 255, 255), opacity)[1])
    region[:] = cv2.add(cv2.multiply(region, kept, scale=1 / 255), added)


def fill(canvas: NDArray[np.uint8], box: Box, color: Color, opacity: float = 1.0) -> None:
    """Blend a color into a rectangle of the canvas."""
    region = canvas[max(box.y, 0) : max(box.bottom, 0), max(box.x, 0) : max(box.right, 0)]
    if opacity == 1:
        region[:] = color
    elif region.size:
        region[:] = cv2.LUT(region, _mixing(color, opacity)[2])


@lru_cache(maxsize=64)
def _mixing(color: Color, opacity: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return lookup tables (1, 256, 3): added by a coverage, kept of 255 by it, and the blend at full coverage."""
    values = np.arange(256)[np.newaxis, :, np.newaxis]
    cover = np.rint(values * opacity)
    ink = np.array(color)
    tables = (cover * ink / 255, 255 - cover + 0 * ink, values * (1 - opacity) + ink * opacity)
    added, kept, mixed = (np.rint(table).astype(np.uint8) for table in tables)
    return added, kept, mixed


def rounded(width: int, height: int, radius: int) -> NDArray[np.uint8]:
    """Return the mask of a filled rectangle with rounded corners: uint8 (height, width)."""
    radius = min(radius, width // 2, height // 2)
    mask = np.full((height, width), 255, np.uint8)
    for tile, (x, y) in zip(*_corners(Box(0, 0, width, height), radius, radius, radius), strict=True):
        mask[y : y + radius, x : x + radius] = tile
    return mask


def paint_rounded(
    canvas: NDArray[np.uint8], box: Box, radius: int, color: Color, opacity: float = 1.0
) -> None:
    """Fill a rectangle with rounded corners."""
    if box.area <= _SMALL_AREA:
        paint(canvas, rounded(box.width, box.height, radius), box.x, box.y, color, opacity)
        return
    k = min(radius, box.width // 2, box.height // 2)
    fill(canvas, Box(box.x + k, box.y, box.width - 2 * k, box.height), color, opacity)
    for x in (box.x, box.right - k):
        fill(canvas, Box(x, box.y + k, k, box.height - 2 * k), color, opacity)
    for tile, (x, y) in zip(*_corners(box, k, k, k), strict=True):
        paint(canvas, tile, x, y, color, opacity)


def paint_frame(
    canvas: NDArray[np.uint8],
    box: Box,
    color: Color,
    *,
    thickness: int,
    radius: int,
    opacity: float = 1.0,
    dash: int = 0,
) -> None:
    """Draw the outline of a rectangle with rounded corners. The line is inside the rectangle.

    Args:
        canvas: image to draw on, modified in place.
        box: outer edge of the line.
        color: color of the line.
        thickness: line width in pixels, 1 or more.
        radius: radius of the outer corners in pixels.
        opacity: opacity of the line, in [0, 1].
        dash: approximate length of dashes and gaps in pixels; 0 draws a solid line. Corners are always solid.
    """
    k = min(max(radius, thickness), box.width // 2, box.height // 2)
    thickness = min(thickness, max(k, 1))
    for start, length in _dashes(box.width - 2 * k, dash):
        for y in (box.y, box.bottom - thickness):
            fill(canvas, Box(box.x + k + start, y, length, thickness), color, opacity)
    for start, length in _dashes(box.height - 2 * k, dash):
        for x in (box.x, box.right - thickness):
            fill(canvas, Box(x, box.y + k + start, thickness, length), color, opacity)
    for tile, (x, y) in zip(*_corners(box, k, min(radius, k), thickness), strict=True):
        paint(canvas, tile, x, y, color, opacity)


def _dashes(length: int, dash: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of each dash on an edge, or of one solid line."""
    if not dash:
        yield 0, length
        return
    parts = 2 * max(round(length / (2 * dash)), 1) + 1
    ends = [round(length * part / parts) for part in range(parts + 1)]
    for part in range(1, parts, 2):
        yield ends[part], ends[part + 1] - ends[part]


def _corners(
    box: Box, k: int, radius: int, thickness: int
) -> tuple[tuple[NDArray[np.uint8], ...], tuple[tuple[int, int], ...]]:
    """Return masks (k, k) of the four corners of a rounded outline, and their positions."""
    right, bottom = box.right - k, box.bottom - k
    places = ((box.x, box.y), (right, box.y), (box.x, bottom), (right, bottom))
    return _tiles(k, radius, thickness), places


@lru_cache(maxsize=256)
def _tiles(k: int, radius: int, thickness: int) -> tuple[NDArray[np.uint8], ...]:
    """Return masks of the corners: top left, top right, bottom left and bottom right."""
    steps = np.arange(k) + 0.5
    x, y = np.meshgrid(steps, steps)
    within = radius - np.hypot(np.maximum(radius - x, 0), np.maximum(radius - y, 0))
    depth = np.where((x < radius) & (y < radius), within, np.minimum(x, y))
    inner = 1.0 if thickness >= k else np.clip(thickness - depth + 0.5, 0, 1)
    tile = np.rint(255 * np.clip(depth + 0.5, 0, 1) * inner).astype(np.uint8)
    return tuple(np.ascontiguousarray(tile[::down, ::right]) for down in (1, -1) for right in (1, -1))


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Load the font included in Pillow (Aileron), so that text looks the same on every system."""
    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))


@lru_cache(maxsize=1024)
def text_width(text: str, size: int) -> int:
    """Return the width of a line of text in pixels."""
    return math.ceil(_font(size).getlength(text))


def text_mask(text: str, size: int) -> NDArray[np.uint8]:
    """Return the mask of a line of text, uint8 (2 * size, w), with capital letters vertically centered."""
    return _small_text(text, size) if size <= LARGE_FONT else _large_text(text, size)


def _text(text: str, size: int) -> NDArray[np.uint8]:
    font = _font(size)
    capital = -font.getbbox("H", anchor="ls")[1]
    image = Image.new("L", (text_width(text, size) + 1, 2 * size))
    baseline = size + round(capital / 2)
    ImageDraw.Draw(image).text((0, baseline), text, fill=255, font=font, anchor="ls")
    return np.asarray(image)


_small_text, _large_text = lru_cache(maxsize=1024)(_text), lru_cache(maxsize=64)(_text)
