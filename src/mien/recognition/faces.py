"""What is found in a picture, frozen: boxes, landmarks, expressions, faces.

Coordinates are pixels of the picture as it was given, x to the right and y down, the origin at the upper left
corner. *Left* and *right* are those of the picture, not of the person. Probabilities lie in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Point = tuple[float, float]
"""x, y in pixels."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a picture.

    Args:
        x: left edge in pixels; may be negative where a face is cut off.
        y: upper edge.
        width: in pixels, at least 1.
        height: in pixels, at least 1.
    """

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column of pixels to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row of pixels below it."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Its size in pixels."""
        return self.width * self.height

    @property
    def centre(self) -> Point:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def iou(self, other: Box) -> float:
        """Intersection over union with another box, in [0, 1]."""
        width = min(self.right, other.right) - max(self.x, other.x)
        height = min(self.bottom, other.bottom) - max(self.y, other.y)
        if width <= 0 or height <= 0:
            return 0.0
        common = width * height
        return common / (self.area + other.area - common)

    def to_dict(self) -> dict[str, int]:
        """JSON-clean data."""
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five points of a face; left and right are the picture's.

    Args:
        left_eye: middle of the eye on the picture's left.
        right_eye: middle of the eye on the picture's right.
        nose: its tip.
        left_mouth: the corner of the mouth on the picture's left.
        right_mouth: the corner of the mouth on the picture's right.
    """

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-clean data: x and y of each point."""
        return {f.name: [round(float(v), 2) for v in getattr(self, f.name)] for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Detection:
    """A face as a detector finds it.

    Args:
        box: forehead to chin, ear to ear.
        confidence: how sure the detector is, in [0, 1]; not calibrated.
        landmarks: where the detector gives them.
    """

    box: Box
    confidence: float = 1.0
    landmarks: Landmarks | None = None


class Probabilities(dict[str, float]):
    """The probability of each label, in the model's order: a `dict` that cannot be changed.

    So results can be shared between threads, compared, hashed and pickled.
    """

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "The probabilities of a result cannot be changed. Copy them first: dict(probabilities)."
        )

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Probabilities], tuple[dict[str, float]]]:
        return type(self), (dict(self),)


@dataclass(frozen=True, slots=True)
class Expression:
    """What a face shows.

    Args:
        label: the most probable expression.
        score: its probability, in [0, 1].
        probabilities: of every expression, in the model's order; they sum to 1.
    """

    label: str
    score: float
    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", Probabilities(self.probabilities))

    @classmethod
    def from_probabilities(cls, labels: tuple[str, ...], row: Any) -> Expression:
        """The expression of one row of probabilities (classes,), the first of equals."""
        values = dict(zip(labels, (float(value) for value in row), strict=True))
        label = max(values, key=values.__getitem__)
        return cls(label, values[label], values)


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture with its expression.

    Args:
        box: where it is.
        expression: what it shows.
        confidence: how sure the detector is that it is a face, in [0, 1].
        landmarks: where the detector gives them.
        track: in a video, a number that the face keeps from frame to frame; else `None`.
    """

    box: Box
    expression: Expression
    confidence: float = 1.0
    landmarks: Landmarks | None = None
    track: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean data of native Python types."""
        data: dict[str, Any] = {
            "box": self.box.to_dict(),
            "label": self.expression.label,
            "score": self.expression.score,
            "probabilities": dict(self.expression.probabilities),
            "confidence": self.confidence,
            "landmarks": self.landmarks.to_dict() if self.landmarks else None,
        }
        if self.track is not None:
            data["track"] = self.track
        return data
