"""Classification metrics (NumPy).

All metrics except the log loss are computed from a confusion matrix, so that scores, class tables and bootstrap
intervals use the same definitions. With $C_{ij}$ the number of images of true class $i$ predicted as class $j$:

    accuracy            sum_i C_ii / sum_ij C_ij
    precision of j      C_jj / sum_i C_ij
    recall of i         C_ii / sum_j C_ij
    F1 of i             2 C_ii / (sum_j C_ij + sum_j C_ji)
    macro-F1            mean F1 over the classes that occur in labels or predictions
    balanced accuracy   mean recall over the classes that occur in the labels

A ratio with a denominator of 0 is 0, as in scikit-learn with `zero_division=0`.

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
"""Probabilities are clipped to this minimum in `log_loss`, as in Keras (`keras.config.epsilon`)."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of each class, arrays of shape (classes,).

    Args:
        precision: fraction of the images predicted as the class that belong to it, in [0, 1].
        recall: fraction of the images of the class that are predicted as the class, in [0, 1].
        f1: harmonic mean of precision and recall, in [0, 1].
        support: int64, number of images of the class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion_matrix(
    true: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns).

    Args:
        true: class indices (n,), each in [0, classes).
        predicted: class indices (n,), each in [0, classes).
        classes: number of classes.

    Returns:
        int64 (classes, classes).

    Raises:
        DataError: If the lengths differ, or an index is out of range.
    """
    check_count("classes", classes)
    true = check_labels(true, classes, "true labels")
    predicted = check_labels(predicted, classes, "predicted labels")
    if true.shape != predicted.shape or true.ndim != 1:
        raise DataError.from_parts(
            expected="one true and one predicted label per image",
            received=f"shapes {true.shape} and {predicted.shape}",
        )
    cells = true.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Compute the accuracy, in [0, 1]: the fraction of images predicted correctly.

    Args:
        confusion: counts (classes, classes), rows are true classes.

    Raises:
        DataError: If it is not a confusion matrix of at least one image.
    """
    return float(_accuracy(check_confusion(confusion)))


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Compute the macro-averaged F1 score, in [0, 1].

    Classes that occur neither in the labels nor in the predictions are left out, and a class that occurs in only one of
    them counts as 0, as in `sklearn.metrics.f1_score(average="macro", zero_division=0)`.

    Args:
        confusion: counts (classes, classes), rows are true classes.

    Raises:
        DataError: If it is not a confusion matrix of at least one image.
    """
    return float(_macro_f1(check_confusion(confusion)))


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Compute the balanced accuracy, in [0, 1]: the mean recall of the classes that occur in the labels.

    Args:
        confusion: counts (classes, classes), rows are true classes.

    Raises:
        DataError: If it is not a confusion matrix of at least one image.
    """
    return float(_balanced_accuracy(check_confusion(confusion)))


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """Compute precision, recall, F1 and support of each class.

    Args:
        confusion: counts (classes, classes), rows are true classes.

    Raises:
        DataError: If it is not a confusion matrix of at least one image.
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
    """Compute the categorical cross-entropy, the mean of `-sum_j t_j log p_j` over the images, in nats.

    Args:
        targets: class indices (n,), or distributions (n, classes) that sum to 1.
        probabilities: (n, classes), each row summing to 1.
        epsilon: minimum to which probabilities are clipped, in (0, 1). The default limits the loss of an image to 16.1.

    Raises:
        DataError: If the shapes do not match, or there are no images.
    """
    probabilities = as_array(probabilities, "probabilities", "fiu")
    targets = as_array(targets, "targets", "fiu")
    n, classes = probabilities.shape if probabilities.ndim == 2 else (0, 0)
    if n == 0 or targets.shape not in {(n,), (n, classes)}:
        raise DataError.from_parts(
            expected="targets and probabilities of the same images, one or more",
            received=f"shapes {targets.shape} and {probabilities.shape}",
        )
    probabilities = check_probabilities(probabilities)
    if not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise DataError.from_parts(
            expected="epsilon as a number between 0 and 1", received=repr(epsilon)[:80]
        )
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
    """Compute the percentile bootstrap interval of a score.

    Resampling n images with replacement is equivalent to drawing the cells of the confusion matrix from a multinomial
    distribution, which is faster. The interval of an accuracy of 0 or 1 has a width of 0.

    Args:
        confusion: counts (classes, classes), rows are true classes.
        score: `accuracy`, `macro_f1` or `balanced_accuracy`.
        level: fraction of the resampled scores in the interval, in (0, 1).
        resamples: number of resamples.
        seed: random seed.

    Returns:
        Lower and upper end of the interval.

    Raises:
        DataError: If it is not a confusion matrix of at least one image, or another argument is invalid.
    """
    if score not in SCORES:
        raise DataError.from_parts(
            expected=f"the score to be one of {', '.join(SCORES)}", received=repr(score)[:80]
        )
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise DataError.from_parts(expected="the level to be between 0 and 1", received=repr(level)[:80])
    check_count("resamples", resamples)
    confusion = check_confusion(confusion)
    cells = confusion.ravel()
    n = int(cells.sum())
    drawn = np.random.default_rng(seed).multinomial(n, cells / n, size=resamples)
    scores = SCORES[score](drawn.reshape(resamples, *confusion.shape))
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# In the functions below, `confusion` can also be a stack (resamples, classes, classes), with one score for each.


def _margins(confusion: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of correct predictions, labels and predictions of each class."""
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


SCORES = {"accuracy": _accuracy, "macro_f1": _macro_f1, "balanced_accuracy": _balanced_accuracy}
"""Functions from a confusion matrix, or a stack of them, to a score each."""
