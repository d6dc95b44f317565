"""What is fitted on some images, judged on others: temperatures and biases by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.evaluation import metrics
from mien.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
)
from mien.evaluation.checks import check_scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FOLDS = 5
FEW = 300
"""With fewer images than this, what is fitted on them follows their chance more than the model."""


def out_of_fold(
    probabilities: NDArray[np.floating[Any]],
    true: NDArray[np.integer[Any]],
    fit: Callable[[Any, Any], Any],
    apply: Callable[[Any, Any], NDArray[np.float64]],
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> NDArray[np.float64] | None:
    """Probabilities of each image, changed by what was fitted on the other folds.

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        fit: probabilities and labels to what is fitted.
        apply: probabilities and what was fitted to probabilities (n, classes).
        folds: into how many parts the images are drawn.
        seed: fixes the draw.

    Returns:
        float64 (n, classes), or `None` where there are fewer images than folds.

    Raises:
        DataError: they are no probabilities and labels of the same images.
    """
    p, labels = check_scored(probabilities, true)
    if len(labels) < folds:
        return None
    part = np.random.default_rng(seed).permutation(len(labels)) % folds
    found = np.empty(p.shape)
    for fold in range(folds):
        out = part == fold
        found[out] = apply(p[out], fit(p[~out], labels[~out]))
    return found


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature, and what it is worth on images that it was not fitted on.

    Args:
        temperature: the temperature to use: that with the least log loss, or 1 where the search ended at its lower
            bound, for a model that is always right on a few images is not therefore sure of others.
        n: images it was fitted on.
        at_bound: whether the search ended at a bound: the model is always right on them, or no better than chance.
        loss: cross-entropy by cross-validation, in nats; `None` with fewer images than folds.
        ece: expected calibration error by cross-validation, likewise.
    """

    temperature: float
    n: int
    at_bound: bool
    loss: float | None
    ece: float | None

    @property
    def few(self) -> bool:
        """Whether there were too few images to trust it."""
        return self.n < FEW


def judge_temperature(
    probabilities: NDArray[np.floating[Any]], true: NDArray[np.integer[Any]]
) -> TemperatureFit:
    """Fit a temperature, and judge by cross-validation what fitting one is worth.

    Args:
        probabilities: (n, classes), each row summing to 1; of the split that selects, not of the test.
        true: class indices (n,).

    Raises:
        DataError: they are no probabilities and labels of the same images.
    """
    fitted = fit_temperature(probabilities, true)
    at_bound = not COLDEST * 1.001 < fitted < HOTTEST / 1.001
    apart = out_of_fold(probabilities, true, _fit_inside, apply_temperature)
    labels = np.asarray(true)
    return TemperatureFit(
        _used(fitted),
        len(labels),
        at_bound,
        None if apart is None else metrics.log_loss(labels, apart),
        None if apart is None else expected_calibration_error(apart, labels),
    )


def _used(fitted: float) -> float:
    return fitted if fitted > COLDEST * 1.001 else 1.0


def _fit_inside(probabilities: NDArray[np.float64], true: NDArray[np.int64]) -> float:
    """The temperature that would be used."""
    return _used(fit_temperature(probabilities, true))
