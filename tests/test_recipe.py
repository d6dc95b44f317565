"""Recipes: frozen data that survives JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from mien.errors import ModelError
from mien.training.recipe import Recipe
from mien.training.recipes import RECIPES, get_recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_read_back_equals_written(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.command.startswith("mien train")
    assert recipe.name in recipe.command
    assert recipe.cost
    assert recipe.expected


def test_what_a_recipe_builds_on_is_there_and_never_itself() -> None:
    def below(name: str) -> set[str]:
        named = set(get_recipe(name).teachers)
        return named.union(*(below(each) for each in named))

    for name, recipe in RECIPES.items():
        assert bool(recipe.distil) == bool(recipe.teachers)
        assert name not in below(name)
    assert below("small") == below("large") == {"teacher", "teacher-fine", "teacher-deep"}


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        get_recipe("classic").epochs = 3  # type: ignore[misc]


def test_options_that_are_none_change_nothing() -> None:
    recipe = get_recipe("classic-short")
    assert recipe.with_options(epochs=None, seed=None) == recipe
    changed = recipe.with_options(epochs=1, seed=5, warmup_epochs=None)
    assert sorted(changed.differences(recipe)) == ["epochs", "seed", "sides"]


def test_a_shorter_training_keeps_the_shares_of_its_stages() -> None:
    recipe = get_recipe("classic-short")  # 8 of 22 epochs at 24 pixels, 6 at 36
    assert recipe.with_options(epochs=11).sides == ((24, 4), (36, 3))
    for epochs in range(2, 60):
        short = recipe.with_options(epochs=epochs)
        assert short.side_of(epochs - 1)[0] == 48  # it always ends on whole pictures


def test_notes_stand_only_for_the_training_that_they_tell_of() -> None:
    recipe = get_recipe("small")
    assert recipe.with_options(seed=3, precision="bfloat16").expected == recipe.expected
    changed = recipe.with_options(epochs=3)
    assert (changed.command, changed.cost, changed.expected) == ("", "", "")


def test_notes_make_no_difference() -> None:
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
def test_impossible_settings_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        get_recipe("classic").with_options(**options)


def test_sides_end_where_they_should() -> None:
    recipe = replace(get_recipe("classic-short"), sides=((24, 2), (36, 1)), epochs=5)
    assert [recipe.side_of(epoch) for epoch in range(5)] == [(24, 2), (24, 2), (36, 3), (48, 5), (48, 5)]
    assert replace(recipe, epochs=1).side_of(0) == (24, 1)


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(ModelError, match="does not have the fields of a recipe"):
        Recipe.from_dict({"name": "x"})
    with pytest.raises(ModelError, match="got 'resnet'"):
        get_recipe("resnet")


def test_a_recipe_of_another_version_is_told_as_one() -> None:
    data = {**get_recipe("classic").to_dict(), "sharpness": 2}
    with pytest.raises(ModelError, match=r"does not know \(sharpness\): another version"):
        Recipe.from_dict(data)
