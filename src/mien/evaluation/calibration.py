"""Does a probability of 0.8 come true eight times in ten? Measured and mended, in plain numpy.

The bins, the expected calibration error and the temperature are those of Guo et al. 2017, "On Calibration of
Modern Neural Networks" (https://arxiv.org/abs/1706.04599):

    ECE = sum_b (n_b / n) |accuracy_b - confidence_b|
    p_T = softmax(log(p) / T)

`log(p)` stands in for the logits: it differs from them by one constant a row, which softmax does not see.
A temperature never changes which class is likeliest. Biases, one a class, may: they mend a model that answers some
classes too often and others too seldom, as one does that learned from votes and is asked for their majority
("vector scaling" in Guo et al., here with one scale for all classes; Alexandari et al. 2020,
https://arxiv.org/abs/1901.06852):

    p_b = softmax(log(p) + b)

Fit either on the split that selects, never on the test.

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
from mien.evaluation.checks import check_count, check_probabilities, check_scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15  # as in Guo et al.

COLDEST, HOTTEST = 0.05, 20.0
"""Where the search for a temperature ends. One at either end says that the model is always or never right."""

_TINY = 1e-12  # stands for a probability that underflowed to 0, whose logarithm would be infinite
_HALVINGS = 60  # of log T, from a width of 6 down to the limit of float64
_BIAS_SPREAD = (
    0.5  # standard deviation that biases are expected to have, which holds those of rare classes back
)
_STEPS = 50  # of Newton's method at most, which needs about eight


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """How often a model is right, by how sure it is.

    Args:
        edges: float64 (bins + 1,) from 0 to 1; bin b holds the confidences in (edges[b], edges[b + 1]].
        count: int64 (bins,), images in the bin.
        confidence: float64 (bins,), mean probability of the likeliest class; NaN where the bin is empty.
        accuracy: float64 (bins,), part of the bin's images named rightly; NaN where the bin is empty.
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
    """Sort images into bins of equal width by the probability of their likeliest class.

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        bins: how many bins.

    Raises:
        DataError: shapes do not fit or there is no image.
    """
    probabilities, true = check_scored(probabilities, true)
    check_count("bins", bins)
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
        DataError: shapes do not fit or there is no image.
    """
    probabilities, true = check_scored(probabilities, true)
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
    if isinstance(temperature, bool) or not isinstance(temperature, int | float | np.number):
        raise DataError(f"Expected a temperature above 0, got {type(temperature).__name__}.")
    if not 0 < temperature < np.inf:
        raise DataError(f"Expected a temperature above 0, got {temperature}.")
    return _softmax(_logits(check_probabilities(probabilities)) / temperature)


def fit_biases(
    probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """The biases, together with a scale of all logits, that have the least log loss, held back by a normal prior.

    The loss, that of `softmax(scale * log(p) + c)` with the prior on c, is convex; Newton's method finds its place, and
    b = c / scale. The scale is found only to be left out again: fit a temperature afterwards.

    Args:
        probabilities: (n, classes), each row summing to 1; of the split that selects, not of the test.
        true: class indices (n,).

    Returns:
        float64 (classes,), to be added to the logits; their sum is 0.

    Raises:
        DataError: shapes do not fit or there is no image.
    """
    probabilities, true = check_scored(probabilities, true)
    logits = _logits(probabilities)
    n, classes = logits.shape
    held = np.diag([*np.full(classes, 1 / (n * _BIAS_SPREAD**2)), 1e-9])
    middle = np.array([*np.zeros(classes), 1.0])  # no biases, then the scale that changes nothing
    found = middle
    loss = _scaled_loss(logits, true, found, held)
    for _ in range(_STEPS):
        p = _softmax(found[-1] * logits + found[:-1])
        wrong = p.copy()
        wrong[np.arange(n), true] -= 1
        slope = np.array([*wrong.mean(axis=0), (wrong * logits).sum(axis=1).mean()]) + held @ (found - middle)
        bend = np.empty((classes + 1, classes + 1))
        bend[:-1, :-1] = np.diag(p.mean(axis=0)) - p.T @ p / n
        expected = (p * logits).sum(axis=1, keepdims=True)
        bend[-1, :-1] = bend[:-1, -1] = (p * (logits - expected)).mean(axis=0)
        bend[-1, -1] = (p * logits**2).sum(axis=1).mean() - (expected**2).mean()
        step = np.linalg.solve(bend + held, slope)
        share = 1.0
        while share > 1e-6 and _scaled_loss(logits, true, found - share * step, held) > loss:
            share /= 2
        found = found - share * step
        gained, loss = loss, _scaled_loss(logits, true, found, held)
        if gained - loss < 1e-12:
            break
    biases = found[:-1] / max(found[-1], 1 / HOTTEST)
    return np.asarray(biases - biases.mean())


def apply_biases(
    probabilities: NDArray[np.floating[Any]], biases: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Answer some classes more often and others less: `softmax(log(p) + b)`.

    Args:
        probabilities: (n, classes), each row summing to 1.
        biases: (classes,), added to the logits.

    Returns:
        float64 (n, classes), each row summing to 1.

    Raises:
        DataError: there is not one bias a class.
    """
    probabilities = check_probabilities(probabilities)
    biases = np.asarray(biases)
    if (
        biases.shape != probabilities.shape[1:]
        or biases.dtype.kind not in "fiu"
        or not np.isfinite(biases).all()
    ):
        raise DataError(
            "Expected probabilities (n, classes) and biases (classes,), "
            f"got shapes {probabilities.shape} and {biases.shape}."
        )
    return _softmax(_logits(probabilities) + biases)


def _scaled_loss(
    logits: NDArray[np.float64],
    true: NDArray[np.integer[Any]],
    found: NDArray[np.float64],
    held: NDArray[np.float64],
) -> float:
    """The mean log loss under biases and a scale, and what the prior adds to it."""
    scaled = found[-1] * logits + found[:-1]
    highest = scaled.max(axis=1)
    logs = (
        scaled[np.arange(len(true)), true] - highest - np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
    )
    away = found - np.eye(len(found))[-1]
    return float(-logs.mean() + away @ held @ away / 2)


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
