"""The training: learns, keeps every epoch, and resumes exactly."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.data.ferplus import vote_distribution
from mien.errors import DataError, ModelError
from mien.files import _partial_name
from mien.labels import FERPLUS
from mien.training.augmentation import NO_AUGMENTATION, Augmentation
from mien.training.callbacks import FiniteLoss
from mien.training.checkpoint import read_state
from mien.training.keras_io import load_classifier, read_card, save_network
from mien.training.model_builder import open_teacher
from mien.training.networks import build_network
from mien.training.recipe import Recipe
from mien.training.trainer import train
from tests.builders.datasets import make_dataset
from tests.builders.trainings import TINY, Killed, cut_after, scores, tiny_recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plateau"),
        pytest.param(
            {
                "schedule": "cosine",
                "progressive_sizes": ((24, 2),),
                "class_weights": "balanced",
                "label_smoothing": 0.1,
                "augmentation": Augmentation(random_erasing=0.3, mixup=0.2),
            },
            id="cosine-progressive-sizes",
        ),
        pytest.param(
            {
                "schedule": "cosine",
                "progressive_sizes": ((24, 2),),
                "optimizer": "sgd",
                "weight_decay": 1e-3,
                "ema_momentum": 0.9,
                "joint": 1.0,
                "drop_copies": True,
            },
            id="joint-averaged",
        ),
        pytest.param(
            {"precision": "bfloat16", "schedule": "cosine", "progressive_sizes": ((24, 2),)},
            id="bfloat16",
        ),
    ],
)
def test_resumed_training_has_the_history_of_an_uninterrupted_one(
    tmp_path: Path, dataset: Dataset, options: dict[str, Any]
) -> None:
    # A high learning rate makes the validation loss fluctuate, so that patience and rate drops have state to restore.
    recipe = tiny_recipe(learning_rate=0.05, **options)
    votes = np.random.default_rng(0).integers(0, 6, (len(dataset), 10))
    dataset = replace(dataset, votes=votes)
    whole = train(dataset, recipe, tmp_path / "whole")
    for epoch in (1, 2):
        with pytest.raises(Killed):
            train(dataset, recipe, tmp_path / "cut", resume=epoch > 1, on_epoch=cut_after(epoch))
    resumed = train(dataset, recipe, tmp_path / "cut", resume=True)
    assert scores(resumed.history) == scores(whole.history)
    for name in ("best.keras", "last.keras"):
        weights = [keras.models.load_model(tmp_path / run / name).get_weights() for run in ("whole", "cut")]
        for one, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(one, other)
    if not options:
        assert len({row["learning_rate"] for row in whole.history}) > 1, "the plateau never came into play"


@pytest.mark.slow
def test_training_learns_and_writes_history_recipe_and_card(tmp_path: Path) -> None:
    dataset = make_dataset(140, 28, 0)
    recipe = tiny_recipe(epochs=12, learning_rate=0.01, plateau_patience=6)
    recipe = replace(recipe, augmentation=NO_AUGMENTATION, network=replace(TINY, widths=(8, 8, 8)))
    run = train(dataset, recipe, tmp_path / "run")
    assert run.best["val_accuracy"] > 0.6
    assert run.best["val_loss"] == min(row["val_loss"] for row in run.history)
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(run.history) + 1))
    assert float(rows[-1]["val_loss"]) == pytest.approx(run.history[-1]["val_loss"], rel=1e-6)
    saved = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert saved.pop("data") == {"path": "memory", "labels": "fer2013", "votes": None}
    assert Recipe.from_dict(saved) == recipe
    card = read_card(tmp_path / "run" / "best.keras")
    assert card is not None
    assert card.labels == dataset.label_set.classes
    best = keras.models.load_model(tmp_path / "run" / "best.keras")
    validation = dataset.subset("PublicTest")
    predicted = np.asarray(best(validation.images[..., None].astype(np.float32))).argmax(axis=1)
    assert (predicted == validation.labels).mean() == pytest.approx(run.best["val_accuracy"], abs=1e-6)


@pytest.mark.slow
def test_training_does_not_use_the_test_split(tmp_path: Path, dataset: Dataset) -> None:
    poisoned = dataset.images.copy()
    poisoned[dataset.split == "PrivateTest"] = 0
    other = replace(dataset, images=poisoned)
    runs = [
        train(data, tiny_recipe(epochs=1), tmp_path / name) for name, data in (("a", dataset), ("b", other))
    ]
    assert scores(runs[0].history) == scores(runs[1].history)


@pytest.mark.slow
def test_a_joint_training_saves_the_averaged_network_with_both_heads(
    tmp_path: Path, dataset: Dataset
) -> None:
    votes = np.random.default_rng(0).integers(0, 6, (len(dataset), 10))
    copy = dataset.images.copy()
    copy[0] = copy[dataset.split == "PrivateTest"][0]
    dataset = replace(dataset, votes=votes, images=copy)
    recipe = tiny_recipe(
        joint=1.0,
        ema_momentum=0.9,
        drop_copies=True,
        epochs=3,
        optimizer="sgd",
        select="last",
        learning_rate=0.5,
    )
    run = train(dataset, recipe, tmp_path / "run")
    assert run.best is run.history[-1]
    assert run.best["val_loss"] > min(row["val_loss"] for row in run.history)
    assert read_state(run.folder / "last.keras").data["training"] == (dataset.split == "Training").sum() - 1
    best = load_classifier(run.folder / "best.keras")
    validation = dataset.subset("PublicTest")
    answer = best.probabilities(validation.images)
    assert (answer.argmax(axis=1) == validation.labels).mean() == pytest.approx(run.best["val_accuracy"])
    other = best.with_label_set("ferplus")
    assert other.labels == FERPLUS.classes
    loss = -(validation.targets * np.log(answer)).sum(axis=1) - (
        vote_distribution(votes[dataset.split == "PublicTest"])
        * np.log(other.probabilities(validation.images))
    ).sum(axis=1)
    assert loss.mean() == pytest.approx(run.best["val_loss"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("write", ["save_network", "save_checkpoint"])
def test_kill_between_two_writes_loses_at_most_one_epoch(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    import mien.training.callbacks as module

    original, calls = getattr(module, write), []

    def cut(*arguments: Any) -> None:
        calls.append(write)
        if len(calls) == 2:
            raise Killed
        original(*arguments)

    recipe = tiny_recipe(epochs=3)
    monkeypatch.setattr(module, write, cut)
    with pytest.raises(Killed):
        train(dataset, recipe, tmp_path / "cut")
    monkeypatch.undo()
    leftover = tmp_path / "cut" / _partial_name(".keras")
    leftover.write_bytes(b"half")
    assert read_state(tmp_path / "cut" / "last.keras").epoch >= 1
    resumed = train(dataset, recipe, tmp_path / "cut", resume=True)
    assert scores(resumed.history) == scores(train(dataset, recipe, tmp_path / "whole").history)
    assert not leftover.exists()


def test_nan_validation_loss_is_an_error() -> None:
    watcher = FiniteLoss(0.5)
    watcher.on_epoch_begin(2)
    watcher.on_epoch_end(2, {"loss": 1.0, "val_loss": 2.0})
    with pytest.raises(ModelError, match=r"became nan in epoch 3, validation: .*it was 0.5"):
        watcher.on_epoch_end(2, {"loss": 1.0, "val_loss": float("nan")})


@pytest.mark.slow
def test_resume_does_not_continue_an_early_stopped_training(tmp_path: Path, dataset: Dataset) -> None:
    recipe = tiny_recipe(epochs=30, stopping_patience=1, learning_rate=0.2)
    run = train(dataset, recipe, tmp_path / "run")
    assert len(run.history) < 30
    assert run.history[-1]["val_loss"] >= run.best["val_loss"]
    again = train(dataset, recipe, tmp_path / "run", resume=True)
    assert again.history == run.history


@pytest.mark.slow
def test_finished_plateau_training_resumes_with_more_epochs(tmp_path: Path, dataset: Dataset) -> None:
    train(dataset, tiny_recipe(epochs=1), tmp_path / "run")
    longer = train(dataset, tiny_recipe(epochs=3), tmp_path / "run", resume=True)
    assert scores(longer.history) == scores(train(dataset, tiny_recipe(epochs=3), tmp_path / "whole").history)


@pytest.mark.slow
def test_ctrl_c_keeps_the_finished_epochs(tmp_path: Path, dataset: Dataset) -> None:
    calls: list[int] = []

    def interrupt(now: Any) -> None:
        calls.append(now.batch)
        if now.epoch == 2:
            raise KeyboardInterrupt

    run = train(dataset, tiny_recipe(), tmp_path / "run", on_batch=interrupt)
    assert run.interrupted
    assert len(run.history) == 1
    assert calls == [1, 2, 3, 1]
    assert read_state(tmp_path / "run" / "last.keras").epoch == 1
    with pytest.raises(KeyboardInterrupt):
        train(
            dataset, tiny_recipe(), tmp_path / "none", on_batch=lambda _: interrupt(second_epoch_progress())
        )


def second_epoch_progress() -> Any:
    from mien.training.callbacks import BatchProgress

    return BatchProgress(epoch=2, epochs=4, batch=1, batches=3, loss=1.0, accuracy=0.1)


@pytest.mark.slow
def test_nan_loss_ends_the_training_with_an_error(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*arguments: Any, **options: Any) -> keras.Model:
        network = build_network(*arguments, **options)
        network.set_weights([w * np.nan for w in network.get_weights()])
        return network

    monkeypatch.setattr("mien.training.model_builder.build_network", poisoned)
    with pytest.raises(
        ModelError, match=r"became nan in epoch 1, batch 1: .*lower `learning_rate` \(it was 0.001\)"
    ):
        train(dataset, tiny_recipe(), tmp_path / "run")
    assert not (tmp_path / "run" / "last.keras").exists()


@pytest.mark.slow
def test_existing_training_is_not_overwritten_or_resumed_with_other_settings(
    tmp_path: Path, dataset: Dataset
) -> None:
    train(dataset, tiny_recipe(epochs=1), tmp_path / "run")
    with pytest.raises(ModelError, match=r"holds a training already\. Resume it with `resume=True`"):
        train(dataset, tiny_recipe(epochs=1), tmp_path / "run")
    with pytest.raises(
        ModelError, match=r"was started with another batch_size \(16, not 8\), seed \(0, not 3\)"
    ):
        train(dataset, tiny_recipe(epochs=2, batch_size=8, seed=3), tmp_path / "run", resume=True)
    with pytest.raises(ModelError, match="trained on other data"):
        train(make_dataset(seed=1), tiny_recipe(epochs=2), tmp_path / "run", resume=True)
    (tmp_path / "run" / "last.keras").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"last\.keras: expected the checkpoint of a training"):
        train(dataset, tiny_recipe(epochs=2), tmp_path / "run", resume=True)


def test_missing_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of the split PublicTest, found only Training"):
        train(make_dataset(14, 0, 0), tiny_recipe(), tmp_path / "run")


PROGRAM = """
import json, sys
from pathlib import Path
from tests.builders.datasets import make_dataset
from tests.builders.trainings import TINY, Killed, cut_after, scores, tiny_recipe

from tests.builders.trainings import Killed, cut_after, scores, tiny_recipe
from mien.training.trainer import train
folder, data, recipe = Path(sys.argv[1]), make_dataset(), tiny_recipe(epochs=3, learning_rate=0.05)
whole = train(data, recipe, folder / "whole")
try:
    train(data, recipe, folder / "cut", on_epoch=cut_after(2))
except Killed:
    pass
resumed = train(data, recipe, folder / "cut", resume=True)
print(json.dumps([scores(whole.history), scores(resumed.history)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_training_resumes_exactly_on_every_backend(tmp_path: Path, backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path)],
        capture_output=True, text=True, env=environment, cwd=root, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole, resumed = json.loads(done.stdout.splitlines()[-1])
    assert resumed == whole
    assert len(whole) == 3
    assert np.isfinite(whole).all()
    assert backend in read_state(tmp_path / "cut" / "last.keras").backend


@pytest.mark.slow
def test_bfloat16_training_saves_the_best_network_in_float32(tmp_path: Path, dataset: Dataset) -> None:
    recipe = tiny_recipe(precision="bfloat16", epochs=2)
    train(dataset, recipe, tmp_path)
    best = keras.models.load_model(tmp_path / "best.keras", compile=False)
    assert {layer.compute_dtype for layer in best.layers} == {"float32"}
    training = keras.models.load_model(tmp_path / "last.keras", compile=False)
    convolution = next(layer for layer in training.layers if isinstance(layer, keras.layers.Conv2D))
    assert (convolution.compute_dtype, convolution.variable_dtype) == ("bfloat16", "float32")


def test_joint_training_on_ferplus_labels_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(label_set=FERPLUS)
    with pytest.raises(ModelError, match=r"got FER\+'s labels already.*`joint=0`"):
        train(dataset, tiny_recipe(joint=1.0), tmp_path / "run")


@pytest.mark.slow
def test_teacher_digest_depends_on_its_predictions(tmp_path: Path) -> None:
    dataset = make_dataset()
    run = train(dataset, tiny_recipe(epochs=1), tmp_path / "run")
    best = run.folder / "best.keras"
    teacher, digest = open_teacher(best, "float32")
    (answer,) = teacher.all_probabilities(dataset.images).values()
    np.testing.assert_array_equal(answer, load_classifier(best).probabilities(dataset.images))
    save_network(teacher.network, best, teacher.card)  # other bytes, the same network
    assert open_teacher(best, "float32")[1] == digest
    faster, other = open_teacher(best, "bfloat16")
    assert other != digest
    np.testing.assert_allclose(faster.all_probabilities(dataset.images)["fer2013"], answer, atol=0.05)
    warm = replace(teacher.card, temperature=2.0)
    save_network(teacher.network, best, warm)
    assert open_teacher(best, "float32")[1] != digest
