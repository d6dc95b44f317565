"""When an expression is drawn as a guess, and what is guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.palette import UNSURE_BELOW
from mien.recognition.faces import uncertain_label

if TYPE_CHECKING:
    from mien.recognition.faces import Expression


def is_guess(expression: Expression, unsure_below: float = UNSURE_BELOW) -> bool:
    """Whether an expression is drawn as a guess: its label is `"uncertain"`, or its score is low."""
    return expression.score < unsure_below or _is_uncertain(expression)


def best_label(expression: Expression) -> str:
    """The label of the most probable class, also of an expression whose label is `"uncertain"`."""
    values = expression.probabilities
    return max(values, key=values.__getitem__) if _is_uncertain(expression) and values else expression.label


def _is_uncertain(expression: Expression) -> bool:
    return expression.label == uncertain_label(expression.probabilities)
