"""Validate the arguments of metrics: arrays, probabilities, labels, counts and confusion matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-3
"""Maximum deviation of a sum of probabilities from 1, and of a probability below 0, due to float16 and int8 rounding."""


def as_array(values: Any, name: str, kinds: str) -> NDArray[Any]:
    """Convert values to an array of numbers.

    Args:
        values: an array or array-like.
        name: name of the values for error messages.
        kinds: allowed values of `dtype.kind`: `f`, `i` and `u`.

    Raises:
        DataError: If the values cannot be converted, or have another type.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different lengths, for example
        raise DataError.from_parts(
            expected=f"{name} as an array", received=f"{type(values).__name__} ({str(error)[:80]})"
        ) from error
    if array.dtype.kind not in kinds and array.size:
        expected = "integers" if "f" not in kinds else "numbers"
        raise DataError.from_parts(
            expected=f"{name} as {expected}", received=f"values of the type {array.dtype}"
        )
    return array


def check_probabilities(given: Any) -> NDArray[np.floating[Any]]:
    """Convert values to an array of probabilities (n, classes): finite, 0 or more, each row summing to 1.

    Raises:
        DataError: If they are not probabilities.
    """
    p = as_array(given, "probabilities", "fiu")
    if p.ndim != 2 or not p.shape[1]:
        raise DataError.from_parts(expected="probabilities (n, classes)", received=f"shape {p.shape}")
    if not len(p):
        return p
    if bad := int((~np.isfinite(p)).any(axis=1).sum()):
        raise DataError.from_parts(
            expected="finite probabilities", received=f"NaN or infinity in {bad} of {len(p)} rows"
        )
    sums = p.sum(axis=1, dtype=np.float64)
    if p.min() < -TOLERANCE or np.abs(sums - 1).max() > TOLERANCE:
        raise DataError.from_parts(
            expected="probabilities that are 0 or more and sum to 1 in each row",
            received=f"values down to {p.min():.4g} and sums from {sums.min():.4g} to {sums.max():.4g}",
            remedy="Apply a softmax to logits first.",
        )
    return p


def check_labels(given: Any, classes: int, name: str = "labels") -> NDArray[np.integer[Any]]:
    """Convert values to an array of class indices (n,), from 0 to classes - 1.

    Raises:
        DataError: If they are not class indices.
    """
    labels = as_array(given, name, "iu")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError.from_parts(
            expected=f"{name} from 0 to {classes - 1}",
            received=f"{labels.min()} to {labels.max()}",
            remedy="Leave out the images without a label.",
        )
    return labels if labels.size else labels.astype(np.int64)


def check_scored(probabilities: Any, true: Any) -> tuple[NDArray[np.floating[Any]], NDArray[np.integer[Any]]]:
    """Validate probabilities (n, classes) and class indices (n,) of the same images, one or more.

    Raises:
        DataError: If they are not probabilities and class indices of the same images.
    """
    p, labels = as_array(probabilities, "probabilities", "fiu"), as_array(true, "labels", "iu")
    if p.ndim != 2 or labels.shape != p.shape[:1] or not len(labels):
        raise DataError.from_parts(
            expected="probabilities (n, classes) and labels (n,) of one image or more",
            received=f"shapes {p.shape} and {labels.shape}",
        )
    return check_probabilities(p), check_labels(labels, p.shape[1])


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise an error unless a value is an integer of at least `least`.

    Raises:
        DataError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError.from_parts(
            expected=f"{name} as an integer of at least {least}", received=repr(value)[:80]
        )


def check_confusion(given: Any) -> NDArray[np.int64]:
    """Convert values to a confusion matrix: counts (classes, classes) of one image or more.

    Raises:
        DataError: If it is not a confusion matrix.
    """
    counts = as_array(given, "the confusion matrix", "iu")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise DataError.from_parts(
            expected="a confusion matrix of shape (classes, classes)", received=f"{counts.shape}"
        )
    if counts.size and counts.min() < 0:
        raise DataError.from_parts(
            expected="counts of 0 or more in the confusion matrix", received=f"{counts.min()}"
        )
    if not counts.sum():
        raise DataError.from_parts(expected="a confusion matrix of one image or more", received="none")
    return counts.astype(np.int64)
