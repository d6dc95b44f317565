"""Trainings of seconds, and of interrupted ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mien.training.augmentation import NO_AUGMENTATION
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import TrainingState
from mien.training.network_specs import Classic
from mien.training.recipe import Recipe

TINY = Classic(widths=(2, 3, 4), dropout=(0.1, 0.1, 0.1), dense=8, dense_dropout=0.2)


def tiny_recipe(**options: Any) -> Recipe:
    recipe = replace(
        get_recipe("classic"), network=TINY, augmentation=replace(NO_AUGMENTATION, flip=True, mixup=0.2)
    )
    return recipe.with_options(**{"epochs": 4, "batch_size": 16, "plateau_patience": 1, **options})


class Killed(Exception):
    """Simulates a power cut."""


def cut_after(epoch: int) -> Any:
    def cut(state: TrainingState) -> None:
        if state.epoch == epoch:
            raise Killed

    return cut


def scores(history: list[dict[str, float]]) -> list[list[float]]:
    return [[value for key, value in row.items() if key != "seconds"] for row in history]
