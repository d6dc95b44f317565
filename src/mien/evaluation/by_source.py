"""Scores by the source of the faces, with cluster bootstrap intervals over groups such as people or videos.

Predictions for faces of the same person, or frames of the same video, are correlated. Resampling single faces as if they
were independent would give intervals that are too narrow, so whole groups are resampled (cluster bootstrap; Cameron,
Gelbach and Miller 2008, https://doi.org/10.1162/rest.90.3.414).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.evaluation import calibration, metrics
from mien.evaluation.resampling import resample_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FEWEST_FACES = 20
"""Classes with fewer faces than this in a source are left out of its mean recall."""

_RESAMPLES = 2000


def mean_recall(confusion: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the mean recall over some classes, for a confusion matrix or each of a stack.

    Args:
        confusion: counts (..., classes, classes), rows are true classes.
        counted: bool (classes,), the classes to include. Classes without a face in a resample are left out of its mean.
    """
    support = confusion.sum(axis=-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    there = counted & (support > 0)
    recall = np.divide(right, support, out=np.zeros(right.shape), where=support > 0)
    return np.asarray(np.where(there, recall, 0).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1))


def group_interval(
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: NDArray[np.str_],
    classes: int,
    score: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    *,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the 95% bootstrap interval of a score by resampling whole groups.

    With a single group, every resample is the same, and the interval has a width of 0.

    Args:
        true: class indices (n,).
        predicted: class indices (n,).
        groups: (n,), the group of each image.
        classes: number of classes.
        score: function from a stack of confusion matrices (resamples, classes, classes) to one score each.
        resamples: number of resamples.
        seed: random seed.
    """
    size = classes * classes
    rng = np.random.default_rng(seed)
    kinds, chunks = resample_cells(rng, true * classes + predicted, groups, resamples, width=size)
    scores = []
    for counts in chunks:
        cells = np.zeros((len(counts), size), np.int64)
        cells[:, kinds] = counts
        scores.append(score(cells.reshape(-1, classes, classes)))
    low, high = np.quantile(np.concatenate(scores), [0.025, 0.975])
    return float(low), float(high)


def score_sources(
    probabilities: NDArray[np.float64],
    true: NDArray[np.int64],
    labels: Sequence[str],
    sources: NDArray[np.str_],
    groups: NDArray[np.str_] | None,
) -> dict[str, dict[str, Any]]:
    """Compute the scores of each source.

    Args:
        probabilities: (n, classes).
        true: class indices (n,).
        labels: class names in index order.
        sources: (n,), the source of each face.
        groups: (n,), the group of each face, such as a person or video; by default each face is its own group.

    Returns:
        A dict by source with `n`, `groups`, `accuracy`, `mean_recall` over the classes with 20 faces or more, their 95%
        intervals `accuracy_interval` and `mean_recall_interval`, `ece`, and `recall` and `support` by class.
    """
    found = {}
    for source in sorted(set(sources.tolist())):
        here = sources == source
        predicted = probabilities[here].argmax(axis=1)
        names = groups[here] if groups is not None else np.arange(here.sum()).astype(str)
        images = (true[here], predicted, names, len(labels))
        total = metrics.confusion_matrix(true[here], predicted, len(labels))
        support = total.sum(axis=1)
        counted = support >= min(FEWEST_FACES, support.max())

        def recall(stack: NDArray[np.int64], counted: NDArray[np.bool_] = counted) -> NDArray[np.float64]:
            return mean_recall(stack, counted)

        scores = metrics.class_scores(total)
        found[source] = {
            "n": int(here.sum()),
            "groups": len(np.unique(names)),
            "accuracy": metrics.accuracy(total),
            "accuracy_interval": list(group_interval(*images, accuracy_of)),
            "mean_recall": float(recall(total)),
            "mean_recall_interval": list(group_interval(*images, recall)),
            "ece": calibration.expected_calibration_error(probabilities[here], true[here]),
            "recall": dict(zip(labels, scores.recall.tolist(), strict=True)),
            "support": dict(zip(labels, support.tolist(), strict=True)),
        }
    return found


def accuracy_of(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the accuracy of each of a stack of confusion matrices (..., classes, classes)."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1).sum(axis=-1)
    return np.asarray(right / np.maximum(confusions.sum(axis=(-1, -2)), 1))
