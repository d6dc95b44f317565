"""Cross-validation of temperatures and per-class biases."""

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
"""With fewer images than this, a fit is dominated by chance."""


def out_of_fold(
    probabilities: NDArray[np.floating[Any]],
    true: NDArray[np.integer[Any]],
    fit: Callable[[Any, Any], Any],
    apply: Callable[[Any, Any], NDArray[np.float64]],
    *,
    folds: int = FOLDS,
    groups: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> NDArray[np.float64] | None:
    """Return out-of-fold probabilities: those of each fold are transformed by a fit on the other folds.

    Args:
        probabilities: (n, classes), each row summing to 1.
        true: class indices (n,).
        fit: function from probabilities and labels to fitted parameters.
        apply: function from probabilities and fitted parameters to probabilities (n, classes).
        folds: number of folds.
        groups: str (n,), the person or video of each image; the images of a group are in the same fold. By default each
            image is its own group.
        seed: random seed of the assignment to folds.

    Returns:
        float64 (n, classes), or `None` if there are fewer images or groups than folds.

    Raises:
        DataError: If they are not probabilities and labels of the same images.
    """
    p, labels = check_scored(probabilities, true)
    names, of = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    if len(names) < folds:
        return None
    part = (np.random.default_rng(seed).permutation(len(names)) % folds)[of]
    found = np.empty(p.shape)
    for fold in range(folds):
        out = part == fold
        found[out] = apply(p[out], fit(p[~out], labels[~out]))
    return found


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature with its cross-validated scores.

    Args:
        temperature: the temperature to use: the one that minimizes the log loss, or 1 if the search ended at its lower
            bound, because being always right on a few images does not justify maximum confidence.
        n: number of images that it was fitted on.
        at_bound: whether the search ended at a bound: the model is always right on these images, or no better than
            chance.
        loss: cross-validated cross-entropy in nats; `None` with fewer images or groups than folds.
        ece: cross-validated expected calibration error, in [0, 1]; `None` with fewer images or groups than folds.
    """

    temperature: float
    n: int
    at_bound: bool
    loss: float | None
    ece: float | None

    @property
    def few(self) -> bool:
        """Whether there were too few images for a reliable fit."""
        return self.n < FEW


def cross_validate_temperature(
    probabilities: NDArray[np.floating[Any]],
    true: NDArray[np.integer[Any]],
    groups: NDArray[np.str_] | None = None,
) -> TemperatureFit:
    """Fit a temperature and cross-validate it.

    Args:
        probabilities: (n, classes), each row summing to 1, of the validation split.
        true: class indices (n,).
        groups: str (n,), the person or video of each image, which is kept in one fold.

    Raises:
        DataError: If they are not probabilities and labels of the same images.
    """
    fitted = fit_temperature(probabilities, true)
    at_bound = not COLDEST * 1.001 < fitted < HOTTEST / 1.001
    held_out = out_of_fold(probabilities, true, _fit_inside, apply_temperature, groups=groups)
    labels = np.asarray(true)
    return TemperatureFit(
        _used(fitted),
        len(labels),
        at_bound,
        None if held_out is None else metrics.log_loss(labels, held_out),
        None if held_out is None else expected_calibration_error(held_out, labels),
    )


def _used(fitted: float) -> float:
    return fitted if fitted > COLDEST * 1.001 else 1.0


def _fit_inside(probabilities: NDArray[np.float64], true: NDArray[np.int64]) -> float:
    """Return the temperature that would be used."""
    return _used(fit_temperature(probabilities, true))


judge_temperature = cross_validate_temperature
"""Old name of `cross_validate_temperature`."""
