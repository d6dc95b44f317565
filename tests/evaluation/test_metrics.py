"""The scores against scikit-learn, and the bootstrap against resampling image by image."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from mien.errors import DataError
from mien.evaluation import metrics

CLASSES = 7
labels = st.integers(0, CLASSES - 1)
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=60).map(lambda rows: np.array(rows).T)


def random_probabilities(n: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), n)


@settings(max_examples=40)
@given(pairs)
def test_confusion_matrix_matches_scikit_learn(pair: np.ndarray) -> None:
    true, predicted = pair
    ours = metrics.confusion_matrix(true, predicted, CLASSES)
    assert ours.dtype == np.int64
    np.testing.assert_array_equal(ours, reference.confusion_matrix(true, predicted, labels=range(CLASSES)))


@settings(max_examples=40)
@given(pairs)
def test_scores_match_scikit_learn(pair: np.ndarray) -> None:
    true, predicted = pair
    confusion = metrics.confusion_matrix(true, predicted, CLASSES)
    assert metrics.accuracy(confusion) == pytest.approx(reference.accuracy_score(true, predicted))
    macro = reference.f1_score(true, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(confusion) == pytest.approx(macro)
    recall = reference.recall_score(true, predicted, labels=np.unique(true), average="macro", zero_division=0)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(recall)


@settings(max_examples=40)
@given(pairs)
def test_class_scores_match_scikit_learn(pair: np.ndarray) -> None:
    true, predicted = pair
    ours = metrics.class_scores(metrics.confusion_matrix(true, predicted, CLASSES))
    theirs = reference.precision_recall_fscore_support(
        true, predicted, labels=range(CLASSES), average=None, zero_division=0
    )
    for mine, other in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        np.testing.assert_allclose(mine, other)


def test_balanced_accuracy_matches_scikit_learn() -> None:
    true, predicted = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 2])
    confusion = metrics.confusion_matrix(true, predicted, 4)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(
        reference.balanced_accuracy_score(true, predicted)
    )


@settings(max_examples=40)
@given(st.lists(labels, min_size=1, max_size=40), st.integers(0, 1000))
def test_log_loss_matches_scikit_learn(true: list[int], seed: int) -> None:
    probabilities = random_probabilities(len(true), CLASSES, seed).clip(1e-6)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    theirs = reference.log_loss(true, probabilities, labels=range(CLASSES))
    assert metrics.log_loss(np.array(true), probabilities) == pytest.approx(theirs)
    one_hot = np.eye(CLASSES, dtype=np.float32)[true]
    assert metrics.log_loss(one_hot, probabilities) == pytest.approx(theirs)


def test_log_loss_of_votes_is_the_cross_entropy() -> None:
    loss = metrics.log_loss(np.array([[0.75, 0.25]]), np.array([[0.5, 0.5]]))
    assert loss == pytest.approx(np.log(2))
    loss = metrics.log_loss(np.array([[0.75, 0.25], [0.0, 1.0]]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert loss == pytest.approx((-0.75 * np.log(0.9) - 0.25 * np.log(0.1) - np.log(0.8)) / 2)


def test_log_loss_stays_finite_where_a_probability_is_0() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    assert metrics.log_loss(np.array([0, 1]), sure) == pytest.approx(-np.log(1e-7) / 2)
    assert str(metrics.log_loss(np.array([0, 0]), sure)) == "0.0"


def test_absent_class_is_excluded_from_the_means() -> None:
    confusion = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    assert metrics.macro_f1(confusion) == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert metrics.balanced_accuracy(confusion) == pytest.approx((3 / 4 + 1) / 2)


def resample_images(true: np.ndarray, predicted: np.ndarray, resamples: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    rows = random.integers(0, len(true), (resamples, len(true)))
    drawn = [(true[chosen], predicted[chosen]) for chosen in rows]
    return {
        "accuracy": np.array([(t == p).mean() for t, p in drawn]),
        "macro_f1": np.array([reference.f1_score(t, p, average="macro", zero_division=0) for t, p in drawn]),
    }


@pytest.mark.slow
def test_bootstrap_intervals_match_resampling_of_images() -> None:
    random = np.random.default_rng(0)
    true = random.choice(4, 400, p=[0.4, 0.3, 0.2, 0.1])
    predicted = np.where(random.random(400) < 0.65, true, random.integers(0, 4, 400))
    confusion = metrics.confusion_matrix(true, predicted, 4)
    for score, samples in resample_images(true, predicted, 300).items():
        ours = metrics.bootstrap_interval(confusion, score, resamples=4000)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, np.quantile(samples, [0.025, 0.975]), atol=0.015)


def test_bootstrap_interval_matches_the_normal_approximation() -> None:
    confusion = np.array([[1200, 600], [600, 1189]])  # n = 3,589 as PrivateTest has
    low, high = metrics.bootstrap_interval(confusion, resamples=20_000)
    p = metrics.accuracy(confusion)
    spread = 1.96 * np.sqrt(p * (1 - p) / 3589)
    assert (low, high) == pytest.approx((p - spread, p + spread), abs=5e-4)


@settings(max_examples=25)
@given(pairs, st.sampled_from(["accuracy", "macro_f1", "balanced_accuracy"]))
def test_intervals_are_ordered_and_reproducible(pair: np.ndarray, score: metrics.Score) -> None:
    confusion = metrics.confusion_matrix(*pair, CLASSES)
    low, high = metrics.bootstrap_interval(confusion, score, resamples=50)
    assert 0 <= low <= high <= 1
    assert (low, high) == metrics.bootstrap_interval(confusion, score, resamples=50)
    wide = metrics.bootstrap_interval(confusion, score, resamples=50, level=0.99)
    assert wide[0] <= low <= high <= wide[1]


def test_another_seed_gives_another_interval() -> None:
    confusion = np.array([[1200, 600], [600, 1189]])
    assert metrics.bootstrap_interval(confusion, seed=1) != metrics.bootstrap_interval(confusion, seed=2)


@pytest.mark.parametrize(
    ("true", "predicted", "words"),
    [
        ([0, 1], [0], "label per image, got"),
        ([0, -1], [0, 1], "true labels from 0 to 2, got -1 to 0"),
        ([0, 1], [0, 3], "predicted labels from 0 to 2, got 0 to 3"),
    ],
)
def test_mismatched_or_out_of_range_labels_are_refused(
    true: list[int], predicted: list[int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        metrics.confusion_matrix(np.array(true), np.array(predicted), 3)


def test_empty_input_is_refused() -> None:
    nothing = np.zeros((3, 3), np.int64)
    for score in (metrics.accuracy, metrics.macro_f1, metrics.balanced_accuracy, metrics.bootstrap_interval):
        with pytest.raises(DataError, match="confusion matrix of one image or more, got none"):
            score(nothing)
    with pytest.raises(DataError, match="one or more"):
        metrics.log_loss(np.zeros(0, np.int64), np.zeros((0, 3)))
    with pytest.raises(DataError, match="same images"):
        metrics.log_loss(np.zeros(2, np.int64), np.ones((1, 3)) / 3)


def test_docstring_examples() -> None:
    failed, attempted = doctest.testmod(metrics)
    assert (failed, attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: metrics.confusion_matrix([0, 1], ["a", "b"], 2), "predicted labels as integers"),
        (lambda: metrics.confusion_matrix([0.5], [0], 2), "true labels as integers"),
        (lambda: metrics.confusion_matrix(None, [0], 2), "true labels as integers"),
        (lambda: metrics.confusion_matrix([0], [2], 2), "predicted labels from 0 to 1, got 2"),
        (lambda: metrics.confusion_matrix([-1], [0], 2), "true labels from 0 to 1, got -1"),
        (lambda: metrics.confusion_matrix([0], [0], "2"), "classes as an integer"),
        (lambda: metrics.accuracy(np.ones((2, 3), int)), r"shape \(classes, classes\), got \(2, 3\)"),
        (lambda: metrics.accuracy([[1, -1], [0, 1]]), "counts of 0 or more"),
        (lambda: metrics.macro_f1([[0.5, 0.5], [0, 1]]), "as integers"),
        (lambda: metrics.balanced_accuracy(np.zeros((0, 0), int)), "confusion matrix of one image or more"),
        (lambda: metrics.class_scores([]), r"shape \(classes, classes\)"),
        (lambda: metrics.log_loss([0], [[np.nan, 1]]), "NaN or infinity in 1 of 1"),
        (lambda: metrics.log_loss([0], [[3.0, -2.0]]), "sum to 1"),
        (lambda: metrics.log_loss([2], [[0.5, 0.5]]), "targets from 0 to 1, got 2"),
        (lambda: metrics.log_loss([-1], [[0.5, 0.5]]), "targets from 0 to 1, got -1"),
        (lambda: metrics.log_loss([0], [0.5, 0.5]), "of the same images"),
        (lambda: metrics.log_loss([0, 1], [[0.5, 0.5], [1]]), "probabilities as an array"),
        (lambda: metrics.log_loss([[1.0, 1.0]], [[0.5, 0.5]]), "sum to 1"),
        (lambda: metrics.bootstrap_interval(np.eye(2, dtype=int), "f2"), "one of accuracy, macro_f1, bal"),
        (lambda: metrics.bootstrap_interval(np.eye(2, dtype=int), level=95), "between 0 and 1, got 95"),
        (
            lambda: metrics.bootstrap_interval(np.eye(2, dtype=int), resamples=0),
            "resamples as an integer",
        ),
    ],
)
def test_invalid_arguments_of_metrics_have_short_errors(call: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        call()


def test_lists_are_scored_like_arrays() -> None:
    confusion = metrics.confusion_matrix([0, 1, 1], [0, 1, 0], 2)  # type: ignore[arg-type]
    assert metrics.accuracy(confusion.tolist()) == pytest.approx(2 / 3)  # type: ignore[arg-type]
    assert metrics.log_loss([0, 1], [[0.5, 0.5], [0.8, 0.2]]) == pytest.approx(1.1513, abs=1e-4)  # type: ignore[arg-type]
