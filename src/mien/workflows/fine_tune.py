"""The recipe of a training that starts from another model: its network, with defaults for the number of images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mien.data.dataset import TRAINING
from mien.errors import ModelError
from mien.training.builtin_recipes import find_recipe, get_recipe, read_recipe
from mien.training.fine_tuning_recipe import NAME, describe, fine_tuning_recipe
from mien.training.recipe import Recipe
from mien.training.recipe_fields import RecipeFields

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.run_config import RunConfig
    from mien.workflows.options import TrainOptions
    from mien.workflows.reporter import Reporter


def fit_to_data(config: RunConfig, options: TrainOptions, dataset: Dataset, reporter: Reporter) -> RunConfig:
    """Complete the arguments of a new run when its data are known: fine-tuning depends on the number of images.

    Raises:
        ModelError: If there is no model to start from, or its network is unknown.
    """
    from mien.training.fine_tuning import known_classes, network_of_start
    from mien.workflows.open_teachers import open_start

    config = replace(config, label_set=dataset.label_set.name)
    if options.freeze and not config.start:
        raise ModelError(
            "Freezing the trunk needs a model to start from. Give one with `start`, for example small."
        )
    given = _given_fields(options)
    if config.recipe.name != NAME and not (given.base == NAME and config.start):
        return config
    start = open_start(config.start)
    if start is None:
        raise ModelError(
            f"The recipe {NAME} needs a model to start from. Give one with `start`, for example small."
        )
    training = int((dataset.split == TRAINING).sum())
    per_class = training / len(dataset.label_set)
    defaults = fine_tuning_recipe(network_of_start(start), per_class)
    recipe = options.change(given.over(defaults.with_options(epochs=given.values.get("epochs"))))
    known = known_classes(start, dataset.label_set.classes)
    reporter.message(describe(recipe, per_class, known, len(dataset.label_set)))
    return replace(config, recipe=recipe)


def _given_fields(options: TrainOptions) -> RecipeFields:
    """Return the fields of the requested recipe that do not depend on the data.

    Those are the fields that a JSON file or dict gives, and all fields of a changed `Recipe`. The network of the
    built-in recipe stands for that of the model to start from.
    """
    requested = NAME if options.recipe is None else options.recipe
    found, builtin = read_recipe(requested), get_recipe(NAME)
    if isinstance(found, Recipe):
        fields, changed = found.to_dict(), set(found.differences(builtin))
        if changed <= {"seed", "precision"}:
            fields = {name: fields[name] for name in changed}
        found = RecipeFields(fields, found.name, "this recipe")
    if find_recipe(requested).network != builtin.network:
        return found
    return replace(found, values={name: value for name, value in found.values.items() if name != "network"})
