"""What the scores are handed, checked before anything is reckoned from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-3
"""How far a row of probabilities may be from 1 in sum, and a probability under 0: room for float16 and int8 models."""


def as_array(values: Any, name: str, kinds: str) -> NDArray[Any]:
    """An array of numbers of some kinds.

    Args:
        values: an array, or what makes one.
        name: what they are, for the message.
        kinds: those of NumPy's `dtype.kind` that will do: `f`, `i` and `u`.

    Raises:
        DataError: it is none.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different lengths, for example
        raise DataError(
            f"Expected {name} as an array, got {type(values).__name__} ({str(error)[:80]})."
        ) from error
    if array.dtype.kind not in kinds and array.size:
        expected = "whole numbers" if "f" not in kinds else "numbers"
        raise DataError(f"Expected {name} as {expected}, got values of the type {array.dtype}.")
    return array


def check_probabilities(given: Any) -> NDArray[np.floating[Any]]:
    """Probabilities as an array (n, classes): finite, 0 or more, each row summing to 1.

    Raises:
        DataError: they are none.
    """
    p = as_array(given, "probabilities", "fiu")
    if p.ndim != 2 or not p.shape[1]:
        raise DataError(f"Expected probabilities (n, classes), got shape {p.shape}.")
    if not len(p):
        return p
    if bad := int((~np.isfinite(p)).any(axis=1).sum()):
        raise DataError(f"Expected finite probabilities, got NaN or infinity in {bad} of {len(p)} rows.")
    sums = p.sum(axis=1, dtype=np.float64)
    if p.min() < -TOLERANCE or np.abs(sums - 1).max() > TOLERANCE:
        raise DataError(
            f"Expected probabilities that are 0 or more and sum to 1 in each row, got values down to {p.min():.4g} and "
            f"sums from {sums.min():.4g} to {sums.max():.4g}. Put logits through a softmax first."
        )
    return p


def check_labels(given: Any, classes: int, name: str = "labels") -> NDArray[np.integer[Any]]:
    """Class indices as an array (n,) of whole numbers from 0 to classes - 1.

    Raises:
        DataError: they are none.
    """
    labels = as_array(given, name, "iu")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"Expected {name} from 0 to {classes - 1}, got {labels.min()} to {labels.max()}. "
            "Leave out the images without a label."
        )
    return labels if labels.size else labels.astype(np.int64)


def check_scored(probabilities: Any, true: Any) -> tuple[NDArray[np.floating[Any]], NDArray[np.integer[Any]]]:
    """Probabilities (n, classes) and class indices (n,) of the same images, one or more.

    Raises:
        DataError: they are none.
    """
    p, labels = as_array(probabilities, "probabilities", "fiu"), as_array(true, "labels", "iu")
    if p.ndim != 2 or labels.shape != p.shape[:1] or not len(labels):
        raise DataError(
            "Expected probabilities (n, classes) and labels (n,) of one image or more, "
            f"got shapes {p.shape} and {labels.shape}."
        )
    return check_probabilities(p), check_labels(labels, p.shape[1])


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number from `least` on.

    Raises:
        DataError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"Expected {name} as a whole number from {least} on, got {repr(value)[:80]}.")


def check_confusion(given: Any) -> NDArray[np.int64]:
    """A confusion matrix: counts (classes, classes) of one image or more.

    Raises:
        DataError: it is none.
    """
    counts = as_array(given, "the confusion matrix", "iu")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise DataError(f"Expected a confusion matrix of shape (classes, classes), got {counts.shape}.")
    if counts.size and counts.min() < 0:
        raise DataError(f"Expected counts of 0 or more in the confusion matrix, got {counts.min()}.")
    if not counts.sum():
        raise DataError("Expected one judged image or more, got none.")
    return counts.astype(np.int64)
