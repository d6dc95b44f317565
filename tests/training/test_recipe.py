"""Recipes: frozen, validated and serializable to JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from mien.errors import ModelError
from mien.training.augmentation import Augmentation
from mien.training.builtin_recipes import RECIPES, get_recipe
from mien.training.recipe import Recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_recipe_survives_a_json_round_trip(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.command.startswith("mien train")
    assert recipe.name in recipe.command
    assert recipe.cost
    assert recipe.expected


def test_teachers_of_a_recipe_exist_and_are_not_the_recipe_itself() -> None:
    def below(name: str) -> set[str]:
        named = set(get_recipe(name).teachers)
        return named.union(*(below(each) for each in named))

    for name, recipe in RECIPES.items():
        assert bool(recipe.distillation_weight) == bool(recipe.teachers)
        assert name not in below(name)
    assert below("small") == below("large") == {"teacher", "teacher-fine", "teacher-deep"}


def test_recipe_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        get_recipe("classic").epochs = 3  # type: ignore[misc]


def test_none_options_change_nothing() -> None:
    recipe = get_recipe("classic-short")
    assert recipe.with_options(epochs=None, seed=None) == recipe
    changed = recipe.with_options(epochs=1, seed=5, warmup_epochs=None)
    assert sorted(changed.differences(recipe)) == ["epochs", "progressive_sizes", "seed", "warmup_epochs"]


def test_fewer_epochs_scale_the_progressive_sizes() -> None:
    recipe = get_recipe("classic-short")  # 8 of 22 epochs at 24 pixels, 6 at 36
    assert recipe.with_options(epochs=11).progressive_sizes == ((24, 4), (36, 3))
    for epochs in range(2, 60):
        short = recipe.with_options(epochs=epochs)
        assert short.size_of(epochs - 1)[0] == 48  # it always ends at the full image size


def test_fewer_epochs_scale_the_warmup() -> None:
    recipe = get_recipe("small-alone")  # two of 150 epochs
    assert recipe.with_options(epochs=15).warmup_epochs == pytest.approx(0.2)
    assert recipe.with_options(epochs=1).warmup_epochs < 0.02
    assert recipe.with_options(epochs=300).warmup_epochs == 2
    assert recipe.with_options(epochs=15, warmup_epochs=1).warmup_epochs == 1
    again = recipe.with_options(epochs=15)
    assert again.with_options(epochs=15) == again  # as when a training is resumed
    plateau = get_recipe("classic")
    assert plateau.with_options(epochs=5).differences(plateau) == ["epochs"]


def test_notes_are_removed_when_settings_change() -> None:
    recipe = get_recipe("small")
    assert recipe.with_options(seed=3, precision="bfloat16").expected == recipe.expected
    changed = recipe.with_options(epochs=3)
    assert (changed.command, changed.cost, changed.expected) == ("", "", "")


def test_notes_are_not_compared_as_settings() -> None:
    recipe = get_recipe("classic")
    assert replace(recipe, command="x", cost="y", expected="z").differences(recipe) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "expected epochs from 1"),
        ({"learning_rate": -1.0}, "expected learning_rate from"),
        ({"learning_rate": float("nan")}, "expected learning_rate from"),
        ({"schedule": "linear"}, "expected schedule to be one of plateau, cosine"),
        ({"class_weights": "some"}, "expected class_weights to be one of none, balanced"),
        ({"label_smoothing": 1.0}, "expected label_smoothing from 0 to 0.99"),
        ({"seed": -1}, "expected seed from 0"),
        ({"batch_size": 0}, "expected batch_size from 1"),
    ],
)
def test_out_of_range_settings_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        get_recipe("classic").with_options(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": "5"}, "expected epochs to be a whole number, got '5'"),
        ({"epochs": 2.5}, "expected epochs to be a whole number, got 2.5"),
        ({"seed": True}, "expected seed to be a whole number, got True"),
        ({"learning_rate": [0.1]}, "expected learning_rate to be a number"),
        ({"schedule": ["cosine"]}, "expected schedule to be one of plateau, cosine, got"),
        ({"progressive_sizes": [(24, 2)]}, "expected progressive_sizes to be pairs"),
        ({"progressive_sizes": ((24, 0),)}, "expected progressive_sizes to be pairs"),
        ({"network": "classic"}, "expected network to be a Classic or a Compact, got 'classic'"),
        ({"augmentation": 3}, "expected augmentation to be an Augmentation, got 3"),
        ({"teachers": "small"}, "expected teachers to be a tuple of names"),
        ({"drop_copies": 1}, "expected drop_copies to be True or False"),
        ({"name": ""}, "expected its name as a word"),
        ({"epoch": 3}, r"expected fields of a recipe, got epoch\. They are: name, network"),
        ({"schedule": "x" * 5000}, "expected schedule to be one of"),
    ],
)
def test_settings_of_another_type_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        get_recipe("classic").with_options(**options)
    assert len(str(caught.value)) < 800


def test_augmentation_values_of_another_type_are_refused() -> None:
    with pytest.raises(ModelError, match="expected zoom to be a number, got 'much'"):
        Augmentation(zoom="much")  # type: ignore[arg-type]


def test_progressive_sizes_end_at_the_right_epochs() -> None:
    recipe = replace(get_recipe("classic-short"), progressive_sizes=((24, 2), (36, 1)), epochs=5)
    assert [recipe.size_of(epoch) for epoch in range(5)] == [(24, 2), (24, 2), (36, 3), (48, 5), (48, 5)]
    assert replace(recipe, epochs=1).size_of(0) == (24, 1)


def test_invalid_recipes_are_refused() -> None:
    with pytest.raises(ModelError, match="does not have the fields of a recipe"):
        Recipe.from_dict({"name": "x"})
    for data in (None, [], "recipe", 3):
        with pytest.raises(ModelError, match="Expected a recipe as a dict"):
            Recipe.from_dict(data)  # type: ignore[arg-type]
    whole = get_recipe("classic").to_dict()
    for change in (
        {"network": 3},
        {"network": {}},
        {"progressive_sizes": 3},
        {"progressive_sizes": [1]},
        {"augmentation": {"x": 1}},
    ):
        with pytest.raises(ModelError):
            Recipe.from_dict({**whole, **change})
    with pytest.raises(ModelError, match="got 'resnet'"):
        get_recipe("resnet")


def test_recipe_of_another_version_is_refused() -> None:
    data = {**get_recipe("classic").to_dict(), "sharpness": 2}
    with pytest.raises(ModelError, match=r"does not know \(sharpness\): another version"):
        Recipe.from_dict(data)
