"""Colors of the expressions, used in all drawings and figures, and a readable text color for each.

>>> color_of("happy")
(240, 228, 66)
"""

from __future__ import annotations

from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.labels import FERPLUS

if TYPE_CHECKING:
    from collections.abc import Sequence

Color = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

INK: Color = (13, 15, 18)
PAPER: Color = (255, 255, 255)

# Okabe & Ito 2008, "Color Universal Design" (https://jfly.uni-koeln.de/color/): distinguishable with any kind of color
# vision. Light gray replaces their black, which would not be visible in a dark image.
PALETTE: dict[str, Color] = {
    "neutral": (216, 220, 226),
    "happiness": (240, 228, 66),
    "surprise": (86, 180, 233),
    "sadness": (0, 114, 178),
    "anger": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "contempt": (230, 159, 0),
}
"""The color of each expression, by its name in FER+."""

UNSURE_BELOW = 0.4
"""Score below which an expression is drawn as uncertain, in [0, 1]."""


def color_of(label: str, classes: Sequence[str] = ()) -> Color:
    """Return the color of a class.

    Args:
        label: an expression in any common spelling, or a custom class.
        classes: all classes of the label set. Custom classes get the colors that are not used by its expressions, in
            order; without `classes` their color is light gray.
    """
    token = _token_of(label)
    if token is not None:
        return PALETTE[token]
    return class_colors(tuple(classes)).get(label, PALETTE["neutral"])


@cache
def class_colors(classes: tuple[str, ...]) -> dict[str, Color]:
    """Return a color for each class of a label set; up to eight colors are distinguishable with any color vision."""
    tokens = {name: _token_of(name) for name in classes}
    free = [color for name, color in PALETTE.items() if name not in tokens.values()] or list(PALETTE.values())
    own = [name for name, token in tokens.items() if token is None]
    colors = dict(zip(own, cycle(free), strict=False))
    return {name: colors[name] if token is None else PALETTE[token] for name, token in tokens.items()}


@cache
def _token_of(label: str) -> str | None:
    try:
        return FERPLUS.classes[FERPLUS.index(label)]
    except DataError:
        return None


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colors, from 1 to 21 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@cache
def ink_on(color: Color) -> Color:
    """Return black or white, whichever has more contrast with a color; at least 4.5 for all of `PALETTE`."""
    return max(INK, PAPER, key=lambda ink: contrast(ink, color))


def _luminance(color: Color) -> float:
    shares = [value / 255 for value in color]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
