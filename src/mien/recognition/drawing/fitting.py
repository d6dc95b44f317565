"""Whether the labels of faces fit into an image: they shrink where they do not, and then become numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.recognition.drawing.layout import Wish, hidden_shares, lay_out
from mien.recognition.drawing.sizes import LEAST_LEGIBLE, SMALLEST_TYPE, Proportions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.recognition.drawing.layout import Size
    from mien.recognition.faces import Box

_FEW = 4
"""Faces of which a label may be wider than they are."""

_WIDEST = 1.15
"""Of the width of a face among more than a few: how wide its label may be."""

_HIDING = 0.04
"""Share of a label that may lie on eyes, other faces or other labels."""

_MIXED_TYPE, _NUMBER_TYPE, _LEAST_NUMBER = 14, 11, 7
"""Pixels of type at most: where some labels are numbers, where all are; and the least of numbers."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What stands at each face, and how large.

    Args:
        proportions: of the drawing.
        numbered: for each face, whether a number stands there.
    """

    proportions: Proportions
    numbered: tuple[bool, ...]


def fit_labels(
    size: Size, boxes: Sequence[Box], labels: Sequence[str], numbers: Sequence[str], wanted: Proportions
) -> Fit:
    """Choose the largest type at which each label has room, or else where numbers must stand.

    Args:
        size: of the image.
        boxes: its faces, the most important first.
        labels: the text of each.
        numbers: what may stand there instead.
        wanted: proportions that go with the image.
    """
    plan = _Plan(size, boxes, labels, numbers)
    none, every = (False,) * len(boxes), (True,) * len(boxes)
    if wanted.type_size < SMALLEST_TYPE and len(boxes) == 1:
        return Fit(wanted, every)  # shrinking is for many faces, not for a tiny image
    for type_size in _shrinking(wanted.type_size):
        if not any(plan.too_wide(none, type_size)) and not any(plan.unfit(none, type_size)):
            return Fit(Proportions(type_size), none)
    numbered, type_size = none, max(min(wanted.type_size, _MIXED_TYPE), LEAST_LEGIBLE)
    while 2 * sum(numbered) < len(boxes):
        unfit = plan.unfit(numbered, type_size)
        if not any(bad and not flag for bad, flag in zip(unfit, numbered, strict=True)):
            return Fit(Proportions(type_size), numbered)
        numbered = tuple(bad or flag for bad, flag in zip(unfit, numbered, strict=True))
    for type_size in range(
        _NUMBER_TYPE, _LEAST_NUMBER, -1
    ):  # half of them or more: all, so that they look alike
        if not any(plan.unfit(every, type_size)):
            return Fit(Proportions(type_size), every)
    return Fit(Proportions(_LEAST_NUMBER), every)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What should stand at the faces of an image."""

    size: Size
    boxes: Sequence[Box]
    labels: Sequence[str]
    numbers: Sequence[str]

    def tags(self, numbered: Sequence[bool], type_size: int) -> list[Size]:
        """Sizes of what stands at each face."""
        texts = zip(self.labels, self.numbers, numbered, strict=True)
        return [Proportions(type_size).tag(number if flag else label) for label, number, flag in texts]

    def too_wide(self, numbered: Sequence[bool], type_size: int) -> list[bool]:
        """For each face, whether its label is wider than it may be."""
        tags, crowd = self.tags(numbered, type_size), len(self.boxes) > _FEW
        if any(width > self.size[0] or height > self.size[1] for width, height in tags):
            return [True] * len(tags)
        return [
            crowd and not flag and tag[0] > _WIDEST * box.width
            for tag, box, flag in zip(tags, self.boxes, numbered, strict=True)
        ]

    def unfit(self, numbered: Sequence[bool], type_size: int) -> list[bool]:
        """For each face, whether what stands there is too wide or hides what should be seen."""
        wide = self.too_wide(numbered, type_size)
        if 2 * sum(wide) >= len(wide):
            return wide  # they will be numbers anyway
        tags = self.tags(numbered, type_size)
        wishes = [Wish(box, tag) for box, tag in zip(self.boxes, tags, strict=True)]
        places = lay_out(self.size, wishes, gap=Proportions(type_size).gap)
        hidden = hidden_shares([place.tag for place in places], self.boxes)
        return [too or bool(share > _HIDING) for too, share in zip(wide, hidden, strict=True)]


def _shrinking(type_size: int) -> Iterator[int]:
    """Sizes of type from this one down to the least that is legible, each a tenth smaller."""
    while type_size >= LEAST_LEGIBLE:
        yield type_size
        type_size -= max(type_size // 10, 1)
