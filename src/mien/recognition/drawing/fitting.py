"""Fit the labels of faces into an image: reduce the font size, then replace labels by numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.recognition.drawing.layout import Wish, hidden_shares, lay_out
from mien.recognition.drawing.sizes import MIN_LEGIBLE_SIZE, MIN_READABLE_SIZE, Proportions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.recognition.drawing.layout import Size
    from mien.recognition.faces import Box

_FEW = 4
"""Up to this number of faces, labels may be wider than their face."""

_MAX_WIDTH = 1.15
"""Maximum width of a label relative to its face, if there are more faces."""

_MAX_HIDDEN = 0.04
"""Maximum fraction of a label that may cover eyes, other faces or other labels."""

_MIXED_FONT_SIZE, _NUMBER_FONT_SIZE, _MIN_NUMBER_FONT_SIZE = 14, 11, 7
"""Maximum font sizes in pixels if some or all labels are numbers, and minimum font size of numbers."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The result of fitting labels.

    Args:
        proportions: proportions of the drawing.
        numbered: for each face, whether its label is replaced by a number.
    """

    proportions: Proportions
    numbered: tuple[bool, ...]


def fit_labels(
    size: Size, boxes: Sequence[Box], labels: Sequence[str], numbers: Sequence[str], wanted: Proportions
) -> Fit:
    """Choose the largest font size at which all labels fit, or the labels that are replaced by numbers.

    Args:
        size: width and height of the image.
        boxes: the boxes of its faces, the most important first.
        labels: the label of each face.
        numbers: the number of each face, as text.
        wanted: the preferred proportions for the image.
    """
    plan = _Plan(size, boxes, labels, numbers)
    none, every = (False,) * len(boxes), (True,) * len(boxes)
    if wanted.font_size < MIN_READABLE_SIZE and len(boxes) == 1:
        return Fit(wanted, every)  # the font is reduced for many faces, not for tiny images
    for font_size in _shrinking(wanted.font_size):
        if not any(plan.too_wide(none, font_size)) and not any(plan.unfit(none, font_size)):
            return Fit(Proportions(font_size), none)
    numbered, font_size = none, max(min(wanted.font_size, _MIXED_FONT_SIZE), MIN_LEGIBLE_SIZE)
    while 2 * sum(numbered) < len(boxes):
        unfit = plan.unfit(numbered, font_size)
        if not any(bad and not flag for bad, flag in zip(unfit, numbered, strict=True)):
            return Fit(Proportions(font_size), numbered)
        numbered = tuple(bad or flag for bad, flag in zip(unfit, numbered, strict=True))
    for font_size in range(
        _NUMBER_FONT_SIZE, _MIN_NUMBER_FONT_SIZE, -1
    ):  # if half of the labels or more do not fit, all become numbers
        if not any(plan.unfit(every, font_size)):
            return Fit(Proportions(font_size), every)
    return Fit(Proportions(_MIN_NUMBER_FONT_SIZE), every)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The faces of an image with their labels and numbers."""

    size: Size
    boxes: Sequence[Box]
    labels: Sequence[str]
    numbers: Sequence[str]

    def tags(self, numbered: Sequence[bool], font_size: int) -> list[Size]:
        """Return the size of the tag of each face."""
        texts = zip(self.labels, self.numbers, numbered, strict=True)
        return [Proportions(font_size).tag(number if flag else label) for label, number, flag in texts]

    def too_wide(self, numbered: Sequence[bool], font_size: int) -> list[bool]:
        """Return for each face whether its label is too wide."""
        tags, crowd = self.tags(numbered, font_size), len(self.boxes) > _FEW
        if any(width > self.size[0] or height > self.size[1] for width, height in tags):
            return [True] * len(tags)
        return [
            crowd and not flag and tag[0] > _MAX_WIDTH * box.width
            for tag, box, flag in zip(tags, self.boxes, numbered, strict=True)
        ]

    def unfit(self, numbered: Sequence[bool], font_size: int) -> list[bool]:
        """Return for each face whether its tag is too wide or covers eyes, other faces or other tags."""
        wide = self.too_wide(numbered, font_size)
        if 2 * sum(wide) >= len(wide):
            return wide  # all of them will become numbers
        tags = self.tags(numbered, font_size)
        wishes = [Wish(box, tag) for box, tag in zip(self.boxes, tags, strict=True)]
        places = lay_out(self.size, wishes, gap=Proportions(font_size).gap)
        hidden = hidden_shares([place.tag for place in places], self.boxes)
        return [too or bool(share > _MAX_HIDDEN) for too, share in zip(wide, hidden, strict=True)]


def _shrinking(font_size: int) -> Iterator[int]:
    """Yield font sizes from this one down to the minimum legible size, each a tenth smaller."""
    while font_size >= MIN_LEGIBLE_SIZE:
        yield font_size
        font_size -= max(font_size // 10, 1)
