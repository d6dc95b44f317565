"""The recipe of a fine-tuning: fields that were given are kept, the others depend on the number of images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.data.dataset import Dataset
from mien.errors import ModelError
from mien.labels import LabelSet
from mien.recognition.model_files import read_model
from mien.training.builtin_recipes import get_recipe
from mien.training.fine_tuning import network_of_start
from mien.training.fine_tuning_recipe import NAME, fine_tuning_recipe
from mien.training.recipe import Recipe
from mien.training.run_config import RunConfig
from mien.workflows.fine_tune import fit_to_data
from mien.workflows.options import TrainOptions
from mien.workflows.reporter import SilentReporter
from tests.builders.datasets import make_dataset

OWN = LabelSet("custom", ("bored", "tense"))
MANY = make_dataset(2 * 600, 4, 4, label_set=OWN)
BUILTIN = get_recipe(NAME)


def defaults(start: str = "small") -> Recipe:
    return fine_tuning_recipe(network_of_start(read_model(start)[1]), 600)


def recipe_for(recipe: Any, start: str | None = "small", data: Dataset = MANY, **changes: Any) -> Recipe:
    options = TrainOptions.of(recipe, start=start, **changes)
    config = RunConfig(options.choose_recipe(), "memory", start=start)
    return fit_to_data(config, options, data, SilentReporter()).recipe


@pytest.mark.parametrize("recipe", [None, NAME, BUILTIN, {"base": NAME, "name": NAME}])
def test_an_unchanged_recipe_depends_on_the_data(recipe: Any) -> None:
    assert recipe_for(recipe).differences(defaults()) == []
    assert recipe_for(recipe, "large").network == defaults("large").network
    assert recipe_for(recipe, seed=3, batch_size=8).differences(defaults()) == ["batch_size", "seed"]
    assert recipe_for(recipe).learning_rate != BUILTIN.learning_rate


def test_fields_of_a_dict_are_kept_and_the_others_depend_on_the_data() -> None:
    given = {"base": NAME, "name": NAME, "learning_rate": 0.3, "augmentation": {"rotation": 15}}
    recipe = recipe_for(given)
    assert recipe.learning_rate == 0.3
    assert recipe.augmentation == replace(defaults().augmentation, rotation=15)
    assert recipe.differences(defaults()) == ["learning_rate", "augmentation"]
    assert recipe_for(given, learning_rate=0.4).learning_rate == 0.4


def test_a_recipe_with_another_name_on_the_base_depends_on_the_data_too() -> None:
    recipe = recipe_for({"base": NAME, "epochs": 15}, "large")
    assert recipe.name == "custom"
    assert (recipe.epochs, recipe.frozen_epochs) == (15, 1)  # the share of 2 of 30
    assert recipe.differences(replace(defaults("large"), name="custom", epochs=15, frozen_epochs=1)) == [
        "warmup_epochs"
    ]


def test_part_of_a_network_is_combined_with_that_of_the_start() -> None:
    recipe = recipe_for({"base": NAME, "name": NAME, "network": {"dropout": 0.45}}, "large")
    assert recipe.network == replace(defaults("large").network, dropout=0.45)  # type: ignore[type-var]


def test_all_fields_of_a_json_file_are_kept(tmp_path: Path) -> None:
    edited = {**BUILTIN.to_dict(), "epochs": 17, "frozen_epochs": 3}
    run = {
        **replace(defaults("large"), label_smoothing=0.3).to_dict(),
        "data": {"path": "x", "labels": "custom"},
    }
    for name, content in {"edited": edited, "run": run}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    recipe = recipe_for(tmp_path / "edited.json")
    assert recipe.differences(BUILTIN) == ["epochs", "frozen_epochs"]
    assert (recipe.epochs, recipe.frozen_epochs) == (17, 3)
    # its network stands for that of the model
    assert recipe_for(tmp_path / "edited.json", "large").network == defaults("large").network
    few = make_dataset(8, 4, 4, label_set=OWN)
    kept = recipe_for(str(tmp_path / "run.json"), "large", few)
    assert kept.differences(defaults("large")) == ["label_smoothing"]


def test_all_fields_of_a_changed_recipe_are_kept() -> None:
    assert recipe_for(BUILTIN.with_options(epochs=12)).differences(BUILTIN) == [
        "epochs", "warmup_epochs", "frozen_epochs",
    ]  # fmt: skip
    assert recipe_for(BUILTIN.with_options(seed=5)).differences(defaults()) == ["seed"]
    assert recipe_for(BUILTIN.with_options(epochs=12), "large").network == defaults("large").network


def test_other_recipes_are_unchanged() -> None:
    assert recipe_for("compact") == get_recipe("compact")
    assert recipe_for({"base": NAME, "epochs": 3}, None).differences(BUILTIN) == ["name", "epochs"]
    with pytest.raises(ModelError, match="fine-tune needs a model to start from"):
        recipe_for(NAME, None)
