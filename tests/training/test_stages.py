"""Stages of a training: averaged weights when the trunk is unfrozen, and custom networks, which have no stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mien.errors import ModelError
from mien.training.custom import CustomParts
from mien.training.model_builder import at_size_of, build_model
from mien.training.network_specs import Compact
from mien.training.objective import averaged_weights
from mien.training.recipe import Recipe
from mien.training.run_folder import load_best
from mien.training.trainer import train
from tests.builders.datasets import make_dataset
from tests.builders.trainings import Killed, cut_after, scores, tiny_recipe

TINY = Compact(stem=4, widths=(4, 8), blocks=(1, 1), dropout=0.0)
AVERAGED = Recipe(
    name="averaged", network=TINY, epochs=4, batch_size=16, optimizer="sgd", learning_rate=0.01, schedule="cosine",
    ema_momentum=0.999, frozen_epochs=2, select="last",
)  # fmt: skip


def own_network(optimizer: Any = None) -> keras.Model:
    layers = [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    network = keras.Sequential(layers)
    if optimizer is not None:
        network.compile(optimizer, loss="categorical_crossentropy")
    return network


@pytest.mark.slow
def test_averages_continue_when_the_trunk_is_unfrozen() -> None:
    training = make_dataset().subset("Training")
    frozen = build_model(AVERAGED, training, epoch=0)
    frozen.optimizer.build(frozen.trainable_variables)
    former = averaged_weights(frozen)
    assert len(former) == 2  # kernel and bias of the head
    for average in former.values():
        average.assign(np.full(average.shape, 0.5, np.float32))
    frozen.optimizer.iterations.assign(18)
    whole = at_size_of(frozen, AVERAGED, training, 2)
    averages = averaged_weights(whole)
    assert len(averages) == len(whole.trainable_variables) > 2
    for weight, old in zip(whole.weights, frozen.weights, strict=True):
        if id(weight) in averages:
            expected = np.full(old.shape, 0.5) if id(old) in former else old.numpy()
            np.testing.assert_array_equal(averages[id(weight)].numpy(), expected)


@pytest.mark.slow
def test_averaged_weights_of_an_unfrozen_trunk_are_saved_and_resume_exactly(tmp_path: Path) -> None:
    data = make_dataset(140, 28, 14)
    whole = train(data, AVERAGED, tmp_path / "whole")
    best, last = (
        keras.models.load_model(tmp_path / "whole" / f"{name}.keras", compile=False)
        for name in ("best", "last")
    )
    # 18 steps with a momentum of 0.999 change an average by less than the weights change.
    kernel, trained = best.get_weights()[0], last.get_weights()[0]
    assert np.linalg.norm(kernel) == pytest.approx(np.linalg.norm(trained), rel=0.05)
    for epoch in (2, 3):  # at the end of a stage, and within one
        with pytest.raises(Killed):
            train(data, AVERAGED, tmp_path / "cut", resume=epoch > 2, on_epoch=cut_after(epoch))
    assert scores(train(data, AVERAGED, tmp_path / "cut", resume=True).history) == scores(whole.history)


@pytest.mark.parametrize("options", [{"frozen_epochs": 1}, {"epochs": 2, "frozen_epochs": 2}])
def test_a_custom_network_with_frozen_epochs_is_refused(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=r"has no trunk\. Give `frozen_epochs=0`\.$"):
        train(
            make_dataset(),
            tiny_recipe(**options),
            tmp_path / "run",
            custom=CustomParts(network=own_network()),
        )
    assert not (tmp_path / "run").exists()


def test_a_custom_network_with_a_rate_of_the_trunk_is_refused(tmp_path: Path) -> None:
    recipe = tiny_recipe(optimizer="sgd", trunk_rate=0.5)
    with pytest.raises(ModelError, match=r"has no trunk\. Give `trunk_rate=1`\.$"):
        train(make_dataset(), recipe, tmp_path / "run", custom=CustomParts(network=own_network()))


def test_a_custom_network_with_a_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "start.onnx").write_bytes(b"any")
    with pytest.raises(ModelError, match=r"starts from its own weights\. Leave `start` out\."):
        train(
            make_dataset(), tiny_recipe(), tmp_path / "run", custom=CustomParts(network=own_network()), start=b"any"
        )  # fmt: skip


@pytest.mark.slow
def test_macro_f1_selects_the_epoch_of_a_compiled_custom_network(tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=9, select="macro_f1", stopping_patience=1)
    parts = CustomParts(network=own_network(keras.optimizers.SGD(1e-9)))
    run = train(make_dataset(), recipe, tmp_path / "run", custom=parts)
    assert len(run.history) == 2  # nothing is learned at this rate
    assert all("val_macro_f1" in row for row in run.history)


@pytest.mark.slow
def test_a_compiled_custom_network_is_evaluated_with_the_averaged_weights_that_are_saved(
    tmp_path: Path,
) -> None:
    data = make_dataset()
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    run = train(
        data, tiny_recipe(epochs=2), tmp_path / "run", custom=CustomParts(network=own_network(optimizer))
    )
    validation = data.subset("PublicTest")
    saved = load_best(tmp_path / "run").probabilities(validation.images)
    loss = -(validation.targets * np.log(saved)).sum(axis=1).mean()
    assert loss == pytest.approx(run.best["val_loss"], rel=1e-4)
