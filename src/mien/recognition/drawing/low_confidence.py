"""Decide which expressions are drawn as uncertain, and with which label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.palette import UNSURE_BELOW
from mien.recognition.faces import uncertain_label

if TYPE_CHECKING:
    from mien.recognition.faces import Expression


def is_uncertain(expression: Expression, unsure_below: float = UNSURE_BELOW) -> bool:
    """Return whether an expression is drawn as uncertain: its label is `"uncertain"`, or its score is low."""
    return expression.score < unsure_below or _has_uncertain_label(expression)


def best_label(expression: Expression) -> str:
    """Return the label of the most probable class, even if the label of the expression is `"uncertain"`."""
    values = expression.probabilities
    return (
        max(values, key=values.__getitem__)
        if _has_uncertain_label(expression) and values
        else expression.label
    )


def _has_uncertain_label(expression: Expression) -> bool:
    return expression.label == uncertain_label(expression.probabilities)
