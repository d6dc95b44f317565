"""Shapes of head, hair, ears, neck, beard and glasses, which expressions do not move, except for the jaw."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.synthetic.person import Hair, Person

    Floats = NDArray[np.float64]

EYE_X, EYE_Y = 0.43, -0.06  # center of the eye on the right side of the image
SIDES = (-1, 1)
TO_SIDE = {side: np.array((side, 1.0)) for side in SIDES}
"""Factors that mirror points to a side of the image: -1 is left, 1 is right."""

_TURN = np.arange(48) * (2 * np.pi / 48)  # clockwise from the top of the head
_RING = np.stack([np.sin(_TURN), -np.cos(_TURN)], axis=1)  # (48, 2)
_DOT = _RING[::3]  # (16, 2)
_ARC = np.linspace(-1, 1, 49)  # along the outer edge of the hair
_LOCKS = np.abs(np.sin(_ARC * 4.5 * np.pi))
_HEM_X = np.linspace(0.98, -0.98, 21)  # along the hairline, right to left

_SHEEN = np.concatenate([_RING[7:1:-1] * (0.93, 1.16), _RING[2:8] * (0.86, 1.07)])

_NECK = np.array([(-0.46, 0.6), (0.46, 0.6), (0.5, 1.75), (0.2, 1.95), (-0.2, 1.95), (-0.5, 1.75)])
_CLOTHES = np.array([
    (-0.47, 1.5), (-1.1, 1.68), (-1.9, 2.0), (-2.4, 3.5), (2.4, 3.5), (1.9, 2.0), (1.1, 1.68), (0.47, 1.5),
    (0.25, 1.72), (0.0, 1.8), (-0.25, 1.72),
])  # fmt: skip
_BRIDGE = np.array([(-0.13, -0.1), (0, -0.14), (0.13, -0.1), (0.13, -0.06), (0, -0.1), (-0.13, -0.06)])
_TEMPLE = np.array([(0.75, -0.1), (1.0, -0.04), (1.0, 0.0), (0.75, -0.05)])
_RIM = np.concatenate([_RING, _RING[:1], _RING[:1] * 0.9, _RING[::-1] * 0.9]) * (0.335, 0.305)


class Shape(NamedTuple):
    """A filled polygon: points float (k, 2) in face units, and a gray tone."""

    points: Floats
    tone: float


def disc(x: float, y: float, rx: float, ry: float) -> Floats:
    """Return an ellipse as a polygon (16, 2)."""
    points = np.empty((16, 2))
    points[:, 0], points[:, 1] = x + rx * _DOT[:, 0], y + ry * _DOT[:, 1]
    return points


def band(x: Floats, top: Floats, bottom: Floats) -> Floats:
    """Return the area between two curves over the same k positions, as a polygon (2k, 2)."""
    k = len(x)
    points = np.empty((2 * k, 2))
    points[:k, 0], points[:k, 1] = x, top
    points[k:, 0], points[k:, 1] = x[::-1], bottom[::-1]
    return points


def circle(x: float, y: float, radius: float) -> Floats:
    """Return a circle as a polygon (48, 2), which has enough points for a large one."""
    return np.add(_RING * radius, (x, y))


def mix(tone: float, other: float, amount: float) -> float:
    """Return `tone` moved toward `other` by an amount from 0 to 1."""
    return tone + (other - tone) * amount


_EAR, _INNER_EAR = disc(1.0, 0.12, 0.14, 0.25), disc(1.03, 0.12, 0.065, 0.15)


def head_outline(person: Person, jaw_drop: float) -> Floats:
    """Return the outline of the face, clockwise from the top (48, 2); a dropped jaw makes it longer."""
    below = np.maximum(_RING[:, 1], 0.0)
    outline = _RING * (1.0, 1.2)
    outline[:, 0] *= 1 - person.jaw * below**2
    outline[13:36, 1] = (person.chin + 0.13 * jaw_drop) * below[13:36] ** 0.94  # a little flat at the chin
    return outline


def behind(person: Person) -> list[Shape]:
    """Return the shapes that are painted before the face: the hair behind it, clothes, neck and ears."""
    shapes = [] if person.hair is None else _hair_behind(person.hair, person.hair_tone)
    shapes += [
        Shape(_CLOTHES, person.cloth),
        Shape(_NECK, person.skin * 0.84),
        Shape(disc(0, person.chin + 0.02, 0.44, 0.26), person.skin * 0.68),
    ]
    for side in SIDES:
        shapes.append(Shape(_EAR * TO_SIDE[side], person.skin * 0.93))
        shapes.append(Shape(_INNER_EAR * TO_SIDE[side], person.skin * 0.75))
    return shapes


def skin(person: Person, outline: Floats, light_x: float) -> list[Shape]:
    """Return the face, and a crescent of shade on the side away from the light."""
    edge = outline[2:23] if light_x < 0 else outline[-2:-23:-1]
    inner = edge[::-1] * (0.82 - 0.1 * abs(light_x), 1.0)
    return [Shape(outline, person.skin), Shape(np.concatenate([edge, inner]), person.skin * 0.88)]


def beard(person: Person, outline: Floats) -> list[Shape]:
    """Return the beard along the jaw, if any; the mouth is painted over it."""
    if not person.beard:
        return []
    jaw = outline[14:35]
    inner = np.add(jaw[::-1] * (0.8, 0.62), (0, 0.12))
    return [Shape(np.concatenate([jaw, inner]), mix(person.skin, person.hair_tone, person.beard))]


def front_hair(person: Person, light_x: float) -> list[Shape]:
    """Return the hair over the forehead, if any, with a sheen on the side of the light."""
    if person.hair is None:
        return []
    return [
        Shape(_hair_over_forehead(person.hair, person.mirrored), person.hair_tone),
        Shape(_SHEEN * TO_SIDE[-1 if light_x < 0 else 1], mix(person.hair_tone, 255, 0.22)),
    ]


def glasses(person: Person) -> list[Shape]:
    """Return round glasses, if any: dark on light skin, light on dark skin."""
    if not person.glasses:
        return []
    tone = 30.0 if person.skin > 125 else 235.0
    shapes = [Shape(_BRIDGE, tone)]
    for side in SIDES:
        shapes.append(Shape(np.add(_RIM, (EYE_X, EYE_Y + 0.02)) * TO_SIDE[side], tone))
        shapes.append(Shape(_TEMPLE * TO_SIDE[side], tone))
    return shapes


def _hair_behind(hair: Hair, tone: float) -> list[Shape]:
    if not hair.length:
        return []
    wide, high = 1.1 + hair.volume, 1.25 + hair.volume
    over = np.concatenate([_RING[36:], _RING[:13]]) * (wide, high)
    hanging = np.add(_RING[13:36] * (wide, 0.3), (0, hair.length - 0.3))
    return [Shape(np.concatenate([over, hanging]), tone * 0.85)]


@cache
def _hair_over_forehead(hair: Hair, mirrored: bool) -> Floats:
    """Return a polygon from the left temple along the outer edge to the right one, and back along the hairline."""
    y = np.interp(_HEM_X, (-1, -0.5, 0, 0.5, 1), hair.hairline)
    y[1:-1] = (y[:-2] + 2 * y[1:-1] + y[2:]) / 4  # smooth the corners
    hem = np.stack([_HEM_X * np.sqrt(1.02 - 0.1 * np.minimum(y, 0) ** 2), y], axis=1)
    start, stop = np.arccos(-hair.hairline[0] / 1.2), np.arccos(-hair.hairline[-1] / 1.2)
    turn = (stop - start) / 2 + (stop + start) / 2 * _ARC
    away = hair.volume * (1 - 0.9 * _ARC**4) + hair.curl * _LOCKS
    edge = np.stack([np.sin(turn) * (1.02 + 0.8 * away), -np.cos(turn) * (1.2 + away)], axis=1)
    return np.asarray(np.concatenate([edge, hem]) * TO_SIDE[-1 if mirrored else 1])
