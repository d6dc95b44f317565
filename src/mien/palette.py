"""A color for each expression, the same in every drawing, and the ink that can be read on it."""

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

# Okabe & Ito 2008, "Color Universal Design" (https://jfly.uni-koeln.de/color/): told apart by all eyes. Their
# black would be lost in a dark image; a light gray stands for it.
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
"""A color for each expression, by FER+'s names."""

UNSURE_BELOW = 0.4
"""Score under which an expression is drawn as a guess."""


def color_of(label: str, classes: Sequence[str] = ()) -> Color:
    """The color of a class.

    Args:
        label: an expression in any usual spelling, or a class of one's own.
        classes: all classes of the label set. A class that is no expression gets one of the colors that the
            expressions among them leave free, in their order; without them it is light gray.
    """
    token = _token_of(label)
    if token is not None:
        return PALETTE[token]
    return class_colors(tuple(classes)).get(label, PALETTE["neutral"])


@cache
def class_colors(classes: tuple[str, ...]) -> dict[str, Color]:
    """A color for each class of a label set, told apart by all eyes as far as there are eight or fewer."""
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
    """Contrast ratio of two colors, 1 to 21 (WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@cache
def ink_on(color: Color) -> Color:
    """Black or white, whichever reads better on a color; the contrast is 4.5 or more on all of `PALETTE`."""
    return max(INK, PAPER, key=lambda ink: contrast(ink, color))


def _luminance(color: Color) -> float:
    shares = [value / 255 for value in color]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
