"""Expressions as facial action units: the activation of each muscle.

The units and their numbers are those of the Facial Action Coding System. Their combinations for each expression are
from Ekman & Friesen, *Facial Action Coding System: Investigator's Guide* (1978), table 11-1, and from Du, Tao &
Martinez, *Compound facial expressions of emotion* (PNAS 2014), https://doi.org/10.1073/pnas.1322355111, table
1; contempt is that of EMFACS (R12 + R14). The activations were chosen by looking at the drawn faces.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from mien.labels import FERPLUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.labels import LabelSet


@dataclass(frozen=True, slots=True)
class ActionUnits:
    """Activation of each muscle: 0 is at rest, 1 is a full movement.

    `one_sided` is a lip corner pulled up and in on one side only (AU12 with AU14): above 0 on the right of
    the image, below 0 on its left.
    """

    inner_brow_raise: float = 0.0  # AU1
    outer_brow_raise: float = 0.0  # AU2
    brow_lower: float = 0.0  # AU4
    upper_lid_raise: float = 0.0  # AU5
    cheek_raise: float = 0.0  # AU6
    lid_tighten: float = 0.0  # AU7
    nose_wrinkle: float = 0.0  # AU9
    upper_lip_raise: float = 0.0  # AU10
    corner_pull: float = 0.0  # AU12
    one_sided: float = 0.0  # R12 + R14 or L12 + L14
    corner_depress: float = 0.0  # AU15
    lower_lip_depress: float = 0.0  # AU16
    chin_raise: float = 0.0  # AU17
    lip_stretch: float = 0.0  # AU20
    lip_tighten: float = 0.0  # AU23, AU24
    lips_part: float = 0.0  # AU25
    jaw_drop: float = 0.0  # AU26, AU27
    lid_droop: float = 0.0  # AU43


_SMILE = {"cheek_raise": 0.8, "corner_pull": 1.0}
_STARTLE = {"inner_brow_raise": 1.0, "outer_brow_raise": 1.0}
_GRIEF = {"inner_brow_raise": 1.0, "brow_lower": 0.35}
_FROWN = {"brow_lower": 1.0, "lid_tighten": 0.7}
_SNEER = {"brow_lower": 0.5, "lid_tighten": 0.7, "nose_wrinkle": 1.0}
_DREAD = {"inner_brow_raise": 1.0, "outer_brow_raise": 0.4, "brow_lower": 0.4, "upper_lid_raise": 1.0}

PROTOTYPES: dict[str, tuple[ActionUnits, ...]] = {
    "neutral": (ActionUnits(),),
    "happiness": (
        ActionUnits(**_SMILE),  # 6 + 12
        ActionUnits(**_SMILE, lips_part=0.9),  # 6 + 12 + 25
        ActionUnits(**_SMILE, lips_part=1.0, jaw_drop=0.45),  # 6 + 12 + 25 + 26
    ),
    "surprise": (
        ActionUnits(**_STARTLE, upper_lid_raise=0.6, jaw_drop=0.6),  # 1 + 2 + 5 + 26
        ActionUnits(**_STARTLE, upper_lid_raise=0.8, jaw_drop=1.0),  # 1 + 2 + 5 + 27
    ),
    "sadness": (
        ActionUnits(**_GRIEF, corner_depress=0.9, lid_droop=0.2),  # 1 + 4 + 15
        ActionUnits(**_GRIEF, corner_depress=1.0, chin_raise=0.7, lid_droop=0.4),  # 1 + 4 + 15 + 17
    ),
    "anger": (
        ActionUnits(**_FROWN, upper_lid_raise=0.3, lip_tighten=0.9),  # 4 + 5 + 7 + 23
        ActionUnits(**_FROWN, lip_tighten=1.0, chin_raise=0.6, corner_depress=0.3),  # 4 + 7 + 17 + 24
        # 4 + 7 + 10 + 16 + 25
        ActionUnits(**_FROWN, upper_lip_raise=0.5, lower_lip_depress=0.7, lips_part=0.9),
    ),
    "disgust": (
        ActionUnits(**_SNEER, upper_lip_raise=0.6, corner_depress=0.6),  # 4 + 7 + 9 + 10 + 15
        ActionUnits(**_SNEER, upper_lip_raise=1.0, chin_raise=0.8),  # 4 + 7 + 9 + 10 + 17
        ActionUnits(**_SNEER, upper_lip_raise=1.0, lips_part=0.6),  # 4 + 7 + 9 + 10 + 25
    ),
    "fear": (
        ActionUnits(**_DREAD, lip_stretch=0.9, lips_part=0.7),  # 1 + 2 + 4 + 5 + 20 + 25
        ActionUnits(**_DREAD, lip_stretch=0.8, jaw_drop=0.45),  # 1 + 2 + 4 + 5 + 20 + 26
    ),
    "contempt": (
        ActionUnits(one_sided=1.0),  # R12 + R14
        ActionUnits(one_sided=0.9, lid_droop=0.35, lip_tighten=0.3),  # R12 + R14 + 24 + 43
    ),
}
"""Variants of each expression, by its name in FER+."""

CONFUSIONS: dict[str, dict[str, float]] = {
    "neutral": {"sadness": 0.5, "contempt": 0.2, "happiness": 0.15, "anger": 0.15},
    "happiness": {"neutral": 0.6, "surprise": 0.2, "contempt": 0.2},
    "surprise": {"fear": 0.7, "happiness": 0.2, "neutral": 0.1},
    "sadness": {"neutral": 0.5, "fear": 0.3, "disgust": 0.2},
    "anger": {"disgust": 0.5, "neutral": 0.3, "sadness": 0.2},
    "disgust": {"anger": 0.6, "sadness": 0.2, "contempt": 0.2},
    "fear": {"surprise": 0.7, "sadness": 0.3},
    "contempt": {"neutral": 0.6, "happiness": 0.25, "disgust": 0.15},
}
"""The expressions that each expression is confused with, and their shares of its errors (each row sums to 1).
The pairs are those that people confuse on FER2013; the shares were chosen for this data set."""

WEAKEST = 0.3
"""Minimum strength of a drawn expression; 1 is the prototype."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An instance of an expression.

    Args:
        units: activation of the muscles.
        strength: from `WEAKEST` to 1.
    """

    units: ActionUnits
    strength: float


def expression_name(label: str, label_set: LabelSet) -> str:
    """Return the key of `PROTOTYPES` for a class of a label set, in any usual spelling.

    Raises:
        DataError: If the label set has no such class, or it cannot be drawn.
    """
    return FERPLUS.classes[FERPLUS.index(label_set.classes[label_set.index(label)])]


def sample_expression(name: str, rng: np.random.Generator) -> Expression:
    """Sample an instance of an expression: variant, strength, variation per muscle, and traces of another expression.

    Args:
        name: a key of `PROTOTYPES`.
        rng: random generator.
    """
    strength = WEAKEST + (1 - WEAKEST) * float(rng.random()) ** 0.8
    play = 0.7 + 0.5 * rng.random(len(_UNITS))
    own = _sample_prototype(name, rng) * strength * play
    # The square makes most traces weak and a few strong, so that the classes overlap.
    trace = _sample_prototype(sample_rival(name, rng), rng) * (0.27 * float(rng.random()) ** 2)
    mixed = np.minimum(np.maximum(own, trace), 1.15)
    mixed[_UNITS.index("one_sided")] *= 1.0 if rng.random() < 0.5 else -1.0
    return Expression(ActionUnits(*mixed.tolist()), strength)


def sample_rival(name: str, rng: np.random.Generator) -> str:
    """Sample an expression that this one is confused with, by the shares of `CONFUSIONS`."""
    left = float(rng.random())
    rivals = CONFUSIONS[name]
    for rival, share in rivals.items():
        left -= share
        if left < 0:
            return rival
    return next(iter(rivals))  # the shares sum to 1 except for rounding


def _sample_prototype(name: str, rng: np.random.Generator) -> NDArray[np.float64]:
    ways = _PROTOTYPES[name]  # (variants, units)
    return np.asarray(ways[int(rng.random() * len(ways))], np.float64)


def _vector(units: ActionUnits) -> list[float]:
    return [getattr(units, name) for name in _UNITS]


_UNITS = tuple(field.name for field in fields(ActionUnits))
_PROTOTYPES = {name: np.array([_vector(units) for units in ways]) for name, ways in PROTOTYPES.items()}
