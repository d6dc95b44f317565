"""Compare two models on the same images: differences with intervals, and a significance test.

McNemar's test (1947, https://doi.org/10.1007/BF02295996) uses the images that only one of the two models classifies
correctly. It is exact (binomial) for up to 1,000 of them, else chi-squared with continuity correction. Intervals of
differences are percentiles of a paired bootstrap (Efron and Tibshirani 1993, chapter 13): both models are scored on the
same resampled images, or groups of images.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.metrics import macro_f1
from mien.evaluation.resampling import draw_groups, resample_cells
from mien.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.evaluation.evaluation import Evaluation

EXACT_UP_TO = 1000
RESAMPLES = 10_000
_F1_RESAMPLES = 2_000


@dataclass(frozen=True)
class McNemar:
    """Result of McNemar's test.

    Args:
        only_first: number of images that only the first model classifies correctly.
        only_second: number of images that only the second model classifies correctly.
        p_value: probability of a difference at least as large if both were equally good, in [0, 1].
        exact: whether the exact test was used.
        statistic: the smaller of the two counts (exact), or chi-squared.
    """

    only_first: int
    only_second: int
    p_value: float
    exact: bool
    statistic: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of two models on the same images.

    Args:
        n: number of images.
        agreement: share of images for which both predict the same class.
        accuracy_difference: accuracy of the second model minus that of the first.
        accuracy_interval: its 95% bootstrap interval.
        macro_f1_difference: macro-F1 of the second model minus that of the first.
        macro_f1_interval: its 95% bootstrap interval.
        mcnemar: the test of the accuracies.
    """

    n: int
    agreement: float
    accuracy_difference: float
    accuracy_interval: tuple[float, float]
    macro_f1_difference: float
    macro_f1_interval: tuple[float, float]
    mcnemar: McNemar

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a JSON-serializable dict."""
        found = asdict(self)
        for name in ("accuracy_interval", "macro_f1_interval"):
            found[name] = list(found[name])
        return found


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Test whether two models are equally accurate.

    The images count as independent; for images of few people or videos, the p-value is too low.

    Args:
        first: which images the first model classifies correctly, bool (n,).
        second: the same for the second model, bool (n,).

    Raises:
        DataError: If the lengths differ.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(f"Expected two arrays of one length, got {first.shape} and {second.shape}.")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total <= EXACT_UP_TO:
        return McNemar(only_first, only_second, _binomial_p(fewer, total), True, float(fewer))
    statistic = (abs(only_first - only_second) - 1) ** 2 / total
    return McNemar(only_first, only_second, math.erfc(math.sqrt(statistic / 2)), False, statistic)


def compare(
    first: Evaluation, second: Evaluation, *, groups: NDArray[np.str_] | None = None, seed: int = 0
) -> Comparison:
    """Compare two evaluations of the same images.

    Args:
        first: evaluation of the first model.
        second: evaluation of the second model, on the same images and classes.
        groups: str (n,), the person or video of each image; groups are resampled as a whole. By default those of the
            first evaluation.
        seed: random seed of the bootstrap.

    Raises:
        DataError: If the images or classes differ.
    """
    if first.labels != second.labels:
        raise DataError(
            "Expected two evaluations of the same images in the same classes, got other classes. Evaluate both models "
            "with the same label set."
        )
    if not np.array_equal(first.images, second.images) or not np.array_equal(first.true, second.true):
        raise DataError(
            f"Expected two evaluations of the same images with the same labels, got {first.split} of {first.data[-80:]} "
            f"({counted(first.n, 'image')}) and {second.split} of {second.data[-80:]} "
            f"({counted(second.n, 'image')}), which differ. Evaluate both models on the same split of the same data, "
            "read with the same options."
        )
    groups = first.groups if groups is None else groups
    right = [np.asarray(one.predicted == one.true) for one in (first, second)]
    scores = [float(one.mean()) for one in right]
    f1 = [one.macro_f1 for one in (first, second)]
    return Comparison(
        n=first.n,
        agreement=float((first.predicted == second.predicted).mean()),
        accuracy_difference=scores[1] - scores[0],
        accuracy_interval=difference_interval(right[0], right[1], groups=groups, seed=seed),
        macro_f1_difference=f1[1] - f1[0],
        macro_f1_interval=_f1_interval(first, second, groups, seed),
        mcnemar=mcnemar(right[0], right[1]),
    )


def difference_interval(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    *,
    groups: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the 95% bootstrap interval of the difference between two accuracies, second minus first.

    Args:
        first: which images the first model classifies correctly, bool (n,).
        second: the same for the second model, bool (n,).
        groups: the group of each image; groups are resampled as a whole. With a single group, the interval has a width
            of 0.
        seed: random seed of the bootstrap.
    """
    gain = second.astype(np.int64) - first.astype(np.int64)
    rng = np.random.default_rng(seed)
    if groups is None:  # only the counts of -1, 0 and 1 matter
        counts = np.array([(gain == value).sum() for value in (-1, 0, 1)])
        drawn = rng.multinomial(len(gain), counts / len(gain), size=RESAMPLES)
        means = (drawn[:, 2] - drawn[:, 0]) / len(gain)
    else:
        _, index = np.unique(groups, return_inverse=True)
        sums, sizes = np.bincount(index, weights=gain), np.bincount(index)
        chunks = draw_groups(rng, len(sizes), RESAMPLES)
        means = np.concatenate([(drawn @ sums) / np.maximum(drawn @ sizes, 1) for drawn in chunks])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _f1_interval(
    first: Evaluation, second: Evaluation, groups: NDArray[np.str_] | None, seed: int
) -> tuple[float, float]:
    classes = len(first.labels)
    cells = (first.true * classes + first.predicted) * classes + second.predicted
    rng = np.random.default_rng([seed, 1])
    kinds, chunks = resample_cells(rng, cells, groups, _F1_RESAMPLES)
    true, rest = np.divmod(kinds, classes * classes)
    one, other = np.divmod(rest, classes)
    differences = []
    for row in chain.from_iterable(chunks):
        pair = []
        for predicted in (one, other):
            confusion = np.zeros((classes, classes), np.int64)
            np.add.at(confusion, (true, predicted), row)
            pair.append(macro_f1(confusion))
        differences.append(pair[1] - pair[0])
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def _binomial_p(fewer: int, total: int) -> float:
    """Return the two-sided binomial p-value of at most `fewer` successes in `total` trials with probability 0.5."""
    if total == 0:
        return 1.0
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in range(fewer + 1)
    ]
    tail = math.fsum(math.exp(log - total * math.log(2)) for log in logs)
    return min(1.0, 2 * tail)
