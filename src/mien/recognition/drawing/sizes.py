"""Sizes of all parts of a drawing, derived from the font size, and the font size for an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.recognition.drawing.painting import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.recognition.drawing.layout import Size
    from mien.recognition.faces import Box

MIN_FONT_SIZE = 6
"""Minimum font size in pixels; smaller text is not drawn."""

MIN_LEGIBLE_SIZE = 9
"""Minimum legible font size in pixels."""

MIN_READABLE_SIZE = 12
"""Minimum well readable font size in pixels; smaller text is used only if the image has no space for this size."""

_FONT_TO_IMAGE = 0.026
"""Font size as a fraction of the square root of the image area: 14 pixels at 640x480, 90 at 4000x3000."""

_FONT_TO_FACE = 0.2
"""Maximum font size as a fraction of the width of the smallest face, but at least half of the size for the image."""

_MAX_LABEL_LENGTH = 24
"""Maximum number of characters of a label."""


@dataclass(frozen=True, slots=True)
class Proportions:
    """Sizes of all parts of a drawing in pixels.

    Args:
        font_size: font size of tags.
    """

    font_size: int

    @property
    def panel_font_size(self) -> int:
        """Font size of panels."""
        return max(round(0.84 * self.font_size), min(self.font_size, 10))

    @property
    def gap(self) -> int:
        """Distance between a box and its tag or panel."""
        return max(round(0.32 * self.font_size), 2)

    @property
    def line(self) -> int:
        """Line width of a box."""
        return max(round(0.15 * self.font_size), 1)

    @property
    def rim(self) -> int:
        """Width of the dark border of a line, which makes it visible on light images."""
        return max(round(0.06 * self.font_size), 1)

    @property
    def radius(self) -> int:
        """Corner radius of tags and panels."""
        return round(0.38 * self.font_size)

    @property
    def pad(self) -> int:
        """Horizontal padding of tags and panels."""
        return round(0.55 * self.font_size)

    @property
    def space(self) -> int:
        """Distance between the columns of a panel."""
        return round(0.6 * self.panel_font_size)

    @property
    def row(self) -> int:
        """Row height of a panel."""
        return round(1.5 * self.panel_font_size)

    @property
    def bar(self) -> Size:
        """Size of the bar for a probability of 1."""
        return round(4.2 * self.panel_font_size), max(round(0.5 * self.panel_font_size), 3)

    def tag(self, text: str) -> Size:
        """Return the size of a tag."""
        return text_width(text, self.font_size) + 2 * self.pad, round(1.62 * self.font_size)

    def label_column(self, labels: Sequence[str]) -> int:
        """Return the width of the labels of a panel."""
        return max(text_width(plain(label), self.panel_font_size) for label in labels)

    def panel(self, labels: Sequence[str], rows: int) -> Size:
        """Return the size of a panel. Its width does not depend on the labels shown, so it is constant in videos."""
        texts = self.label_column(labels) + text_width("100%", self.panel_font_size)
        return texts + self.bar[0] + 2 * (self.pad + self.space), rows * self.row + 2 * (self.pad - self.rim)


def fit_proportions(size: Size, boxes: Sequence[Box], tags: Sequence[str]) -> Proportions:
    """Choose the proportions for an image and its faces.

    Args:
        size: width and height of the image.
        boxes: the boxes of its faces, one or more.
        tags: the text of the tag of each face.

    Returns:
        Proportions with which each tag fits into the image, unless the font size is smaller than `MIN_FONT_SIZE`.
    """
    wanted = _FONT_TO_IMAGE * (size[0] * size[1]) ** 0.5
    of_face = _FONT_TO_FACE * min(box.width for box in boxes)
    font_size = max(round(min(wanted, max(of_face, wanted / 2))), MIN_READABLE_SIZE)
    while font_size >= MIN_FONT_SIZE and not _fits(size, Proportions(font_size), tags):
        font_size -= 1
    return Proportions(font_size)


def _fits(size: Size, proportions: Proportions, tags: Sequence[str]) -> bool:
    sizes = [proportions.tag(tag) for tag in tags]
    return all(width <= size[0] and height <= size[1] for width, height in sizes)


def plain(label: str) -> str:
    """Return a label on one line, shortened to the maximum length."""
    text = " ".join(label.split())
    return text if len(text) <= _MAX_LABEL_LENGTH else text[: _MAX_LABEL_LENGTH - 1] + "…"
