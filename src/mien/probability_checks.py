"""Check that the output of a model consists of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3
"""Maximum deviation of a sum of probabilities from 1, and of a probability below 0: enough for the rounding of float16
and int8 models, but not for logits."""


def require_probabilities(given: NDArray[np.floating[Any]], *, name: str = "") -> None:
    """Raise an error unless values are probabilities: finite, 0 or more, each row summing to 1 within `SUM_TOLERANCE`.

    Args:
        given: output of a model (n, classes), before a temperature is applied, which could hide errors.
        name: name of the model, which starts the error message.

    Raises:
        ModelError: If they are not probabilities.
    """
    if not len(given):
        return
    sums, lowest = given.sum(axis=1), given.min()
    if lowest >= -SUM_TOLERANCE and np.abs(sums - 1).max() <= SUM_TOLERANCE:
        return
    if bad := int((~np.isfinite(given)).any(axis=1).sum()):
        raise ModelError.from_parts(
            name,
            expected="finite probabilities from the model",
            received=f"NaN or infinity for {bad} of {len(given)} images",
            remedy="Its weights may be damaged: use an earlier checkpoint.",
        )
    raise ModelError.from_parts(
        name,
        expected="probabilities from the model that are 0 or more and sum to 1",
        received=f"values down to {lowest:.4g} and sums from {sums.min():.4g} to {sums.max():.4g}",
        remedy="The network may lack a softmax as its last layer. If it is a file without a model card that "
        "returns logits, give `logits`.",
    )


def probabilities_of_logits(given: NDArray[np.floating[Any]], *, name: str = "") -> NDArray[np.float32]:
    """Return the softmax of logits, float32 (n, classes).

    Args:
        given: output of a model (n, classes).
        name: name of the model, which starts the error message.

    Raises:
        ModelError: If they are probabilities already, which a softmax would flatten.
    """
    if len(given) > 1 and given.min() >= 0 and np.abs(given.sum(axis=1) - 1).max() <= SUM_TOLERANCE:
        raise ModelError.from_parts(
            name,
            expected="logits from the model",
            received="values that are 0 or more and sum to 1, so they are probabilities already",
            remedy="Leave `logits` out.",
        )
    powers = np.exp(given.astype(np.float64) - given.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
