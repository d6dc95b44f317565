"""Place tags and panels in an image so that they do not cover faces or each other.

This module only computes rectangles. For each face in turn, the position with the lowest cost among a few around the
face is chosen. Covering a tag costs more than covering another face, and that more than covering the own face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.recognition.faces import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Size = tuple[int, int]
"""Width and height in pixels."""

Corner = tuple[int, int]
"""x and y of a top left corner."""

_COST_OF_TAG = 1000.0
_COST_OF_EYES = 60.0
_COST_OF_FACE = 30.0
_COST_OF_OWN_FACE = 1.0
_COST_OF_DISTANCE = 3.0
_COST_OF_RANK = 0.02
"""Costs of a tag that is completely on each of these (on the eyes of any face, in addition to the face), of a position
where it may seem to belong to another face, and of each step in the order of positions."""

_EYES = (0.22, 0.55)
"""Vertical range of the eyes in the box of a face, as fractions of its height."""

_MAX_OWN_FACE = 0.4
"""Maximum fraction of its own face that a panel may cover."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The sizes to place for one face.

    Args:
        box: box of the face, within the image.
        tag: size of its tag.
        panels: possible sizes of its panel, from the preferred to the smallest one; may be empty.
    """

    box: Box
    tag: Size
    panels: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """The positions for one face.

    Args:
        tag: position of its tag.
        panel: position of its panel; `None` if there is no space.
        level: index of the size of its panel.
    """

    tag: Box
    panel: Box | None = None
    level: int = 0


def lay_out(size: Size, wishes: Sequence[Wish], *, gap: int) -> list[Place]:
    """Find a position for each tag and, if there is space, for each panel.

    Args:
        size: width and height of the image.
        wishes: the faces, the most important first; tags must not be larger than the image.
        gap: distance in pixels between a box and its tag or panel.

    Returns:
        A place for each wish. Tags and panels are within the image. Panels do not cover tags, other panels or other
        faces; only the panel of a single face may cover a part of it. All panels have the same level: the first one at
        which all panels fit, or else the last one.
    """
    boxes = [wish.box for wish in wishes]
    tags = _place_tags(size, wishes, gap)
    panels: list[Box | None] = [None] * len(wishes)
    level = 0
    for level in range(min((len(wish.panels) for wish in wishes), default=0)):
        panels = _place_panels(size, boxes, [wish.panels[level] for wish in wishes], tags, gap)
        if all(panels):
            break
    return [Place(tag, panel, level) for tag, panel in zip(tags, panels, strict=True)]


def eyes_of(box: Box) -> Box:
    """Return the part of the box of a face that contains the eyes."""
    top, bottom = (round(share * box.height) for share in _EYES)
    return Box(box.x, box.y + top, box.width, max(bottom - top, 1))


def hidden_shares(tags: Sequence[Box], boxes: Sequence[Box]) -> NDArray[np.float64]:
    """Return the fraction of each tag that covers eyes, other faces or other tags: float64 (n,).

    Args:
        tags: position of the tag of each face.
        boxes: the boxes of the faces.
    """
    others = ~np.eye(len(boxes), dtype=bool)
    shares = _shares(_array(tags), _array([eyes_of(box) for box in boxes])).sum(axis=1)
    for what in (boxes, tags):
        shares += (_shares(_array(tags), _array(what)) * others).sum(axis=1)
    return np.asarray(shares)


def _place_tags(size: Size, wishes: Sequence[Wish], gap: int) -> list[Box]:
    boxes, eyes = _array([wish.box for wish in wishes]), _array([eyes_of(wish.box) for wish in wishes])
    tags: list[Box] = []
    for i, wish in enumerate(wishes):
        corners, far = _around(wish.box, wish.tag, gap)
        places = _within(size, corners + far, wish.tag, margin=gap)
        distant = np.arange(len(places)) >= len(corners)
        cost = (
            _COST_OF_TAG * _covered(places, _array(tags))
            + _COST_OF_EYES * _covered(places, eyes)
            + _COST_OF_FACE * _covered(places, np.delete(boxes, i, axis=0))
            + _COST_OF_OWN_FACE * _covered(places, boxes[i : i + 1])
            + _COST_OF_DISTANCE * distant
            + _COST_OF_RANK * np.arange(len(places))
        )
        tags.append(_box(places[np.argmin(cost)]))
    return tags


def _around(box: Box, size: Size, gap: int) -> tuple[list[Corner], list[Corner]]:
    """Return positions for a tag, the best first: above, below, inside and beside; and some farther away."""
    width, height = size
    above, below, step = box.y - gap - height, box.bottom + gap, height + gap
    lefts = (box.x, box.right - width, box.x + (box.width - width) // 2)
    near = [(left, top) for top in (above, below) for left in lefts]
    inside = (box.x + gap, box.right - gap - width)
    near += [(left, top) for top in (box.y + gap, box.bottom - gap - height) for left in inside]
    sides = (box.right + gap, box.x - gap - width)
    near += [(left, top) for left in sides for top in (box.y, box.bottom - height)]
    return near, [(box.x, top) for n in (1, 2) for top in (above - n * step, below + n * step)]


def _place_panels(
    size: Size, boxes: Sequence[Box], panels: Sequence[Size], tags: Sequence[Box], gap: int
) -> list[Box | None]:
    placed: list[Box | None] = []
    for i, (box, panel) in enumerate(zip(boxes, panels, strict=True)):
        place = None
        if panel[0] + 2 * gap <= size[0] and panel[1] + 2 * gap <= size[1]:
            others = [*boxes[:i], *boxes[i + 1 :], *tags[:i], *tags[i + 1 :], *filter(None, placed)]
            places = _beside(size, box, tags[i], panel, gap)
            place = _first_free(places, _array([box, tags[i]]), _array(others), gap)
            if place is None and len(boxes) == 1:
                place = _least_hiding(size, box, panel, tags, gap)
        placed.append(place)
    return placed


def _beside(size: Size, box: Box, tag: Box, panel: Size, gap: int) -> NDArray[np.int64]:
    """Return positions (n, 4) for a panel, the best first: right, left, beyond the tag, below, above."""
    width, height = panel
    tops = (box.y, box.bottom - height, box.y + (box.height - height) // 2)
    lefts = (box.x, box.right - width, box.x + (box.width - width) // 2)
    sides = (box.right + gap, box.x - gap - width, tag.right + gap, tag.x - gap - width)
    corners = [(left, top) for left in sides for top in tops]
    corners += [(left, top) for top in (box.bottom + gap, box.y - gap - height) for left in lefts]
    return _within(size, corners, panel, margin=gap)


def _first_free(
    places: NDArray[np.int64], own: NDArray[np.int64], others: NDArray[np.int64], gap: int
) -> Box | None:
    """Return the first position that covers none of these, if possible at a distance from the others."""
    near, far = gap // 2, 2 * gap  # a panel close to another face would seem to belong to it
    free = _covered(_with_air(places, near), own) == 0
    for air in (far, near):
        clear = free & (_covered(_with_air(places, air), others) == 0)
        if clear.any():
            return _box(places[np.argmax(clear)])
    return None


def _least_hiding(size: Size, box: Box, panel: Size, tags: Sequence[Box], gap: int) -> Box | None:
    """Return the corner of the image where a panel covers the least of the face; `None` if that is too much."""
    right, bottom = size[0] - gap - panel[0], size[1] - gap - panel[1]
    places = _within(size, [(gap, bottom), (right, bottom), (right, gap), (gap, gap)], panel, margin=gap)
    hidden = _covered(places, _array([box])) * panel[0] * panel[1] / box.area
    cost = hidden + (_covered(places, _array(tags)) > 0)
    best = np.argmin(cost)
    return _box(places[best]) if cost[best] <= _MAX_OWN_FACE else None


def _within(size: Size, corners: Sequence[Corner], own: Size, *, margin: int) -> NDArray[np.int64]:
    """Return rectangles (n, 4) of size `own` at these top left corners, moved inside the image."""
    spare = np.subtract(size, own)
    least = np.minimum(margin, spare // 2)
    start = np.clip(np.array(corners), least, spare - least)
    return np.hstack([start, start + own])


def _with_air(places: NDArray[np.int64], air: int) -> NDArray[np.int64]:
    return np.asarray(places + np.array((-air, -air, air, air)))


def _covered(places: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the fractions of each place (k, 4) that cover each of the others (m, 4): (k,)."""
    return np.asarray(_shares(places, others).sum(axis=1))


def _shares(places: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the fraction of each place (k, 4) that covers each of the others (m, 4): (k, m)."""
    one, other = places[:, np.newaxis], others[np.newaxis]  # (k, 1, 4), (1, m, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = np.prod(np.maximum(sides, 0), axis=-1)
    return np.asarray(common / np.prod(places[:, 2:] - places[:, :2], axis=1)[:, np.newaxis])


def _array(boxes: Sequence[Box]) -> NDArray[np.int64]:
    edges = [(box.x, box.y, box.right, box.bottom) for box in boxes]
    return np.array(edges, np.int64).reshape(-1, 4)


def _box(edges: NDArray[np.int64]) -> Box:
    left, top, right, bottom = (int(value) for value in edges)
    return Box(left, top, right - left, bottom - top)
