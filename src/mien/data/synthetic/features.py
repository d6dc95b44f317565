"""Shapes of the parts of a face that action units move: brows, eyes, nose, mouth and folds.

All functions are pure: they compute shapes from a person and action units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.synthetic.head import EYE_X, EYE_Y, SIDES, TO_SIDE, Shape, band, disc, mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.synthetic.action_units import ActionUnits
    from mien.data.synthetic.person import Person

    Floats = NDArray[np.float64]

MOUTH_Y = 0.70
INK = 22.0  # tone of the lashes

# Curves over a lid or the mouth, from one corner (-1) to the other (1).
_T = np.linspace(-1, 1, 17)
_SAG, _DOME = _T**2, 1 - _T**2
_UPPER_LID, _LOWER_LID = _DOME**0.65, _DOME**0.8
_OVAL, _BOX = _DOME**0.6, _DOME**0.35
_BOW = _DOME**0.6 * (1 - 0.3 * np.exp(-((_T / 0.16) ** 2)))  # the upper lip, with its notch
_CORNERS = np.abs(_T) ** 1.7 - 0.35  # lifts the ends, lowers the middle
_CREASE = 0.022 * _DOME
_NOSTRILS = 0.05 * _DOME - 0.035 * _T**4  # lower edge of the nose
_LASH = 0.03 + 0.012 * np.maximum(_T, 0)

# Curves along a brow, from the nose outwards, or down a fold.
_U = np.linspace(0, 1, 9)
_SWELL = np.sin(np.pi * _U) ** 0.7  # a brush stroke: thin, thick, thin
_INNER, _OUTER = (1 - _U) ** 1.3, _U**0.7
_PRESS = 0.20 - 0.24 * _U
_ARCH = np.sin(np.pi * _U**1.3) - 0.5 * _U  # the outer end is a little low
_TAPER = 1 - 0.75 * _U**2

_BLUSH = disc(0.56, 0.30, 0.25, 0.15)

# Iris, pupil and glint of an eye around their own middle: (48, 2)
_IRIS = np.concatenate([disc(0, 0, 0.128, 0.128), disc(0, 0, 0.066, 0.066), disc(-0.05, -0.05, 0.036, 0.036)])


def brows(person: Person, units: ActionUnits) -> list[Shape]:
    """Return the eyebrows: AU1 raises their inner ends, AU2 their outer ends, AU4 moves them down and together."""
    lift = (0.19 * units.inner_brow_raise) * _INNER + (0.17 * units.outer_brow_raise) * _OUTER
    lower = units.brow_lower * _PRESS
    arch = 0.075 * (1 - 0.6 * units.brow_lower) * _ARCH
    y = (EYE_Y - 0.34 + person.brow_rest) - lift + lower - arch
    half = (0.05 * person.brow_weight) * _TAPER
    stroke = band((0.17 - 0.05 * units.brow_lower) + 0.55 * _U, y - half, y + half)
    tone = min(person.hair_tone * 0.8, person.skin * 0.42)
    return [Shape(stroke * TO_SIDE[side], tone) for side in SIDES]


def eyes(person: Person, units: ActionUnits) -> list[Shape]:
    """Return the eyes: AU5 opens them, AU6 and AU7 narrow them from below, AU43 closes them."""
    x = EYE_X + (0.25 * person.eye_size) * _T
    top, bottom = _lids(person, units)
    crease = top - (0.055 + 0.03 * units.upper_lid_raise)
    lids = [
        Shape(band(x, crease, crease + _CREASE), person.skin * 0.78),
        Shape(band(x, bottom, bottom + 0.03), person.skin * 0.82),
        Shape(band(x, top, bottom), mix(person.skin, 250, 0.8)),
    ]
    lashes = Shape(band(x, top - _LASH, top + 0.012), min(INK, person.skin * 0.2))
    shapes = []
    for side in SIDES:
        shapes += [Shape(points * TO_SIDE[side], tone) for points, tone in lids]
        shapes += _iris(person, side, x, top, bottom)
        shapes.append(Shape(lashes.points * TO_SIDE[side], lashes.tone))
    return shapes


def _iris(person: Person, side: int, x: Floats, top: Floats, bottom: Floats) -> list[Shape]:
    """Return iris, pupil and glint, clipped to the lids; both eyes look in the same direction."""
    points = np.add(_IRIS, (side * EYE_X + 0.25 * person.gaze_x, EYE_Y - 0.025 + 0.25 * person.gaze_y))
    across = side * points[:, 0]
    points[:, 1] = np.minimum(
        np.maximum(points[:, 1], np.interp(across, x, top)), np.interp(across, x, bottom)
    )
    return [Shape(points[:16], person.iris), Shape(points[16:32], 8.0), Shape(points[32:], 252.0)]


def _lids(person: Person, units: ActionUnits) -> tuple[Floats, Floats]:
    """Return y of the upper and of the lower lid, from the inner to the outer corner, each (17,)."""
    upper = 0.145 * person.lid_rest + 0.10 * units.upper_lid_raise
    upper -= 0.05 * units.lid_tighten + 0.08 * units.lid_droop + 0.02 * units.cheek_raise
    lower = 0.085 + 0.02 * units.upper_lid_raise - 0.05 * units.lid_tighten - 0.075 * units.cheek_raise
    # A lowered brow lowers the inner half of the lid; a brow raised only at its inner end lowers the outer half.
    grief = max(units.inner_brow_raise - units.outer_brow_raise, 0.0)
    slant = 0.45 * units.brow_lower * (1 - min(units.inner_brow_raise, 1.0)) - 0.3 * grief
    base = EYE_Y - 0.02 * _T
    top = base - max(upper, 0.03) * _UPPER_LID * (1 + slant * _T)
    bottom = base + max(lower, -0.01) * _LOWER_LID
    return top, np.maximum(bottom, top + 0.012)


def nose(person: Person, units: ActionUnits, light_x: float) -> list[Shape]:
    """Return bridge, wings and nostrils; AU9 pulls the nose up and wrinkles its root."""
    wrinkle = units.nose_wrinkle
    y = 0.34 - 0.06 * wrinkle
    wing = 0.17 * person.nose_size * (1 + 0.2 * wrinkle)
    shaded = TO_SIDE[1 if light_x < 0 else -1]
    bridge = np.array([(0.05, -0.2), (0.10, 0.0), (wing * 0.95, y - 0.03), (0.05, y + 0.01)]) * shaded
    base = y + _NOSTRILS
    shapes = [
        Shape(bridge, person.skin * 0.87),
        Shape(band(wing * _T, base - 0.012, base + 0.03 * _DOME), person.skin * 0.62),
    ]
    shapes += [Shape(disc(side * wing * 0.5, y + 0.03, 0.045, 0.024), person.skin * 0.35) for side in SIDES]
    if wrinkle > 0.15:
        tone = person.skin * (1 - 0.42 * wrinkle)
        shapes += [_across(0.15, y, 0.06, 0.018, tone) for y in (-0.12, -0.03, 0.06)]
    return shapes


def folds(person: Person, units: ActionUnits) -> list[Shape]:
    """Return the lines on the forehead (AU1, AU2), between the brows (AU4), beside the mouth and on the chin (AU17)."""
    shapes = []
    raised = min(units.inner_brow_raise, units.outer_brow_raise + 0.35)
    if raised > 0.25:
        tone = person.skin * (1 - 0.3 * raised)
        shapes += [_across(width, y, 0.03, 0.012, tone) for y, width in ((-0.74, 0.42), (-0.86, 0.34))]
    if units.brow_lower > 0.25:
        tone = person.skin * (1 - 0.45 * units.brow_lower)
        shapes += [_downwards(side * (0.075 - 0.025 * _U), 0.26 * _U - 0.48, 0.02, tone) for side in SIDES]
    for side in SIDES:
        shapes += _cheek(person, units, side)
    if units.chin_raise > 0.2:
        shapes.append(_across(0.24, 1.0, 0.05, 0.02, person.skin * (1 - 0.35 * units.chin_raise)))
    return shapes


def _cheek(person: Person, units: ActionUnits, side: int) -> list[Shape]:
    """Return the raised cheek (AU6), and the fold from the nose to the corner of the mouth."""
    one_sided = max(units.one_sided * side, 0.0)
    depth = 0.9 * max(units.corner_pull, units.upper_lip_raise, units.nose_wrinkle, one_sided)
    shapes = []
    if units.cheek_raise > 0.2:
        blush = person.skin * (1 - 0.07 * units.cheek_raise)
        shapes.append(Shape(_BLUSH * TO_SIDE[side], blush))
    if depth > 0.15:
        out = 0.34 + 0.06 * units.corner_pull + 0.05 * one_sided
        down = 0.27 - 0.05 * units.nose_wrinkle + 0.40 * _U
        shapes.append(_downwards(side * (0.2 + out * _U**0.8), down, 0.022, person.skin * (1 - 0.38 * depth)))
    return shapes


def _across(half_width: float, y: float, sag: float, half: float, tone: float) -> Shape:
    """Return a tapered horizontal line across the middle of the face; its ends are lower than its middle by `sag`."""
    line, swell = y + sag * _SAG, half * _DOME
    return Shape(band(half_width * _T, line - swell, line + swell), tone)


def _downwards(x: Floats, y: Floats, half: float, tone: float) -> Shape:
    """Return a tapered line down the face."""
    swell = half * _SWELL
    return Shape(band(y, x - swell, x + swell)[:, ::-1], tone)


def mouth(person: Person, units: ActionUnits) -> list[Shape]:
    """Return the mustache, if any, the lips, and the teeth and tongue visible between them."""
    x, upper, lower = mouth_opening(person, units)
    fullness = person.lips * (1 - 0.6 * min(units.lip_tighten, 1.0)) * (1 - 0.25 * units.corner_pull)
    top, bottom = upper - 0.064 * fullness * _BOW, lower + 0.085 * fullness * _OVAL
    lip = person.skin * 0.64
    shapes = []
    if person.moustache:
        tone = mix(person.skin, person.hair_tone, 0.4 + 0.5 * person.beard)
        shapes.append(Shape(band(x * 1.1, top - 0.10 * _OVAL, top + 0.02), tone))
    line = 0.01 + 0.01 * _DOME
    shapes += [
        Shape(band(0.5 * x, bottom + 0.05, bottom + 0.05 + 0.05 * _DOME), person.skin * 0.86),
        Shape(band(x, top, upper + 0.01), lip),
        Shape(band(x, lower - 0.01, bottom), mix(lip, person.skin, 0.25)),
        Shape(band(x, upper - line, lower + line), min(30.0, person.skin * 0.25)),
    ]
    if (lower - upper).max() > 0.05:
        shapes += _between_lips(x, upper, lower, units)
    return shapes


def mouth_opening(person: Person, units: ActionUnits) -> tuple[Floats, Floats, Floats]:
    """Return the inner edges of the lips: x, y of the upper and y of the lower lip, left to right, each (17,)."""
    jaw, smile, stretch = units.jaw_drop, units.corner_pull, units.lip_stretch
    narrow = 0.30 * jaw * (1 - min(smile + stretch, 1.0)) + 0.14 * units.lip_tighten
    width = 0.40 * person.mouth_width * (1 + 0.24 * smile + 0.26 * stretch - narrow)
    away = np.maximum(np.copysign(_T, _T * units.one_sided), 0.0)  # 0 to 1 toward the side that is pulled
    x = width * _T + units.one_sided * (0.03 + 0.06 * away)
    bend = 0.18 * (units.corner_depress - smile) + 0.06 * stretch + person.corner_rest
    middle = MOUTH_Y + bend * _CORNERS - 0.05 * units.chin_raise * _DOME
    middle -= 0.21 * abs(units.one_sided) * away**1.4
    # The opening is a box if the lips are stretched or the lower lip is depressed, else an oval.
    gap = _BOX if stretch + units.lower_lip_depress > 0.4 else _OVAL
    part, parted = 0.06 * units.lips_part, min(units.lips_part + units.lower_lip_depress, 1.0)
    upper = middle - (part + 0.10 * jaw + 0.06 * units.upper_lip_raise * _DOME) * gap
    drop = 0.36 * jaw + 0.09 * smile * units.lips_part + 0.07 * units.lower_lip_depress
    lower = middle + (part + drop) * gap
    lower -= 0.05 * units.upper_lip_raise * (1 - parted) * _DOME
    return x, upper, np.maximum(lower, upper)


def _between_lips(x: Floats, upper: Floats, lower: Floats, units: ActionUnits) -> list[Shape]:
    """Return the tongue of an open mouth, the upper teeth, and the lower teeth if the lips are drawn back."""
    shapes = []
    if units.jaw_drop > 0.25:
        tongue = np.maximum(upper, lower - 0.13 * units.jaw_drop * _DOME)
        shapes.append(Shape(band(x * 0.75, tongue, lower), 95.0))
    shown = 0.085 + 0.03 * units.corner_pull - 0.05 * max(units.jaw_drop - units.corner_pull, 0.0)
    shapes.append(Shape(band(x * 0.93, upper, np.minimum(upper + shown, lower)), 240.0))
    if units.lower_lip_depress > 0.3 or units.lip_stretch > 0.4:
        shapes.append(Shape(band(x * 0.85, np.maximum(upper, lower - 0.05), lower), 225.0))
    return shapes
