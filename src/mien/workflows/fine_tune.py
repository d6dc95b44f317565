"""The recipe of a training that starts from another model: its network, with defaults for the number of images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mien.data.dataset import TRAINING
from mien.errors import ModelError

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
    from mien.training.fine_tuning_recipe import NAME, describe, fine_tuning_recipe
    from mien.workflows.open_teachers import open_start

    config = replace(config, label_set=dataset.label_set.name)
    if options.freeze and not config.start:
        raise ModelError(
            "Freezing the trunk needs a model to start from. Give one with `start`, for example small."
        )
    if config.recipe.name != NAME:
        return config
    start = open_start(config.start)
    if start is None:
        raise ModelError(
            f"The recipe {NAME} needs a model to start from. Give one with `start`, for example small."
        )
    training = int((dataset.split == TRAINING).sum())
    per_class = training / len(dataset.label_set)
    recipe = fine_tuning_recipe(network_of_start(start), per_class, seed=config.recipe.seed)
    recipe = options.change(recipe)
    known = known_classes(start, dataset.label_set.classes)
    reporter.message(describe(recipe, per_class, known, len(dataset.label_set)))
    return replace(config, recipe=recipe)
