"""Random persons for drawn faces: skin, hair and the proportions of a face at rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Hair(NamedTuple):
    """A hair style.

    Args:
        hairline: y of the hair's edge at x = -1, -0.5, 0, 0.5 and 1, in face units.
        volume: distance of its outer edge from the skull.
        length: y of the lower end of the hair behind the head; 0 for none.
        curl: height of the curls along its outline.
    """

    hairline: tuple[float, float, float, float, float]
    volume: float
    length: float = 0.0
    curl: float = 0.0


HAIR_STYLES = {
    "short": Hair((-0.30, -0.86, -0.92, -0.86, -0.30), 0.07),
    "parted": Hair((-0.25, -0.95, -0.84, -0.70, -0.20), 0.12),
    "long": Hair((-0.20, -0.72, -0.92, -1.00, -0.25), 0.12, length=1.35),
    "middle parting": Hair((0.05, -0.80, -1.08, -0.80, 0.05), 0.14, length=1.75),
    "bob with fringe": Hair((0.10, -0.66, -0.63, -0.66, 0.10), 0.12, length=0.75),
    "curls": Hair((0.10, -0.80, -0.88, -0.80, 0.10), 0.17, length=0.65, curl=0.10),
    "short curls": Hair((-0.30, -0.86, -0.84, -0.86, -0.30), 0.08, curl=0.09),
    "cropped": Hair((-0.20, -1.02, -1.12, -1.02, -0.20), 0.03),
}


@dataclass(frozen=True, slots=True)
class Person:
    """The appearance of a person at rest. Sizes are factors around 1, offsets in face units, tones from 0 to 255."""

    skin: float  # tone
    hair_tone: float
    cloth: float  # tone
    hair: Hair | None
    mirrored: bool  # the hair is parted on the other side
    jaw: float  # how much the head narrows to the chin
    chin: float  # y of the chin
    eye_size: float
    iris: float  # tone
    gaze_x: float  # offset of the irises in eye half-widths
    gaze_y: float
    brow_weight: float
    brow_rest: float  # y offset; above 0 the brows sit low
    lid_rest: float  # openness of the eyes
    nose_size: float
    mouth_width: float
    lips: float  # fullness
    corner_rest: float  # y offset; above 0 the lip corners hang
    glasses: bool
    beard: float  # darkness from 0 (none) to 1
    moustache: bool


_RANGES = {
    "skin": (92, 212), "cloth": (25, 235),
    "jaw": (0.10, 0.30), "chin": (1.16, 1.32),
    "eye_size": (0.90, 1.16), "iris": (30, 115), "gaze_x": (-0.22, 0.22), "gaze_y": (-0.08, 0.10),
    "brow_weight": (0.75, 1.35), "brow_rest": (-0.04, 0.04), "lid_rest": (0.85, 1.15),
    "nose_size": (0.85, 1.2), "mouth_width": (0.88, 1.12), "lips": (0.75, 1.4), "corner_rest": (-0.025, 0.03),
}  # fmt: skip


def within(ranges: dict[str, tuple[float, float]], rng: np.random.Generator) -> dict[str, float]:
    """Sample a value for each name from the uniform distribution between its two bounds."""
    shares = rng.random(len(ranges)).tolist()
    bounds = zip(ranges.items(), shares, strict=True)
    return {name: low + (high - low) * share for (name, (low, high)), share in bounds}


def sample_person(rng: np.random.Generator) -> Person:
    """Sample a person: about one in nine is bald, one in seven has a beard, and one in eight wears glasses."""
    drawn = within(_RANGES, rng)
    style, dye, shade, parting, beard, moustache, glasses = rng.random(7).tolist()
    hair_tone = 18 + 52 * shade if dye < 0.65 else 90 + 125 * shade
    if abs(hair_tone - drawn["skin"]) < 45:  # it would not stand out from the skin
        hair_tone = drawn["skin"] * 0.45
    styles = (*HAIR_STYLES.values(), None)
    return Person(
        **drawn,
        hair_tone=hair_tone,
        hair=styles[int(style * len(styles))],
        mirrored=parting < 0.5,
        glasses=glasses < 0.12,
        beard=0.25 + 4 * (0.14 - beard) if beard < 0.14 else 0.0,
        moustache=beard < 0.14 and moustache < 0.7,
    )
