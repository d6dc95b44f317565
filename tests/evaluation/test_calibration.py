"""Reliability bins, calibration error and temperature against independent implementations."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from mien.errors import DataError
from mien.evaluation import calibration, metrics
from mien.evaluation.cross_validation import cross_validate_temperature, out_of_fold


def sampled(
    n: int = 4000, classes: int = 7, temperature: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of random logits, and labels drawn from the same logits at some other temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, classes))
    chances = softmax(logits / temperature, axis=1).cumsum(axis=1)
    true = (random.random((n, 1)) > chances).sum(axis=1).clip(max=classes - 1)
    return softmax(logits, axis=1), true


def error_by_image(probabilities: np.ndarray, true: np.ndarray, bins: int) -> float:
    """The calibration error, one image and one bin at a time, bins open below and closed above."""
    error = 0.0
    for b in range(bins):
        confidences, rights = [], []
        for row, label in zip(probabilities, true, strict=True):
            if b / bins < row.max() <= (b + 1) / bins:
                confidences.append(row.max())
                rights.append(row.argmax() == label)
        if rights:
            error += len(rights) / len(true) * abs(np.mean(rights) - np.mean(confidences))
    return error


@settings(max_examples=30)
@given(st.integers(1, 80), st.integers(2, 8), st.integers(1, 20), st.integers(0, 99))
def test_calibration_error_equals_a_computation_per_image(n: int, classes: int, bins: int, seed: int) -> None:
    probabilities, true = sampled(n, classes, 1.7, seed)
    ours = calibration.expected_calibration_error(probabilities, true, bins)
    assert ours == pytest.approx(error_by_image(probabilities, true, bins))


def test_bins_include_their_upper_edge() -> None:
    bins = calibration.reliability_bins(
        np.array([[0.5, 0.5], [1.0, 0.0], [0.51, 0.49]]), np.array([0, 1, 0]), bins=2
    )
    assert bins.count.tolist() == [1, 2]
    assert bins.accuracy.tolist() == [1.0, 0.5]
    np.testing.assert_allclose(bins.confidence, [0.5, 0.755])
    assert bins.error == pytest.approx(1 / 3 * 0.5 + 2 / 3 * 0.255)


def test_empty_bins_are_nan_and_do_not_affect_the_error() -> None:
    bins = calibration.reliability_bins(np.array([[0.9, 0.1]]), np.array([0]))
    assert bins.count.sum() == 1
    assert np.isnan(bins.accuracy).sum() == 14
    assert bins.error == pytest.approx(0.1)


def test_labels_drawn_from_the_probabilities_are_calibrated() -> None:
    assert calibration.expected_calibration_error(*sampled()) < 0.02
    assert calibration.expected_calibration_error(*sampled(temperature=3.0)) > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_fit_temperature_recovers_the_true_temperature(temperature: float) -> None:
    probabilities, true = sampled(20_000, temperature=temperature)
    assert calibration.fit_temperature(probabilities, true) == pytest.approx(temperature, rel=0.03)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(20, 200), st.integers(2, 8), st.floats(0.4, 4), st.integers(0, 99))
def test_fit_temperature_matches_scipy(n: int, classes: int, temperature: float, seed: int) -> None:
    probabilities, true = sampled(n, classes, temperature, seed)

    def loss(log_temperature: float) -> float:
        return float(
            -log_softmax(np.log(probabilities) / np.exp(log_temperature), axis=1)[np.arange(n), true].mean()
        )

    bounds = (np.log(calibration.COLDEST), np.log(calibration.HOTTEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    ours = calibration.fit_temperature(probabilities, true)
    assert loss(np.log(ours)) <= best.fun + 1e-9
    if calibration.COLDEST * 1.01 < ours < calibration.HOTTEST * 0.99:
        assert ours == pytest.approx(np.exp(best.x), rel=1e-3)


def test_always_or_never_correct_model_gets_a_bound_of_the_temperature() -> None:
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7]])
    assert calibration.fit_temperature(probabilities, np.array([0, 1])) == pytest.approx(calibration.COLDEST)
    assert calibration.fit_temperature(probabilities, np.array([1, 0])) == pytest.approx(calibration.HOTTEST)


def test_zero_probabilities_are_softened() -> None:
    probabilities = np.tile(np.array([1.0, 0.0], np.float32), (6, 1))
    fitted = calibration.fit_temperature(probabilities, np.array([0, 0, 0, 0, 0, 1]))
    softened = calibration.apply_temperature(probabilities, fitted)
    np.testing.assert_allclose(softened, np.tile([5 / 6, 1 / 6], (6, 1)), rtol=1e-6)


def test_temperature_1_changes_nothing_and_none_changes_the_argmax() -> None:
    probabilities, _ = sampled(200)
    np.testing.assert_allclose(calibration.apply_temperature(probabilities, 1.0), probabilities)
    for temperature in (0.1, 0.7, 3.0, 20.0):
        changed = calibration.apply_temperature(probabilities, temperature)
        np.testing.assert_allclose(changed.sum(axis=1), 1)
        np.testing.assert_array_equal(changed.argmax(axis=1), probabilities.argmax(axis=1))
        reference = softmax(np.log(probabilities) / temperature, axis=1)
        np.testing.assert_allclose(changed, reference, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_must_be_a_number_above_0(temperature: float) -> None:
    with pytest.raises(DataError, match="temperature above 0, got"):
        calibration.apply_temperature(np.array([[0.5, 0.5]]), temperature)


@pytest.mark.parametrize("shapes", [((0, 2), (0,)), ((3, 2), (2,)), ((3,), (3,))])
def test_mismatched_shapes_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    probabilities, true = np.zeros(shapes[0]), np.zeros(shapes[1], np.int64)
    for function in (calibration.expected_calibration_error, calibration.fit_temperature):
        with pytest.raises(DataError, match="one image or more"):
            function(probabilities, true)


def test_docstring_examples() -> None:
    failed, attempted = doctest.testmod(calibration)
    assert (failed, attempted > 0) == (0, True)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(0, 99))
def test_fit_biases_matches_a_general_optimizer(classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    p, true = sampled(300, classes, 1.5, seed)
    shifted = softmax(np.log(p) + random.normal(0, 0.7, classes), axis=1)
    n = len(true)

    def loss(found: np.ndarray) -> float:
        logs = log_softmax(found[-1] * np.log(shifted) + found[:-1], axis=1)[np.arange(n), true]
        return -logs.mean() + (found[:-1] ** 2).sum() / (2 * n * 0.5**2)

    best = minimize(loss, [*np.zeros(classes), 1.0], method="BFGS", options={"gtol": 1e-8}).x
    theirs = best[:-1] / best[-1]
    np.testing.assert_allclose(calibration.fit_biases(shifted, true), theirs - theirs.mean(), atol=1e-3)


def test_biases_correct_a_model_that_predicts_some_classes_too_often() -> None:
    p, true = sampled(6000, 4, seed=1)
    known = np.array([0.9, -0.5, 0.1, -0.5])
    crooked = calibration.apply_biases(p, known)
    biases = calibration.fit_biases(crooked, true)
    np.testing.assert_allclose(biases, -known, atol=0.12)
    mended = calibration.apply_biases(crooked, biases)
    np.testing.assert_allclose(mended.sum(axis=1), 1)
    assert (mended.argmax(axis=1) == true).mean() > (crooked.argmax(axis=1) == true).mean() + 0.02
    assert calibration.expected_calibration_error(mended, true) < 0.02


def test_biases_of_extreme_probabilities_are_finite() -> None:
    sure = np.eye(3)[[0, 1, 2, 0]]
    for true in ([0, 1, 2, 0], [1, 2, 0, 1], [0, 0, 0, 0]):
        assert np.isfinite(calibration.fit_biases(sure, np.array(true))).all()
    with pytest.raises(DataError, match="one image or more"):
        calibration.fit_biases(sure, np.array([0]))
    with pytest.raises(DataError, match=r"biases \(classes,\)"):
        calibration.apply_biases(sure, np.zeros(1))


def test_biases_of_an_uninformative_model_are_the_class_frequencies() -> None:
    true = np.repeat([0, 1, 2], [1500, 900, 600])
    biases = calibration.fit_biases(np.full((3000, 3), 1 / 3), true)
    np.testing.assert_allclose(
        calibration.apply_biases(np.full((1, 3), 1 / 3), biases), [[0.5, 0.3, 0.2]], atol=0.01
    )


@pytest.mark.parametrize(
    ("probabilities", "true", "sentence"),
    [
        ([[np.nan, 1.0]], [0], "NaN or infinity"),
        ([[2.0, 1.0]], [0], "sum to 1"),
        ([[0.5, 0.5]], [2], "labels from 0 to 1, got 2"),
        ([[0.5, 0.5]], [-1], "labels from 0 to 1, got -1"),
        ([[0.5, 0.5]], [0.0], "labels as integers"),
        ([[0.5, 0.5]], None, "labels as integers"),
        ("ab", [0], "probabilities as numbers"),
        ([], [], "one image or more"),
    ],
)
def test_invalid_arguments_of_calibration_have_short_errors(
    probabilities: object, true: object, sentence: str
) -> None:
    for function in (
        calibration.expected_calibration_error,
        calibration.fit_temperature,
        calibration.fit_biases,
        cross_validate_temperature,
    ):
        with pytest.raises(DataError, match=sentence):
            function(probabilities, true)  # type: ignore[operator]


def test_invalid_calibration_settings_are_refused() -> None:
    p, true = sampled(20)
    with pytest.raises(DataError, match="bins as an integer of at least 1, got 0"):
        calibration.reliability_bins(p, true, bins=0)
    with pytest.raises(DataError, match="temperature above 0, got str"):
        calibration.apply_temperature(p, "2")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"biases \(classes,\)"):
        calibration.apply_biases(p, np.full(7, np.nan))


@pytest.mark.parametrize(("true", "used"), [([0, 1], 1.0), ([1, 0], calibration.HOTTEST)])
def test_temperature_at_its_bound_is_reported_and_the_lower_bound_becomes_1(
    true: list[int], used: float
) -> None:
    p = np.tile([[0.6, 0.4], [0.3, 0.7]], (10, 1))
    fit = cross_validate_temperature(p, np.tile(true, 10))
    assert fit.temperature == pytest.approx(used)
    assert (fit.at_bound, fit.n, fit.few) == (True, 20, True)


@pytest.mark.slow
def test_cross_validation_scores_a_temperature_on_held_out_images() -> None:
    p, true = sampled(5000, temperature=2.0)
    fit = cross_validate_temperature(p, true)
    assert fit.temperature == calibration.fit_temperature(p, true)
    assert (fit.at_bound, fit.few) == (False, False)
    softened = calibration.apply_temperature(p, fit.temperature)
    assert fit.loss == pytest.approx(metrics.log_loss(true, softened), rel=2e-3)
    few, labels = sampled(40, temperature=2.0, seed=3)
    apart = cross_validate_temperature(few, labels)
    own = calibration.apply_temperature(few, apart.temperature)
    assert apart.few
    assert apart.loss > metrics.log_loss(labels, own)  # the loss on its own fitting data is too optimistic


def test_each_image_is_transformed_by_a_fit_on_other_images() -> None:
    p, true = sampled(53)
    seen = []

    def fit(part: np.ndarray, labels: np.ndarray) -> np.ndarray:
        seen.append(len(labels))
        return part

    def apply(part: np.ndarray, fitted: np.ndarray) -> np.ndarray:
        assert not {tuple(row) for row in part} & {tuple(row) for row in fitted}
        return part

    np.testing.assert_array_equal(out_of_fold(p, true, fit, apply), p)
    assert len(seen) == 5
    assert sum(53 - n for n in seen) == 53
    assert out_of_fold(p[:4], true[:4], fit, apply) is None


def test_images_of_a_group_are_never_on_both_sides_of_a_fold() -> None:
    p, true = sampled(60)
    groups = np.array([f"person {i // 6}" for i in range(60)])
    group_of = {row.tobytes(): group for row, group in zip(p, groups, strict=True)}

    def fit(rows: np.ndarray, _: np.ndarray) -> set[str]:
        return {group_of[row.tobytes()] for row in rows}

    def apply(rows: np.ndarray, fitted_on: set[str]) -> np.ndarray:
        assert not fitted_on & {group_of[row.tobytes()] for row in rows}
        return rows

    found = out_of_fold(p, true, fit, apply, groups=groups)
    assert found is not None
    np.testing.assert_array_equal(found, p)
    assert out_of_fold(p, true, fit, apply, groups=np.repeat(["a", "b", "c", "d"], 15)) is None
    assert cross_validate_temperature(p, true, np.repeat("a", 60)).loss is None
    assert cross_validate_temperature(p, true, groups) != cross_validate_temperature(p, true)
