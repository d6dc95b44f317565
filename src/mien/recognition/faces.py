"""Result types of face and expression recognition: boxes, landmarks, expressions and faces. All are immutable.

Coordinates are pixels of the given image, with x to the right, y down and the origin at the top left corner. *Left* and
*right* refer to the image, not to the person. Probabilities are in [0, 1]. All values are validated on construction.

>>> expression = Expression.from_probabilities(("happy", "sad"), [0.9, 0.1])
>>> face = Face(Box(10, 20, 100, 120), expression)
>>> face.expression.label, face.box.area
('happy', 12000)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.html_table import html_table
from mien.quoting import quoted
from mien.recognition.geometry import Box, Landmarks, Point
from mien.recognition.probabilities import Probabilities
from mien.recognition.values import to_list, unit_float, whole_number

__all__ = ["UNCERTAIN", "Box", "Detection", "Expression", "Face", "Landmarks", "Point"]

UNCERTAIN = "uncertain"
"""The label of an expression whose score is below `min_confidence`."""

LOW_CONFIDENCE = "low confidence"
"""The label that replaces `UNCERTAIN` if a class of the model is named `uncertain`."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A face found by a detector.

    Args:
        box: bounding box from forehead to chin and from ear to ear.
        confidence: score of the detector, in [0, 1]; not calibrated.
        landmarks: facial landmarks, if the detector returns them.

    Raises:
        DataError: If an argument has another type, or the confidence is outside [0, 1].
    """

    box: Box
    confidence: float = 1.0
    landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        _check_place(self)


def uncertain_label(classes: Iterable[str]) -> str:
    """Return the label of a face with a low score: `"uncertain"`, or `LOW_CONFIDENCE` if a class has that name."""
    return LOW_CONFIDENCE if UNCERTAIN in classes else UNCERTAIN


@dataclass(frozen=True, slots=True)
class Expression:
    """The expression of a face.

    Args:
        label: the most probable expression; `"uncertain"` if its probability is below `min_confidence`.
        score: the probability of the most probable expression, in [0, 1].
        probabilities: the probability of each expression, in the order of the model; they sum to 1.
        min_confidence: score below which the label is `"uncertain"`, in [0, 1].

    Raises:
        DataError: If the label is not a string, or a number is not finite or outside [0, 1].
    """

    label: str
    score: float
    probabilities: Mapping[str, float]
    min_confidence: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.label, str):
            raise DataError.from_parts(
                expected="the label of an expression as text", received=quoted(self.label)
            )
        if not isinstance(self.probabilities, Mapping):
            raise DataError.from_parts(
                expected="the probabilities of an expression as a mapping from label to probability",
                received=type(self.probabilities).__name__,
            )
        values = {
            label: value
            if type(value) is float and 0 <= value <= 1
            else unit_float(value, f"probability of {quoted(label)}")
            for label, value in self.probabilities.items()
        }
        object.__setattr__(self, "score", unit_float(self.score, "score of an expression"))
        object.__setattr__(self, "probabilities", Probabilities(values))
        object.__setattr__(self, "min_confidence", unit_float(self.min_confidence, "min_confidence"))

    @property
    def best(self) -> str:
        """The most probable expression, even if the label is `"uncertain"`; the first one of a tie."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=self.label)

    @property
    def uncertain(self) -> bool:
        """Whether the score is below `min_confidence`."""
        return self.score < self.min_confidence

    @classmethod
    def from_probabilities(
        cls, labels: tuple[str, ...], row: Any, *, min_confidence: float = 0.0
    ) -> Expression:
        """Create an expression from an array of probabilities. Of a tie, the first class is used.

        Args:
            labels: class names in the order of the probabilities.
            row: probabilities (classes,).
            min_confidence: score below which the label is `"uncertain"`, in [0, 1].

        Raises:
            DataError: If the numbers of probabilities and labels differ, two labels are the same, or the probabilities
                are not numbers in [0, 1].
        """
        plain = row.tolist() if type(row) is np.ndarray else row  # faster than converting each number
        names, row = to_list(labels) or [""], to_list(plain) or []
        if len(names) != len(row) or not all(isinstance(name, str) for name in names):
            raise DataError.from_parts(
                expected=f"a probability for each of the labels {quoted(labels)}", received=quoted(row)
            )
        values = {
            name: value if type(value) is float else unit_float(value, "probability")
            for name, value in zip(names, row, strict=True)
        }
        if len(values) < len(names):
            raise DataError.from_parts(
                expected="a different label for each probability", received=quoted(names)
            )
        label = max(values, key=values.__getitem__)
        expression = cls(label, values[label], values, min_confidence)  # validates the values
        return replace(expression, label=uncertain_label(values)) if expression.uncertain else expression

    def with_probabilities(self, values: Mapping[str, float]) -> Expression:
        """Return an expression with other probabilities of the same classes and the same `min_confidence`."""
        return self.from_probabilities(tuple(values), values.values(), min_confidence=self.min_confidence)

    def with_min_confidence(self, min_confidence: float) -> Expression:
        """Return an expression with the same probabilities and another `min_confidence`."""
        labels, row = tuple(self.probabilities), self.probabilities.values()
        return self.from_probabilities(labels, row, min_confidence=min_confidence)


@dataclass(frozen=True, slots=True, repr=False)
class Face:
    """A face in an image with its expression.

    Args:
        box: bounding box.
        expression: expression with the probability of each class.
        confidence: score of the detector, in [0, 1]; not calibrated.
        landmarks: facial landmarks, if the detector returns them.
        track: in a video, the number of the face, which is the same in all frames; else `None`.

    Raises:
        DataError: If an argument has another type, or the confidence is outside [0, 1].
    """

    box: Box
    expression: Expression
    confidence: float = 1.0
    landmarks: Landmarks | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        _check_place(self)
        if not isinstance(self.expression, Expression):
            raise DataError.from_parts(
                expected="the expression of a face as an Expression", received=quoted(self.expression)
            )
        if self.track is not None and type(self.track) is not int:
            object.__setattr__(self, "track", whole_number(self.track, "track of a face", "numbers"))

    def __repr__(self) -> str:
        track = "" if self.track is None else f", track {self.track}"
        known, score = self.expression, f"{self.expression.score:.0%}"
        named = known.label == known.best  # else the score is that of the class that is in doubt
        told = f"{known.label} {score}" if named else f"{known.label} ({known.best} {score})"
        return f"<Face {told}, {self.box}{track}>"

    def _repr_html_(self) -> str:
        rows = [(name, f"{value:.1%}") for name, value in self.expression.probabilities.items()]
        return html_table(rows, title=repr(self)[1:-1])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict of built-in Python types."""
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


def require_faces(faces: Any) -> list[Face]:
    """Return faces as a list.

    Raises:
        DataError: If they are not a list or another iterable of faces.
    """
    found = to_list(faces)
    if found is None:
        raise DataError.from_parts(
            expected="a list of faces, as returned by a Recognizer", received=quoted(faces)
        )
    for face in found:
        if not isinstance(face, Face):
            raise DataError.from_parts(
                expected="faces as mien.Face, as returned by a Recognizer", received=quoted(face)
            )
    return found


def _check_place(found: Detection | Face) -> None:
    """Validate the common fields of detections and faces: box, confidence and landmarks."""
    if not isinstance(found.box, Box):
        raise DataError.from_parts(expected="a Box(x, y, width, height)", received=quoted(found.box))
    if not found.box.area:
        raise DataError.from_parts(
            expected="the box of a face to have pixels", received=f"{found.box.width}x{found.box.height}"
        )
    if found.landmarks is not None and not isinstance(found.landmarks, Landmarks):
        raise DataError.from_parts(expected="Landmarks or None", received=quoted(found.landmarks))
    object.__setattr__(found, "confidence", unit_float(found.confidence, "confidence that this is a face"))
