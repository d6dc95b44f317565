"""Recognized faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien.labels import FER2013, FERPLUS
from mien.recognition.faces import Box, Expression, Face


def make_expression(label: str = "happy", score: float = 0.7, labels: Sequence[str] = ()) -> Expression:
    """An expression whose other classes share the rest of the probability."""
    labels = labels or (FER2013 if label in FER2013.classes else FERPLUS).classes
    rest = (1 - score) / max(len(labels) - 1, 1)
    return Expression(label, score, {name: score if name == label else rest for name in labels})


def make_face(
    box: Box,
    expression: Any = "happy",
    score: float = 0.7,
    *,
    labels: Sequence[str] = (),
    confidence: float = 1.0,
    track: int | None = None,
) -> Face:
    """A face with an expression, given by its label and score or by a row of probabilities."""
    if isinstance(expression, str):
        shown = make_expression(expression, score, labels)
    else:
        shown = Expression.from_probabilities(tuple(labels) or FER2013.classes, expression)
    return Face(box, shown, confidence, track=track)
