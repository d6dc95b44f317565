"""Two models on the same images: McNemar's test and paired intervals, against SciPy and by counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from mien.data.dataset import Dataset
from mien.errors import DataError
from mien.evaluation.evaluation import Evaluation
from mien.evaluation.paired import EXACT_UP_TO, compare, difference_interval, mcnemar
from mien.evaluation.scoring import evaluate
from mien.labels import LabelSet


def correct_answers(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, first, second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 9), (20, 20), (60, 31), (400, 600)])
def test_exact_mcnemar_test_matches_scipy(first: int, second: int) -> None:
    found = mcnemar(*correct_answers(50, first, second, 7))
    expected = stats.binomtest(min(first, second), first + second).pvalue if first + second else 1.0
    assert found.exact
    assert (found.only_first, found.only_second) == (first, second)
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_many_disagreements_use_the_corrected_chi_squared_test() -> None:
    found = mcnemar(*correct_answers(0, EXACT_UP_TO, 1100, 5))
    statistic = (abs(EXACT_UP_TO - 1100) - 1) ** 2 / (EXACT_UP_TO + 1100)
    assert not found.exact
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="two arrays of one length"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


def test_difference_interval_matches_scipy_bootstrap() -> None:
    first, second = correct_answers(60, 15, 30, 20)
    low, high = difference_interval(first, second)
    found = stats.bootstrap(
        (first.astype(float), second.astype(float)), lambda a, b, axis: (b - a).mean(axis), paired=True,
        n_resamples=9999, method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (low, high) == pytest.approx((found.low, found.high), abs=0.012)
    wide = difference_interval(first, second, groups=np.array([f"g{i // 25}" for i in range(125)]))
    assert wide[1] - wide[0] != high - low


def scored(predicted: np.ndarray, true: np.ndarray) -> Evaluation:
    images = np.random.default_rng(0).integers(0, 256, (len(true), 48, 48), np.uint8)
    eye = np.eye(3, dtype=np.float32)
    dataset = Dataset(images, eye[true], np.full(len(true), "PrivateTest"), LabelSet("x", ("a", "b", "c")))
    given = {image.tobytes(): eye[label] for image, label in zip(images, predicted, strict=True)}
    return evaluate(
        lambda crops: np.array([given[crop.tobytes()] for crop in crops]),
        dataset,
        class_names=("a", "b", "c"),
    )


def test_comparison_contains_the_score_differences() -> None:
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 200)
    one = np.where(rng.random(200) < 0.6, true, rng.integers(0, 3, 200))
    other = np.where(rng.random(200) < 0.8, true, rng.integers(0, 3, 200))
    found = compare(scored(one, true), scored(other, true))
    assert found.accuracy_difference == pytest.approx((other == true).mean() - (one == true).mean())
    expected = f1_score(true, other, average="macro") - f1_score(true, one, average="macro")
    assert found.macro_f1_difference == pytest.approx(expected)
    assert found.macro_f1_interval[0] < expected < found.macro_f1_interval[1]
    assert found.accuracy_interval[0] < found.accuracy_difference < found.accuracy_interval[1]
    assert found.agreement == pytest.approx((one == other).mean())
    assert found.to_dict()["mcnemar"]["exact"] is True
    with pytest.raises(DataError, match="the same images"):
        compare(scored(one, true), scored(other, true[::-1].copy()))


def test_groups_of_the_evaluations_are_resampled_by_default() -> None:
    rng = np.random.default_rng(2)
    true = np.repeat(rng.integers(0, 3, 40), 5)
    one = np.where(np.repeat(rng.random(40) < 0.5, 5), true, (true + 1) % 3)
    other = np.where(np.repeat(rng.random(40) < 0.8, 5), true, (true + 1) % 3)
    groups = np.repeat([f"p{i:02}" for i in range(40)], 5)
    alone = compare(scored(one, true), scored(other, true))
    first, second = (replace(scored(predicted, true), groups=groups) for predicted in (one, other))
    found = compare(first, second)
    assert found == compare(scored(one, true), scored(other, true), groups=groups)
    for name in ("accuracy_interval", "macro_f1_interval"):
        assert np.ptp(getattr(found, name)) > 1.7 * np.ptp(getattr(alone, name))


def test_comparing_evaluations_of_other_images_or_classes_is_refused() -> None:
    true = np.arange(30) % 3
    first, second = scored(true, true), scored(true, true)
    mixed = replace(second, images=second.images[::-1])
    with pytest.raises(
        DataError, match=r"same images.*Evaluate both models on the same split of the same data"
    ):
        compare(first, mixed)
    with pytest.raises(DataError, match=r"other classes.*same label set"):
        compare(first, replace(second, labels=("a", "c", "b")))
