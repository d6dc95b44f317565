"""Check the fields of a recipe: types, bounds, choices, and fields that cannot be combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.training.augmentation import Augmentation
from mien.training.network_specs import NetworkSpec

if TYPE_CHECKING:
    from mien.training.recipe import Recipe

_BOUNDS: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000), "batch_size": (1, 65_536), "learning_rate": (1e-12, 10), "seed": (0, 2**31 - 1),
    "plateau_patience": (1, 100_000), "stopping_patience": (1, 100_000), "plateau_factor": (0, 1),
    "minimum_rate": (0, 1), "label_smoothing": (0, 0.99), "weight_decay": (0, 1), "ema_momentum": (0, 0.999999),
    "joint": (0, 100), "distillation_weight": (0, 1), "augmented_copies": (0, 999), "focal_gamma": (0, 10),
    "frozen_epochs": (0, 100_000), "trunk_rate": (0, 1),
}  # fmt: skip
"""Minimum and maximum of each number; `warmup_epochs` is bounded by `epochs`."""

_INTEGERS = frozenset(
    {
        "epochs",
        "batch_size",
        "plateau_patience",
        "stopping_patience",
        "augmented_copies",
        "frozen_epochs",
        "seed",
    }
)

_CHOICES = {
    "schedule": ("plateau", "cosine"),
    "optimizer": ("adam", "adamw", "sgd"),
    "select": ("loss", "macro_f1", "last"),
    "class_weights": ("none", "balanced"),
    "sampling": ("shuffled", "balanced"),
    "loss": ("cross_entropy", "focal"),
    "precision": ("float32", "bfloat16"),
}


def check_recipe(recipe: Recipe) -> None:
    """Check the fields of a recipe, before an invalid one fails during a training.

    Raises:
        ModelError: If a field has an invalid type or value, or two fields cannot be combined.
    """
    _check_types(recipe)
    for name, (low, high) in {**_BOUNDS, "warmup_epochs": (0, recipe.epochs)}.items():
        value = getattr(recipe, name)
        require_number(recipe.name, name, value, whole=name in _INTEGERS)
        if not low <= value <= high:
            raise ModelError(f"Recipe {recipe.name}: expected {name} from {low} to {high}, got {value}.")
    for name, choices in _CHOICES.items():
        value = getattr(recipe, name)
        if not isinstance(value, str) or value not in choices:
            raise ModelError(
                f"Recipe {recipe.name}: expected {name} to be one of {', '.join(choices)}, got {repr(value)[:80]}."
            )
    if recipe.trunk_rate != 1 and recipe.optimizer != "sgd":
        raise ModelError(
            f"Recipe {recipe.name}: expected the optimizer sgd for a trunk_rate other than 1, got {recipe.optimizer}."
        )
    if recipe.loss == "focal" and recipe.joint:
        raise ModelError(
            f"Recipe {recipe.name}: expected the loss cross_entropy for a second head (joint), got focal."
        )


def _check_types(recipe: Recipe) -> None:
    if not isinstance(recipe.name, str) or not recipe.name:
        raise ModelError(f"Recipe: expected its name as a word, got {repr(recipe.name)[:80]}.")
    require_number(recipe.name, "epochs", recipe.epochs, whole=True)
    sizes, teachers = recipe.progressive_sizes, recipe.teachers
    for name, right, expected in (
        ("network", isinstance(recipe.network, NetworkSpec), "a Classic or a Compact"),
        ("augmentation", isinstance(recipe.augmentation, Augmentation), "an Augmentation"),
        ("drop_copies", isinstance(recipe.drop_copies, bool), "True or False"),
        ("release", isinstance(recipe.release, bool), "True or False"),
        (
            "teachers",
            isinstance(teachers, tuple) and all(isinstance(teacher, str) for teacher in teachers),
            "a tuple of names",
        ),
        (
            "progressive_sizes",
            isinstance(sizes, tuple) and all(map(_is_stage, sizes)),
            "pairs of whole numbers over 0",
        ),
    ):
        if not right:
            raise ModelError(
                f"Recipe {recipe.name}: expected {name} to be {expected}, got {repr(getattr(recipe, name))[:80]}."
            )


def _is_stage(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(type(x) is int and x > 0 for x in value)


def require_number(recipe: str, name: str, value: Any, *, whole: bool) -> None:
    """Check that a field is a number.

    Raises:
        ModelError: If it is not a number, or not an integer if `whole` is set.
    """
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = "a whole number" if whole else "a number"
        raise ModelError(f"Recipe {recipe}: expected {name} to be {expected}, got {repr(value)[:80]}.")
