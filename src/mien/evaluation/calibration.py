"""Calibration: reliability bins, expected calibration error, temperature scaling and class biases (NumPy).

A classifier is calibrated if, for example, 80% of its predictions with a probability of 0.8 are correct. The expected
calibration error (ECE) and temperature scaling are those of Guo et al. 2017, "On Calibration of Modern Neural Networks"
(https://arxiv.org/abs/1706.04599):

    ECE = sum_b (n_b / n) |accuracy_b - confidence_b|
    p_T = softmax(log(p) / T)

`log(p)` replaces the logits: it differs from them by a constant per row, which does not change the softmax. A
temperature does not change the most probable class. Per-class logit biases can: they correct a model that predicts
some classes too often and others too rarely, for example one trained on vote distributions and evaluated on the
majority vote ("vector scaling" in Guo et al., here with one scale for all classes; Alexandari et al. 2020,
https://arxiv.org/abs/1901.06852):

    p_b = softmax(log(p) + b)

Fit both on the validation split, never on the test split.

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
"""Bounds of the search for a temperature. A result at a bound means that the model is always right, or no better than
chance."""

_TINY = 1e-12  # minimum probability, so that its logarithm is finite
_HALVINGS = 60  # bisection steps in log T, from a width of 6 to the precision of float64
_BIAS_SPREAD = 0.5  # standard deviation of the prior of biases, which regularizes those of rare classes
_STEPS = 50  # maximum number of Newton steps; about eight are needed


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Accuracy of a model by its confidence.

    Args:
        edges: float64 (bins + 1,) from 0 to 1; bin b contains confidences in (edges[b], edges[b + 1]].
        count: int64 (bins,), number of images in the bin.
        confidence: float64 (bins,), mean probability of the most probable class; NaN for empty bins.
        accuracy: float64 (bins,), accuracy in the bin; NaN for empty bins.
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
    """Group images into bins of equal width by their confidence, the probability of the most probable class.

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        bins: number of bins.

    Raises:
        DataError: If the shapes do not match, or there are no images.
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
    """Compute the expected calibration error, in [0, 1]: the mean difference between confidence and accuracy.

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        bins: number of bins of equal width.

    Raises:
        DataError: If the shapes do not match, or there are no images.
    """
    return reliability_bins(probabilities, true, bins).error


def fit_temperature(probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]]) -> float:
    """Fit the temperature that minimizes the log loss.

    The loss is convex in 1/T; the root of its derivative is found by bisection in log T.

    Args:
        probabilities: (n, classes), each row summing to 1, of the validation split.
        true: class indices (n,).

    Returns:
        T in [0.05, 20]; above 1 for an overconfident model.

    Raises:
        DataError: If the shapes do not match, or there are no images.
    """
    probabilities, true = check_scored(probabilities, true)
    logits = _logits(probabilities)
    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _is_overconfident(logits, true, float(np.exp(middle))):
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def apply_temperature(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Soften (T > 1) or sharpen (T < 1) probabilities: `softmax(log(p) / T)`.

    Args:
        probabilities: (n, classes), each row summing to 1.
        temperature: a number above 0.

    Returns:
        float64 (n, classes), each row summing to 1.

    Raises:
        DataError: If the temperature is not a number above 0.
    """
    if isinstance(temperature, bool) or not isinstance(temperature, int | float | np.number):
        raise DataError.from_parts(expected="a temperature above 0", received=type(temperature).__name__)
    if not 0 < temperature < np.inf:
        raise DataError.from_parts(expected="a temperature above 0", received=f"{temperature}")
    return _softmax(_logits(check_probabilities(probabilities)) / temperature)


def fit_biases(
    probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Fit per-class logit biases that minimize the log loss, regularized by a normal prior.

    The biases are fitted together with a scale of the logits: the loss of `softmax(scale * log(p) + c)` with a prior
    on c is convex and minimized by Newton's method, and b = c / scale. The scale is then discarded: fit a temperature
    afterwards.

    Args:
        probabilities: (n, classes), each row summing to 1, of the validation split.
        true: class indices (n,).

    Returns:
        float64 (classes,), to be added to the logits; their sum is 0.

    Raises:
        DataError: If the shapes do not match, or there are no images.
    """
    probabilities, true = check_scored(probabilities, true)
    logits = _logits(probabilities)
    n, classes = logits.shape
    prior = np.diag([*np.full(classes, 1 / (n * _BIAS_SPREAD**2)), 1e-9])
    start = np.array([*np.zeros(classes), 1.0])  # biases and scale of the identity
    found = start
    loss = _scaled_loss(logits, true, found, prior)
    for _ in range(_STEPS):
        p = _softmax(found[-1] * logits + found[:-1])
        residual = p.copy()
        residual[np.arange(n), true] -= 1
        gradient = np.array([*residual.mean(axis=0), (residual * logits).sum(axis=1).mean()])
        gradient += prior @ (found - start)
        hessian = np.empty((classes + 1, classes + 1))
        hessian[:-1, :-1] = np.diag(p.mean(axis=0)) - p.T @ p / n
        expected = (p * logits).sum(axis=1, keepdims=True)
        hessian[-1, :-1] = hessian[:-1, -1] = (p * (logits - expected)).mean(axis=0)
        hessian[-1, -1] = (p * logits**2).sum(axis=1).mean() - (expected**2).mean()
        step = np.linalg.solve(hessian + prior, gradient)
        step_size = 1.0
        while step_size > 1e-6 and _scaled_loss(logits, true, found - step_size * step, prior) > loss:
            step_size /= 2
        found = found - step_size * step
        previous, loss = loss, _scaled_loss(logits, true, found, prior)
        if previous - loss < 1e-12:
            break
    biases = found[:-1] / max(found[-1], 1 / HOTTEST)
    return np.asarray(biases - biases.mean())


def apply_biases(
    probabilities: NDArray[np.floating[Any]], biases: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Add per-class biases to the logits: `softmax(log(p) + b)`.

    Args:
        probabilities: (n, classes), each row summing to 1.
        biases: (classes,), added to the logits.

    Returns:
        float64 (n, classes), each row summing to 1.

    Raises:
        DataError: If the number of biases is not the number of classes.
    """
    probabilities = check_probabilities(probabilities)
    biases = np.asarray(biases)
    if (
        biases.shape != probabilities.shape[1:]
        or biases.dtype.kind not in "fiu"
        or not np.isfinite(biases).all()
    ):
        raise DataError.from_parts(
            expected="probabilities (n, classes) and biases (classes,)",
            received=f"shapes {probabilities.shape} and {biases.shape}",
        )
    return _softmax(_logits(probabilities) + biases)


def _scaled_loss(
    logits: NDArray[np.float64],
    true: NDArray[np.integer[Any]],
    found: NDArray[np.float64],
    prior: NDArray[np.float64],
) -> float:
    """Return the mean log loss for biases and a scale, plus the penalty of the prior."""
    scaled = found[-1] * logits + found[:-1]
    highest = scaled.max(axis=1)
    logs = (
        scaled[np.arange(len(true)), true] - highest - np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
    )
    distance = found - np.eye(len(found))[-1]
    return float(-logs.mean() + distance @ prior @ distance / 2)


def _mean(total: NDArray[Any], count: NDArray[np.int64]) -> NDArray[np.float64]:
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _logits(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.clip(probabilities.astype(np.float64), _TINY, None)))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _is_overconfident(
    logits: NDArray[np.float64], true: NDArray[np.integer[Any]], temperature: float
) -> bool:
    """Return whether a higher temperature lowers the loss: its derivative in 1/T, E_p[logit] - logit_true, is > 0."""
    expected = (_softmax(logits / temperature) * logits).sum(axis=1)
    return bool((expected - logits[np.arange(len(true)), true]).mean() > 0)
