"""The fine-tuning recipe, with defaults that depend on the number of training images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.training.augmentation import Augmentation
from mien.training.network_specs import Compact
from mien.training.recipe import Recipe
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "fine-tune"
"""The name of the recipe."""

FEW, MANY, VERY_MANY = 150, 500, 3000
"""Training images per class: a data set is small below `FEW`, large from `MANY` and very large from `VERY_MANY` on."""


def fine_tuning_recipe(network: Mapping[str, Any], per_class: float, *, seed: int = 0) -> Recipe:
    """Return the recipe that fine-tunes a network, with defaults that depend on the number of images.

    Args:
        network: the architecture as in a model card (`recipe["network"]`).
        per_class: training images per class, on average.
        seed: random seed.

    Raises:
        ModelError: If it is not an architecture of mien.
    """
    few, many, very_many = per_class < FEW, per_class >= MANY, per_class >= VERY_MANY
    base = Recipe.from_dict({**Recipe(name=NAME, network=Compact()).to_dict(), "network": dict(network)})
    return base.with_options(
        epochs=12 if very_many else 30 if few or many else 20,
        batch_size=32,
        optimizer="sgd",
        learning_rate=0.05 if many else 0.02,
        weight_decay=5e-4,
        schedule="cosine",
        warmup_epochs=1.0,
        stopping_patience=100,
        label_smoothing=0.1,
        ema_momentum=0.0,
        select="loss" if few else "macro_f1",  # with few validation images, macro-F1 is noisy
        sampling="balanced",
        augmentation=Augmentation(
            shift=0.08, rotation=10, zoom=0.1, brightness=0.1, contrast=0.25, random_erasing=0.15
        ),
        frozen_epochs=5 if few else 2,
        trunk_rate=1.0 if many else 0.3,
        seed=seed,
    )


def describe(recipe: Recipe, per_class: float, known: int, classes: int) -> str:
    """Describe the defaults in one line, for the user."""
    frozen = "" if not recipe.frozen_epochs else f", the first {recipe.frozen_epochs} with the trunk frozen"
    copied = f"; {known} of {classes} classes start from weights of the same meaning" if known else ""
    return (
        f"Fine-tuning with {per_class:,.0f} training images per class: {counted(recipe.epochs, 'epoch')}{frozen}, "
        f"learning rate {recipe.learning_rate:g}, {recipe.trunk_rate:g} of it for the trunk{copied}."
    )
