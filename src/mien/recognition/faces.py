"""What is found in an image, frozen: boxes, landmarks, expressions, faces.

Coordinates are pixels of the image as it was given, x to the right and y down, the origin at the upper left
corner. *Left* and *right* are those of the image, not of the person. Probabilities lie in [0, 1]. What they are
made of is checked at birth, so that whoever receives one may trust it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.html_table import html_table
from mien.quoting import quoted
from mien.recognition.probabilities import Probabilities
from mien.recognition.values import finite, items_of, share, whole

_FARTHEST = 2**31 - 1
"""The largest number of a box: what images are cut with takes no larger ones."""

Point = tuple[float, float]
"""x, y in pixels."""

UNCERTAIN = "uncertain"
"""The label of an expression whose score is below the `min_confidence` that was asked for."""

LOW_CONFIDENCE = "low confidence"
"""The label in place of `UNCERTAIN` where a class of the model is called so."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an image.

    Args:
        x: left edge in pixels; may be negative where a face is cut off.
        y: upper edge.
        width: in pixels; that of a face at least 1.
        height: likewise.

    Raises:
        DataError: a value is not a whole number, or is too large; or width or height is negative.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            value = getattr(self, name)
            if type(value) is not int:
                value = whole(value, f"{name} of a box", "pixels")
                object.__setattr__(self, name, value)
            if abs(value) > _FARTHEST:
                raise DataError(f"Expected the {name} of a box up to {_FARTHEST:,}, got {quoted(value)}.")
        if self.width < 0 or self.height < 0:
            raise DataError(
                f"Expected a box with a width and a height, got width {self.width} and height {self.height}. "
                "A box is (x, y, width, height), not two corners."
            )

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

    def overlaps(self, width: int, height: int) -> bool:
        """Whether any of its pixels lies in an image of this size."""
        return self.x < width and self.y < height and self.right > 0 and self.bottom > 0

    def to_dict(self) -> dict[str, int]:
        """JSON-clean data."""
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five points of a face; left and right are the image's.

    Args:
        left_eye: middle of the eye on the image's left.
        right_eye: middle of the eye on the image's right.
        nose: its tip.
        left_mouth: the corner of the mouth on the image's left.
        right_mouth: the corner of the mouth on the image's right.

    Raises:
        DataError: one of them is not a pair of finite numbers.
    """

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _point(getattr(self, f.name), f.name))

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

    Raises:
        DataError: one of these has another type, or the confidence is outside [0, 1].
    """

    box: Box
    confidence: float = 1.0
    landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        _check_place(self)


def uncertain_label(classes: Iterable[str]) -> str:
    """The label of a face whose score is too low: `"uncertain"`, or another where a class has that name."""
    return LOW_CONFIDENCE if UNCERTAIN in classes else UNCERTAIN


@dataclass(frozen=True, slots=True)
class Expression:
    """What a face shows.

    Args:
        label: the most probable expression; `"uncertain"` where its probability is below `min_confidence`.
        score: the probability of the most probable expression, in [0, 1].
        probabilities: of every expression, in the model's order; they sum to 1.
        min_confidence: score below which the label is `"uncertain"`, in [0, 1].

    Raises:
        DataError: the label is no text, or a number is not finite or outside [0, 1].
    """

    label: str
    score: float
    probabilities: Mapping[str, float]
    min_confidence: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.label, str):
            raise DataError(f"Expected the label of an expression as text, got {quoted(self.label)}.")
        if not isinstance(self.probabilities, Mapping):
            raise DataError(
                "Expected the probabilities of an expression as a mapping from label to probability, "
                f"got {type(self.probabilities).__name__}."
            )
        values = {
            label: value
            if type(value) is float and 0 <= value <= 1
            else share(value, f"probability of {quoted(label)}")
            for label, value in self.probabilities.items()
        }
        object.__setattr__(self, "score", share(self.score, "score of an expression"))
        object.__setattr__(self, "probabilities", Probabilities(values))
        object.__setattr__(self, "min_confidence", share(self.min_confidence, "min_confidence"))

    @property
    def best(self) -> str:
        """The most probable expression, also where the label is `"uncertain"`; the first of equals."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=self.label)

    @property
    def uncertain(self) -> bool:
        """Whether the score is below `min_confidence`."""
        return self.score < self.min_confidence

    @classmethod
    def from_probabilities(
        cls, labels: tuple[str, ...], row: Any, *, min_confidence: float = 0.0
    ) -> Expression:
        """The expression of one row of probabilities (classes,), the first of equals.

        Args:
            labels: class names in the order of the row.
            row: a probability for each.
            min_confidence: below this probability the label is `"uncertain"`, in [0, 1].

        Raises:
            DataError: there are not as many probabilities as labels, or they are no numbers in [0, 1].
        """
        plain = row.tolist() if type(row) is np.ndarray else row  # quicker than number by number
        names, row = items_of(labels) or [""], items_of(plain) or []
        if len(names) != len(row) or not all(isinstance(name, str) for name in names):
            raise DataError(
                f"Expected a probability for each of the labels {quoted(labels)}, got {quoted(row)}."
            )
        values = {
            name: value if type(value) is float else share(value, "probability")
            for name, value in zip(names, row, strict=True)
        }
        label = max(values, key=values.__getitem__)
        expression = cls(label, values[label], values, min_confidence)  # which checks the values
        return replace(expression, label=uncertain_label(values)) if expression.uncertain else expression

    def with_probabilities(self, values: Mapping[str, float]) -> Expression:
        """The expression of other probabilities of the same classes, with the same `min_confidence`."""
        return self.from_probabilities(tuple(values), values.values(), min_confidence=self.min_confidence)

    def with_min_confidence(self, min_confidence: float) -> Expression:
        """The same probabilities; the label is `"uncertain"` if the highest is below `min_confidence`."""
        labels, row = tuple(self.probabilities), self.probabilities.values()
        return self.from_probabilities(labels, row, min_confidence=min_confidence)


@dataclass(frozen=True, slots=True, repr=False)
class Face:
    """A face in an image with its expression.

    Args:
        box: where it is.
        expression: what it shows.
        confidence: how sure the detector is that it is a face, in [0, 1].
        landmarks: where the detector gives them.
        track: in a video, a number that the face keeps from frame to frame; else `None`.

    Raises:
        DataError: one of these has another type, or the confidence is outside [0, 1].
    """

    box: Box
    expression: Expression
    confidence: float = 1.0
    landmarks: Landmarks | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        _check_place(self)
        if not isinstance(self.expression, Expression):
            raise DataError(
                f"Expected the expression of a face as an Expression, got {quoted(self.expression)}."
            )
        if self.track is not None and type(self.track) is not int:
            object.__setattr__(self, "track", whole(self.track, "track of a face", "numbers"))

    def __repr__(self) -> str:
        track = "" if self.track is None else f", track {self.track}"
        return f"<Face {self.expression.label} {self.expression.score:.0%}, {self.box}{track}>"

    def _repr_html_(self) -> str:
        rows = [(name, f"{value:.1%}") for name, value in self.expression.probabilities.items()]
        return html_table(rows, title=repr(self)[1:-1])

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


def _check_place(found: Detection | Face) -> None:
    """Check what a detection and a face share: box, confidence and landmarks."""
    if not isinstance(found.box, Box):
        raise DataError(f"Expected a Box(x, y, width, height), got {quoted(found.box)}.")
    if not found.box.area:
        raise DataError(
            f"Expected the box of a face to have pixels, got {found.box.width}x{found.box.height}."
        )
    if found.landmarks is not None and not isinstance(found.landmarks, Landmarks):
        raise DataError(f"Expected Landmarks or None, got {quoted(found.landmarks)}.")
    object.__setattr__(found, "confidence", share(found.confidence, "confidence that this is a face"))


def _point(value: Any, name: str) -> Point:
    pair = items_of(value) or []
    if len(pair) != 2:
        raise DataError(f"Expected {name} as x and y in pixels, got {quoted(value)}.")
    return finite(pair[0], f"x of {name}"), finite(pair[1], f"y of {name}")
