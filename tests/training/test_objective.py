"""The objective: joint cross-entropy against a manual computation, weight averages, optimizers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from mien.data.synthetic.drawn_faces import synthetic_dataset
from mien.evaluation.metrics import confusion_matrix, macro_f1
from mien.training.builtin_recipes import get_recipe
from mien.training.objective import (
    FirstHeadAccuracy,
    FirstHeadF1,
    JointCrossEntropy,
    averaged_weights,
    compile_model,
    create_training_state,
    keep_raw_weights,
)
from mien.training.recipe import Recipe

RNG = np.random.default_rng(0)


def distributions(n: int, classes: int) -> np.ndarray:
    return RNG.dirichlet(np.ones(classes), n).astype(np.float32)


def test_joint_loss_is_the_sum_of_both_heads() -> None:
    first, second = distributions(9, 7), distributions(9, 8)
    targets, votes = distributions(9, 7), 0.5 * distributions(9, 8)
    votes[3] = 0
    loss = JointCrossEntropy(7, smoothing=0.1)(np.hstack([targets, votes]), np.hstack([first, second]))
    smooth = 0.9 * targets + 0.1 / 7
    by_hand = -(smooth * np.log(first)).sum(axis=1) - (votes * np.log(second)).sum(axis=1)
    assert float(loss) == pytest.approx(by_hand.mean(), rel=1e-5)


def test_accuracy_uses_only_the_first_head() -> None:
    metric = FirstHeadAccuracy(2)
    metric.update_state(
        np.array([[1, 0, 0, 1.0], [0, 1, 1, 0]]), np.array([[0.6, 0.4, 0.9, 0.1], [0.6, 0.4, 1, 0]])
    )
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("columns", [5, 9])
def test_macro_f1_is_that_of_an_evaluation(soft: bool, columns: int) -> None:
    true, predicted = (
        RNG.integers(0, 4, 60),
        RNG.integers(0, 3, 60),
    )  # class 3 is never predicted, class 4 is nowhere
    targets, answers = np.eye(5)[true], np.eye(5)[predicted]
    if soft:
        targets, answers = (0.4 * rows + 0.6 * RNG.dirichlet(np.ones(5), 60) for rows in (targets, answers))
        targets[:, 4] = answers[:, 4] = 0
        targets /= targets.sum(axis=1, keepdims=True)
        true, predicted = targets.argmax(axis=1), answers.argmax(axis=1)
    metric = FirstHeadF1(5)
    second = RNG.random((60, columns - 5))  # another head
    for part in (slice(0, 32), slice(32, 60)):
        metric.update_state(
            np.hstack([targets, second])[part].astype(np.float32),
            np.hstack([answers, second])[part].astype(np.float32),
        )
    assert float(metric.result()) == pytest.approx(macro_f1(confusion_matrix(true, predicted, 5)), abs=1e-6)


def test_macro_f1_leaves_out_rows_without_a_target_and_takes_the_first_of_equal_probabilities() -> None:
    metric = FirstHeadF1(2)
    metric.update_state(np.array([[0, 0, 1.0], [1, 0, 1]]), np.array([[0.1, 0.9, 1], [0.5, 0.5, 1]]))
    assert float(metric.result()) == 1
    metric.reset_state()
    assert float(metric.result()) == 0


def make_linear_model(recipe: Recipe) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax", use_bias=False)])
    compile_model(model, recipe, 2, steps=4)
    return model


def fit_a_step(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    before = model.get_weights()[0].copy()
    model.fit(np.ones((4, 3), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0, 0]], verbose=0, batch_size=4)
    return before, model.get_weights()[0]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weight_decay_shrinks_weights_by_rate_times_decay(optimizer: str) -> None:
    steps = []
    for decay in (0.0, 0.5):
        keras.utils.set_random_seed(0)
        recipe = get_recipe("classic").with_options(
            optimizer=optimizer, learning_rate=0.1, weight_decay=decay
        )
        steps.append(fit_a_step(make_linear_model(recipe)))
    (before, plain), (_, decayed) = steps
    np.testing.assert_allclose(decayed, plain - 0.1 * 0.5 * before, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_ema_weights_match_a_manual_average() -> None:
    recipe = get_recipe("classic").with_options(optimizer="sgd", learning_rate=0.5, ema_momentum=0.75)
    model = make_linear_model(recipe)
    weight = model.trainable_variables[0]
    _, first = fit_a_step(model)
    average = first  # the first step initializes it
    for _ in range(3):
        keep_raw_weights(model)
        _, now = fit_a_step(model)
        average = 0.75 * average + 0.25 * now
    np.testing.assert_allclose(averaged_weights(model)[id(weight)], average, rtol=1e-5)
    assert averaged_weights(make_linear_model(get_recipe("classic"))) == {}


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other backends do not trace like TensorFlow"
)
def test_the_training_step_is_traced_once() -> None:
    traced: list[int] = []

    class Counted(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            traced.append(1)
            return super().train_step(data)

    model = Counted([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, "softmax")])
    compile_model(model, replace(get_recipe("classic"), select="macro_f1"), 7, 2)
    create_training_state(model)
    assert model.optimizer.built
    data = synthetic_dataset(70)
    model.fit(data.images[..., np.newaxis], data.targets, batch_size=16, epochs=2, verbose=0)
    assert len(traced) == 1
