"""Fine-tuning: sampling order, new heads from old ones, frozen trunks, learning rates, and model selection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from mien.data.dataset import Dataset
from mien.data.synthetic.drawn_faces import synthetic_dataset
from mien.errors import ModelError
from mien.labels import FER2013, FERPLUS, LabelSet
from mien.recognition.classifier import Classifier
from mien.recognition.model_files import read_model
from mien.training import learning_rate_search, model_builder, trainer
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import best_row
from mien.training.fine_tuning import DiscriminativeSGD, OldHead, assign_head, card_of_start, network_of_start
from mien.training.fine_tuning_recipe import fine_tuning_recipe
from mien.training.model_builder import build_model
from mien.training.network_specs import Compact
from mien.training.networks import HEADS, build_network
from mien.training.onnx_import import _folded_weights, _old_heads, assign_onnx
from mien.training.recipe import Recipe
from mien.training.run_files import read_history
from mien.training.run_folder import load_best
from mien.training.sampling import epoch_order
from tests.builders.datasets import make_dataset
from tests.builders.trainings import tiny_recipe

OWN = LabelSet("custom", ("bored", "happy", "tense"))
TINY = Compact(stem=4, widths=(4, 8), blocks=(1, 1), dropout=0.0)


def test_balanced_sampling_draws_classes_equally_often_and_is_reproducible() -> None:
    labels = np.repeat([0, 1, 2], [5, 20, 50])
    order = epoch_order(labels, "balanced", 1, 0)
    assert np.bincount(labels[order]).tolist() == [25, 25, 25]
    assert np.bincount(order[labels[order] == 0], minlength=5)[:5].tolist() == [5] * 5
    assert len(set(order[labels[order] == 2])) == 25
    assert (order == epoch_order(labels, "balanced", 1, 0)).all()
    assert (order != epoch_order(labels, "balanced", 1, 1)).any()
    assert sorted(epoch_order(labels, "shuffled", 1, 0)) == list(range(75))


def test_new_head_is_initialized_from_classes_of_the_same_meaning() -> None:
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    old = OldHead(
        ("angry", "joy"), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([5.0, 6.0], np.float32)
    )
    assert assign_head(layer, OWN.classes, [old]) == 1
    kernel, bias = layer.get_weights()
    assert kernel[:, 1].tolist() == [2, 4]
    assert bias.tolist() == [0, 6, 0]
    assert np.abs(kernel[:, [0, 2]]).max() < 0.1


def test_trunk_rate_scales_the_learning_rate_of_the_trunk() -> None:
    image = keras.Input((2,))
    network = keras.Model(
        image, keras.layers.Dense(1, name="probabilities")(keras.layers.Dense(2, name="trunk")(image))
    )
    network.compile(DiscriminativeSGD(0.1, trunk_rate=0.0), "mse")
    before = [weight.numpy().copy() for weight in network.weights]
    network.train_on_batch(np.ones((4, 2)), np.full((4, 1), 3.0))
    changed = [
        bool((weight.numpy() != old).any()) for weight, old in zip(network.weights, before, strict=True)
    ]
    assert changed == [False, False, True, True]
    assert DiscriminativeSGD.from_config(network.optimizer.get_config()).trunk_rate == 0.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trunk_rate": 0.5}, "optimizer sgd for a trunk_rate"),
        ({"loss": "focal", "joint": 1.0}, "loss cross_entropy for a second head"),
        ({"sampling": "rare"}, "sampling to be one of shuffled, balanced"),
        ({"frozen_epochs": -1}, "frozen_epochs from 0"),
    ],
)
def test_invalid_fine_tuning_settings_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Recipe(name="x", network=TINY, **changes)  # type: ignore[arg-type]


def test_fine_tuning_defaults_depend_on_the_number_of_images() -> None:
    network = network_of_start(read_model("small")[1])
    few, some, many, very_many = (fine_tuning_recipe(network, count) for count in (50, 400, 600, 4000))
    assert few.frozen_epochs > some.frozen_epochs == many.frozen_epochs
    assert few.epochs > some.epochs < many.epochs > very_many.epochs
    rates = [(recipe.learning_rate, recipe.trunk_rate) for recipe in (few, some, many, very_many)]
    assert rates == [(0.02, 0.3), (0.02, 0.3), (0.05, 1.0), (0.05, 1.0)]
    assert Recipe.from_dict(few.to_dict()) == few
    assert few.with_options(epochs=6).frozen_epochs == 1


def test_ties_in_macro_f1_are_broken_by_the_lower_loss() -> None:
    rows = [
        {"val_macro_f1": 0.5, "val_loss": 1.0}, {"val_macro_f1": 0.7, "val_loss": 0.9},
        {"val_macro_f1": 0.7, "val_loss": 0.8}, {"val_macro_f1": 0.6, "val_loss": 0.1},
    ]  # fmt: skip
    assert best_row(rows, "macro_f1") is rows[2]
    assert best_row(rows, "loss") is rows[3]
    assert best_row(rows, "last") is rows[3]


@pytest.mark.slow
def test_a_run_is_fine_tuned_on_other_classes_and_resumes_exactly(tmp_path: Path) -> None:
    data = make_dataset(42, 12, 12)
    first = Recipe(name="first", network=TINY, epochs=2, batch_size=16)
    trainer.train(data, first, tmp_path / "first")
    own = make_dataset(30, 12, 12, label_set=OWN)
    recipe = replace(
        fine_tuning_recipe(network_of_start(tmp_path / "first"), 10), epochs=4, frozen_epochs=2, loss="focal",
        select="macro_f1", warmup_epochs=0.0,
    )  # fmt: skip
    options = trainer.TrainerOptions(start=tmp_path / "first")
    trainer.train(own, recipe, tmp_path / "whole", options)
    best = load_best(tmp_path / "whole")
    assert best.labels == OWN.classes
    assert best.probabilities(own.images[:3]).shape == (3, 3)
    seen = []

    class Stop(Exception):
        pass

    def stop(state: object) -> None:
        seen.append(state)
        if len(seen) == 3:
            raise Stop

    with pytest.raises(Stop):
        trainer.train(own, recipe, tmp_path / "parts", replace(options, on_epoch=stop))
    trainer.train(own, recipe, tmp_path / "parts", replace(options, resume=True))
    for one, other in zip(read_history(tmp_path / "whole"), read_history(tmp_path / "parts"), strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }
    assert "val_macro_f1" in (tmp_path / "parts" / "history.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_a_frozen_trunk_keeps_its_weights(tmp_path: Path) -> None:
    data = make_dataset(42, 12, 12)
    trainer.train(data, Recipe(name="first", network=TINY, epochs=1, batch_size=16), tmp_path / "first")
    recipe = fine_tuning_recipe(network_of_start(tmp_path / "first"), 10).with_options(epochs=2)
    recipe = recipe.with_options(frozen_epochs=2)
    own = make_dataset(30, 12, 12, label_set=OWN)
    trainer.train(own, recipe, tmp_path / "own", trainer.TrainerOptions(start=tmp_path / "first"))
    before, after = (load_best(tmp_path / name).network for name in ("first", "own"))
    for layer in before.layers:
        if layer.name == "probabilities":
            continue
        for old, new in zip(
            layer.get_weights(), after.get_layer(index=before.layers.index(layer)).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("frozen_epochs", "frozen"), [(4, True), (2, False), (0, False)])
def test_learning_rate_search_trains_only_the_heads_if_the_training_does(
    monkeypatch: pytest.MonkeyPatch, frozen_epochs: int, frozen: bool
) -> None:
    class End(Exception):
        pass

    def build(recipe: Recipe, *_: object, epoch: int, **__: object) -> keras.Model:
        assert recipe.is_frozen(epoch) == frozen
        raise End

    monkeypatch.setattr(learning_rate_search, "build_model", build)
    with pytest.raises(End):
        learning_rate_search.search_learning_rate(
            make_dataset(), tiny_recipe(epochs=4, frozen_epochs=frozen_epochs)
        )


@pytest.mark.slow
def test_learning_rate_search_does_not_change_a_frozen_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[keras.Model] = []
    before: list[list[np.ndarray]] = []

    def weights(model: keras.Model, *, heads: bool) -> list[np.ndarray]:
        return [weight.numpy() for weight in model.weights if (HEADS[0] in weight.path) == heads]

    def build(recipe: Recipe, training: Dataset, *, epoch: int, **_: Any) -> keras.Model:
        built.append(build_model(recipe, training, epoch=epoch))
        before.extend(weights(built[0], heads=heads) for heads in (True, False))
        return built[0]

    monkeypatch.setattr(learning_rate_search, "build_model", build)
    recipe = tiny_recipe(epochs=4, frozen_epochs=4)
    learning_rate_search.search_learning_rate(make_dataset().subset("Training"), recipe, steps=3)
    head, trunk = before
    assert not np.array_equal(head[0], weights(built[0], heads=True)[0])
    assert all(map(np.array_equal, trunk, weights(built[0], heads=False)))


def test_batch_normalization_of_an_onnx_file_is_measured_on_images_of_all_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[np.ndarray] = []
    monkeypatch.setattr(model_builder, "network_of", lambda _: SimpleNamespace(layers=[]))
    monkeypatch.setattr(
        model_builder, "assign_onnx", lambda _network, _data, crops, _classes: given.append(crops)
    )
    dataset = make_dataset(7 * 300, 7, 7)
    ordered = dataset.select(np.argsort(dataset.labels, kind="stable"))
    model_builder.start_from(SimpleNamespace(), b"", ordered)
    (crops,) = given
    assert len(crops) == model_builder.SAMPLE
    rows = [int(crop.mean(axis=1).argmax()) // 5 for crop in crops]
    assert np.bincount(rows, minlength=7).min() > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["large", "small", "tiny", "small-2026-11"])
def test_a_training_from_a_bundled_model_begins_with_its_predictions(name: str) -> None:
    _, data = read_model(name)
    classifier = Classifier(name)
    crops = synthetic_dataset(350).images
    layers = dict(zip(HEADS, (FER2013, FERPLUS), strict=True))
    fields = {**get_recipe("classic").to_dict(), "network": network_of_start(data)}
    network = build_network(Recipe.from_dict(fields).network, tuple(map(len, layers.values())))
    classes = {layer: label_set.classes for layer, label_set in layers.items()}
    assign_onnx(network, data, crops, classes)
    outputs = network.predict(crops[..., np.newaxis].astype(np.float32), verbose=0)
    for label_set, found in zip(layers.values(), outputs, strict=True):
        expected = classifier.with_label_set(label_set.name).raw_outputs(crops)
        assert np.abs(found - expected).mean() < 0.01  # 0.0044 at most; 0.2 with a random head
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


def test_an_onnx_file_without_the_heads_of_its_card_is_refused() -> None:
    _, data = read_model("tiny")
    model = onnx.load_from_string(data)
    for node in model.graph.node:
        if node.op_type == "Gemm":
            node.op_type = "Other"
    card = card_of_start(data)
    assert card is not None
    with pytest.raises(ModelError, match="dense layer before probabilities and probabilities_2"):
        _old_heads(card, _folded_weights(model.SerializeToString())[1])
