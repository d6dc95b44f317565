"""All sizes of a drawing, told by that of its type; and the type that goes with an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.recognition.drawing.painting import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.recognition.drawing.layout import Size
    from mien.recognition.faces import Box

LEAST_TYPE = 6
"""Pixels; letters that are smaller are blots."""

LEAST_LEGIBLE = 9
"""Pixels; type that is smaller can only be guessed at."""

SMALLEST_TYPE = 12
"""Pixels; smaller type is hard to read, and taken only where the image has no room for this."""

_TYPE_OF_IMAGE = 0.026
"""Of the square root of the image's area: 14 pixels at 640x480, 90 at 4000x3000."""

_TYPE_OF_FACE = 0.2
"""Of the width of the smallest face, so that tags do not dwarf it; but never less than half of the above."""

_LONGEST_LABEL = 24
"""Letters."""


@dataclass(frozen=True, slots=True)
class Proportions:
    """All sizes in pixels.

    Args:
        type_size: of the type in tags.
    """

    type_size: int

    @property
    def small_type(self) -> int:
        """Of the type in panels."""
        return max(round(0.84 * self.type_size), min(self.type_size, 10))

    @property
    def gap(self) -> int:
        """Between a box and what stands beside it."""
        return max(round(0.32 * self.type_size), 2)

    @property
    def line(self) -> int:
        """Width of a box's line."""
        return max(round(0.15 * self.type_size), 1)

    @property
    def rim(self) -> int:
        """Width of the dark rim that sets a line off from a light image."""
        return max(round(0.06 * self.type_size), 1)

    @property
    def radius(self) -> int:
        """Of the corners of tags and panels."""
        return round(0.38 * self.type_size)

    @property
    def pad(self) -> int:
        """Between the side of a tag or panel and its text."""
        return round(0.55 * self.type_size)

    @property
    def space(self) -> int:
        """Between the columns of a panel."""
        return round(0.6 * self.small_type)

    @property
    def row(self) -> int:
        """Height of a row of a panel."""
        return round(1.5 * self.small_type)

    @property
    def bar(self) -> Size:
        """Size of the bar of a probability of 1."""
        return round(4.2 * self.small_type), max(round(0.5 * self.small_type), 3)

    def tag(self, text: str) -> Size:
        """Size of a tag."""
        return text_width(text, self.type_size) + 2 * self.pad, round(1.62 * self.type_size)

    def label_column(self, labels: Sequence[str]) -> int:
        """Width of the labels of a panel."""
        return max(text_width(plain(label), self.small_type) for label in labels)

    def panel(self, labels: Sequence[str], rows: int) -> Size:
        """Size of a panel; its width is the same for any of the labels, so that bars do not jump in a video."""
        texts = self.label_column(labels) + text_width("100%", self.small_type)
        return texts + self.bar[0] + 2 * (self.pad + self.space), rows * self.row + 2 * (self.pad - self.rim)


def fit_proportions(size: Size, boxes: Sequence[Box], tags: Sequence[str]) -> Proportions:
    """Proportions that go with an image and its faces.

    Args:
        size: of the image.
        boxes: its faces, one or more.
        tags: the text of each face's tag.

    Returns:
        The image has room for each tag, unless the type is smaller than `LEAST_TYPE`.
    """
    wanted = _TYPE_OF_IMAGE * (size[0] * size[1]) ** 0.5
    of_face = _TYPE_OF_FACE * min(box.width for box in boxes)
    type_size = max(round(min(wanted, max(of_face, wanted / 2))), SMALLEST_TYPE)
    while type_size >= LEAST_TYPE and not _fits(size, Proportions(type_size), tags):
        type_size -= 1
    return Proportions(type_size)


def _fits(size: Size, proportions: Proportions, tags: Sequence[str]) -> bool:
    sizes = [proportions.tag(tag) for tag in tags]
    return all(width <= size[0] and height <= size[1] for width, height in sizes)


def plain(label: str) -> str:
    """A label in one line and of a length that a tag can hold."""
    text = " ".join(label.split())
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
