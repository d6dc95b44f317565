"""Colors and stacking order of class names in charts, by their meaning.

>>> label_colors(["happy", "happiness"])
[(240, 228, 66), (240, 228, 66)]
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.labels import FERPLUS
from mien.palette import PALETTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.palette import Color

_OTHER: Color = (195, 200, 207)


def stacking_order(labels: Sequence[str]) -> list[int]:
    """Return the indices of the labels from bottom to top: neutral last, as the background."""
    return sorted(range(len(labels)), key=lambda i: (meaning_of(labels[i]) == "neutral", i))


def label_colors(labels: Sequence[str]) -> list[Color]:
    """Return a color for each label, by its meaning; unknown labels get unused colors."""
    meanings = [meaning_of(label) for label in labels]
    rest = itertools.cycle([color for name, color in PALETTE.items() if name not in meanings] or [_OTHER])
    return [PALETTE[meaning] if meaning else next(rest) for meaning in meanings]


def to_hex(color: Color) -> str:
    """Return a color as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def meaning_of(label: str) -> str | None:
    """Return the FER+ name of an expression in any common spelling; `None` if it is unknown."""
    try:
        return FERPLUS.classes[FERPLUS.index(label)]
    except DataError:
        return None
