"""Scores of a classifier, in plain numpy.

`confusion_matrix` counts; every other score is read off those counts, so that one definition serves the
official number, the class table and the bootstrap alike. With $C_{ij}$ the images of true class $i$ that
were taken for class $j$:

    accuracy            sum_i C_ii / sum_ij C_ij
    precision of j      C_jj / sum_i C_ij
    recall of i         C_ii / sum_j C_ij
    F1 of i             2 C_ii / (sum_j C_ij + sum_j C_ji)
    macro-F1            mean F1 over the classes that occur in truth or prediction
    balanced accuracy   mean recall over the classes that occur in truth

A ratio with nothing below the line is 0, as in scikit-learn with `zero_division=0`.

>>> import numpy as np
>>> confusion = confusion_matrix(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0]), classes=3)
>>> confusion.tolist()
[[2, 1, 0], [1, 1, 0], [0, 0, 0]]
>>> round(accuracy(confusion), 4), round(macro_f1(confusion), 4), round(balanced_accuracy(confusion), 4)
(0.6, 0.5833, 0.5833)
>>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.8, 0.2]])), 4)
1.1513
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mien.errors import DataError
from mien.evaluation.checks import as_array, check_confusion, check_count, check_labels, check_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

Score = Literal["accuracy", "macro_f1", "balanced_accuracy"]

EPSILON = 1e-7
"""The least probability that `log_loss` reckons with; Keras clips there too (`keras.config.epsilon`)."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of each class, arrays of shape (classes,).

    Args:
        precision: of the images taken for the class, the part that is of it, in [0, 1].
        recall: of the images of the class, the part that was taken for it, in [0, 1].
        f1: the harmonic mean of the two.
        support: int64, images of the class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion_matrix(
    true: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int64]:
    """Count the images of each true class (rows) by the class they were taken for (columns).

    Args:
        true: class indices (n,), each in [0, classes).
        predicted: class indices (n,), each in [0, classes).
        classes: how many classes there are, whether or not they occur.

    Returns:
        int64 (classes, classes).

    Raises:
        DataError: the lengths differ or an index is out of range.
    """
    check_count("classes", classes)
    true = check_labels(true, classes, "true labels")
    predicted = check_labels(predicted, classes, "predicted labels")
    if true.shape != predicted.shape or true.ndim != 1:
        raise DataError(
            f"Expected a true and a predicted label each, got {true.shape} and {predicted.shape}."
        )
    cells = true.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """The part of all images that was named rightly, in [0, 1].

    Args:
        confusion: counts (classes, classes), rows true.

    Raises:
        DataError: it counts no image (so do all scores of this module).
    """
    return float(_accuracy(check_confusion(confusion)))


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """The mean F1 over the classes that occur in truth or prediction, in [0, 1].

    A class that occurs in neither is left out of the mean, and one that occurs in only one of them counts as
    0: what `sklearn.metrics.f1_score(average="macro", zero_division=0)` does.

    Args:
        confusion: counts (classes, classes), rows true.
    """
    return float(_macro_f1(check_confusion(confusion)))


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """The mean recall over the classes that occur in truth, in [0, 1]: rare classes weigh like common ones.

    Args:
        confusion: counts (classes, classes), rows true.
    """
    return float(_balanced_accuracy(check_confusion(confusion)))


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """Precision, recall, F1 and support of every class.

    Args:
        confusion: counts (classes, classes), rows true.
    """
    right, support, taken = _margins(check_confusion(confusion))
    return ClassScores(
        precision=_ratio(right, taken),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, support + taken),
        support=support,
    )


def log_loss(
    targets: NDArray[np.integer[Any]] | NDArray[np.floating[Any]],
    probabilities: NDArray[np.floating[Any]],
    epsilon: float = EPSILON,
) -> float:
    """Categorical cross-entropy, the mean over the images of `-sum_j t_j log p_j`, in nats.

    Args:
        targets: class indices (n,), or distributions (n, classes) that sum to 1.
        probabilities: (n, classes), each row summing to 1.
        epsilon: probabilities below this count as this, so that one sure mistake costs 16.1 and not infinity.

    Raises:
        DataError: shapes do not fit or there is no image.
    """
    probabilities = as_array(probabilities, "probabilities", "fiu")
    targets = as_array(targets, "targets", "fiu")
    n, classes = probabilities.shape if probabilities.ndim == 2 else (0, 0)
    if n == 0 or targets.shape not in {(n,), (n, classes)}:
        raise DataError(
            "Expected targets and probabilities of the same images, one or more, "
            f"got shapes {targets.shape} and {probabilities.shape}."
        )
    probabilities = check_probabilities(probabilities)
    if not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise DataError(f"Expected epsilon as a number between 0 and 1, got {repr(epsilon)[:80]}.")
    targets = check_labels(targets, classes, "targets") if targets.ndim == 1 else check_probabilities(targets)
    logs = np.log(np.clip(probabilities.astype(np.float64), epsilon, None))
    if targets.ndim == 1:  # noqa: SIM108 - two lines read better
        costs = logs[np.arange(n), targets.astype(np.int64)]
    else:
        costs = (targets * logs).sum(axis=1)
    return abs(float(costs.mean()))  # abs: a perfect score is 0.0, not -0.0


def bootstrap_interval(
    confusion: NDArray[np.int64],
    score: Score = "accuracy",
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a score.

    To draw n images with replacement and count them again is to draw the cells of the confusion matrix from
    a multinomial, so that is what is drawn: the same law, without touching an image. An accuracy of 0 or 1
    gets an interval without width: resampling cannot show what never happened.

    Args:
        confusion: counts (classes, classes), rows true.
        score: which score.
        level: how much of the resampled scores the interval holds, in (0, 1).
        resamples: how many times to draw.
        seed: fixes the draw.

    Returns:
        The lower and the upper end.

    Raises:
        DataError: the matrix counts no image, or there is no such score, level or number.
    """
    if score not in _SCORES:
        raise DataError(f"Expected the score to be one of {', '.join(_SCORES)}, got {repr(score)[:80]}.")
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise DataError(f"Expected the level to be between 0 and 1, got {repr(level)[:80]}.")
    check_count("resamples", resamples)
    confusion = check_confusion(confusion)
    cells = confusion.ravel()
    n = int(cells.sum())
    drawn = np.random.default_rng(seed).multinomial(n, cells / n, size=resamples)
    scores = _SCORES[score](drawn.reshape(resamples, *confusion.shape))
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# Below, `confusion` may also be a stack (resamples, classes, classes): one score comes out for each.


def _margins(confusion: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Images named rightly, images of each class, images taken for each class."""
    return np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros(above.shape), where=below != 0)


def _accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    right, support, _ = _margins(confusion)
    return _ratio(right.sum(axis=-1), support.sum(axis=-1))


def _macro_f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    right, support, taken = _margins(confusion)
    occurring = (support + taken > 0).sum(axis=-1)
    return np.asarray(_ratio(2 * right, support + taken).sum(axis=-1) / occurring)


def _balanced_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    right, support, _ = _margins(confusion)
    return np.asarray(_ratio(right, support).sum(axis=-1) / (support > 0).sum(axis=-1))


_SCORES = {"accuracy": _accuracy, "macro_f1": _macro_f1, "balanced_accuracy": _balanced_accuracy}
