"""Does a probability of 0.8 come true eight times in ten? Measured and mended, in plain numpy.

The bins, the expected calibration error and the temperature are those of Guo et al. 2017, "On Calibration of
Modern Neural Networks" (https://arxiv.org/abs/1706.04599):

    ECE = sum_b (n_b / n) |accuracy_b - confidence_b|
    p_T = softmax(log(p) / T)

`log(p)` stands in for the logits: it differs from them by one constant a row, which softmax does not see.
A temperature never changes which class is likeliest. Fit it on the split that selects, never on the test.

>>> import numpy as np
>>> p = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
>>> true = np.array([0, 0, 0, 1])
>>> round(expected_calibration_error(p, true), 4)
0.15
>>> round(fit_temperature(p, true), 4)
2.0
>>> apply_temperature(p, 2.0)[0].round(4).tolist()
[0.75, 0.25]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15  # as in Guo et al.

COLDEST, HOTTEST = 0.05, 20.0
"""Where the search for a temperature ends. One at either end says that the model is always or never right."""

_TINY = 1e-12  # stands for a probability that underflowed to 0, whose logarithm would be infinite
_HALVINGS = 60  # of log T, from a width of 6 down to the limit of float64


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """How often a model is right, by how sure it is.

    Args:
        edges: float64 (bins + 1,) from 0 to 1; bin b holds the confidences in (edges[b], edges[b + 1]].
        count: int64 (bins,), pictures in the bin.
        confidence: float64 (bins,), mean probability of the likeliest class; NaN where the bin is empty.
        accuracy: float64 (bins,), part of the bin's pictures named rightly; NaN where the bin is empty.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def reliability_bins(
    probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]], bins: int = BINS
) -> ReliabilityBins:
    """Sort pictures into bins of equal width by the probability of their likeliest class.

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        bins: how many bins.

    Raises:
        DataError: shapes do not fit or there is no picture.
    """
    _check(probabilities, true)
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == true
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    count = np.bincount(place, minlength=bins).astype(np.int64)
    sure, correct = np.bincount(place, confidence, bins), np.bincount(place, right, bins)
    return ReliabilityBins(edges, count, _mean(sure, count), _mean(correct, count))


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]], bins: int = BINS
) -> float:
    """The mean gap between how sure a model is and how often it is right, in [0, 1].

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        bins: how many bins of equal width.
    """
    return reliability_bins(probabilities, true, bins).error


def fit_temperature(probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]]) -> float:
    """The temperature with the least log loss.

    The loss is convex in 1/T, so its slope changes sign once; that place is found by bisection in log T.

    Args:
        probabilities: (n, classes), each row summing to 1; of the split that selects, not of the test.
        true: class indices (n,).

    Returns:
        T in [0.05, 20]; above 1 where the model was too sure of itself.

    Raises:
        DataError: shapes do not fit or there is no picture.
    """
    _check(probabilities, true)
    logits = _logits(probabilities)
    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _too_sure(logits, true, float(np.exp(middle))):
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def apply_temperature(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Soften (T > 1) or sharpen (T < 1) probabilities: `softmax(log(p) / T)`.

    Args:
        probabilities: (n, classes), each row summing to 1.
        temperature: above 0.

    Returns:
        float64 (n, classes), each row summing to 1.

    Raises:
        DataError: the temperature is not a number above 0.
    """
    if not 0 < temperature < np.inf:
        raise DataError(f"Expected a temperature above 0, got {temperature}.")
    return _softmax(_logits(probabilities) / temperature)


def _check(probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]]) -> None:
    if probabilities.ndim != 2 or true.shape != probabilities.shape[:1] or not len(true):
        raise DataError(
            "Expected probabilities (n, classes) and labels (n,) of one picture or more, "
            f"got shapes {probabilities.shape} and {true.shape}."
        )


def _mean(total: NDArray[Any], count: NDArray[np.int64]) -> NDArray[np.float64]:
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _logits(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.clip(probabilities.astype(np.float64), _TINY, None)))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _too_sure(logits: NDArray[np.float64], true: NDArray[np.integer[Any]], temperature: float) -> bool:
    """Whether a higher temperature lowers the loss: its slope in 1/T, E_p[logit] - logit_true, is above 0."""
    expected = (_softmax(logits / temperature) * logits).sum(axis=1)
    return bool((expected - logits[np.arange(len(true)), true]).mean() > 0)
