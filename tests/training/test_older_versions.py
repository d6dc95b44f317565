"""Files written by older versions are still read: run folders, checkpoints, augmentation caches."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.training.augmentation import Augmentation
from mien.training.augmentation_cache import AugmentationCache
from mien.training.recipe import Recipe
from mien.training.run_config import RunConfig, read_config
from mien.training.trainer import train
from tests.builders.trainings import Killed, cut_after, scores, tiny_recipe

FIELDS = {"progressive_sizes": "sides", "ema_momentum": "average", "distillation_weight": "distil",
          "augmented_copies": "views"}  # fmt: skip
CHANGES = {"rotation": "turn", "brightness": "light", "downscale": "coarse", "random_erasing": "erase"}
OLD_FIELDS = {
    "name", "network", "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule",
    "warmup_epochs", "plateau_patience", "plateau_factor", "minimum_rate", "stopping_patience", "sides",
    "augmentation", "label_smoothing", "average", "joint", "select", "distil", "views", "drop_copies",
    "class_weights", "precision", "seed", "teachers", "release", "command", "cost", "expected",
}  # fmt: skip


def as_before(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as written by the first month's version 0.1.0."""
    data = {FIELDS.get(name, name): value for name, value in recipe.items()}
    data["augmentation"] = {CHANGES.get(name, name): value for name, value in data["augmentation"].items()}
    return {name: value for name, value in data.items() if name in OLD_FIELDS}


def rewrite(folder: Path) -> None:
    """Convert a run folder to the format of an older version."""
    path = folder / "recipe.json"
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps({**as_before(recipe), "data": recipe["data"]}))
    with zipfile.ZipFile(folder / "last.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    state = json.loads(members["mien_state.json"])
    state["recipe"] = as_before(state["recipe"])
    kept = ("recipe", "history", "stopping", "plateau", "data", "backend")
    members["mien_state.json"] = json.dumps({name: state[name] for name in kept}).encode()
    with zipfile.ZipFile(folder / "last.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.slow
def test_a_run_folder_of_an_older_version_is_resumed_exactly(tmp_path: Path, dataset: Dataset) -> None:
    recipe = replace(tiny_recipe(), augmentation=Augmentation(rotation=12, random_erasing=0.3))
    whole = train(dataset, recipe, tmp_path / "whole")
    with pytest.raises(Killed):
        train(dataset, recipe, tmp_path / "cut", on_epoch=cut_after(2))
    rewrite(tmp_path / "cut")
    begun = read_config(tmp_path / "cut")
    assert begun is not None
    assert begun.recipe == recipe
    resumed = train(dataset, begun.recipe, tmp_path / "cut", resume=True)
    assert scores(resumed.history) == scores(whole.history)


def test_run_config_keeps_its_old_keys() -> None:
    recipe = tiny_recipe()
    config = RunConfig(recipe, "fer2013.csv", "ferplus", "votes", ("a",), "b", "cache", 3.0, "MIT", "rafdb")
    data = config.data()
    assert data | {"path": "fer2013.csv", "labels": "ferplus", "views_in": "cache", "licence": "MIT"} == data
    assert RunConfig.from_data(recipe, data) == config
    assert RunConfig.from_data(recipe, {"path": "x", "labels": "fer2013", "votes": None}) == RunConfig(
        recipe, "x"
    )
    assert RunConfig(recipe, "x", labels="ferplus", views_in="c", licence="MIT") == RunConfig(  # type: ignore[call-arg]
        recipe, "x", "ferplus", augmentation_cache="c", license="MIT"
    )


def test_an_augmentation_cache_of_an_older_version_is_found(tmp_path: Path, dataset: Dataset) -> None:
    augmentation = Augmentation(rotation=3, brightness=0.2, mixup=0.4)
    changes = {
        CHANGES.get(name, name): value for name, value in vars(augmentation).items() if name != "mixup"
    }
    digest = hashlib.sha256(dataset.images.tobytes())
    digest.update(json.dumps(changes, sort_keys=True).encode())
    key = digest.hexdigest()[:16]
    np.save(tmp_path / f"view-{key}-000.npy", np.zeros_like(dataset.images))
    assert not AugmentationCache(tmp_path, dataset, augmentation, 1).images(0).any()


def test_recipe_of_an_older_version_is_read() -> None:
    recipe = tiny_recipe(progressive_sizes=((24, 2),), ema_momentum=0.9)
    assert Recipe.from_dict(as_before(recipe.to_dict())) == recipe
