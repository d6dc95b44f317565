"""Custom parts of the trainings of a cross-validation: each fold starts with the same network and callbacks."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.training.backend import fix_seeds
from mien.training.callback_states import has_state, restore_states, states_of
from mien.training.custom import build_once
from mien.training.run_config import read_config

if TYPE_CHECKING:
    from pathlib import Path

    from mien.training.custom import CustomParts
    from mien.training.recipe import Recipe


class CustomFolds:
    """The custom parts of all folds.

    A training copies the network with its weights, so every fold starts with the same ones; a network without weights
    gets them here, from the seed of the recipe.

    Args:
        custom: the custom parts.
        recipe: the recipe.

    Raises:
        ModelError: If they cannot be combined with the recipe.
    """

    def __init__(self, custom: CustomParts, recipe: Recipe) -> None:
        custom.applied_to(recipe)
        self._custom = custom
        self._stateful = [callback for callback in custom.callbacks if has_state(callback)]
        self._states = deepcopy(states_of(self._stateful))
        if custom.network is not None:
            fix_seeds(recipe.seed)
            build_once(custom.network)

    def begin(self, folder: Path | None) -> CustomParts:
        """Return the custom parts for the training of a fold, with the states of the callbacks as before the first.

        Args:
            folder: the run folder of the fold if it contains a checkpoint, else `None`.

        Raises:
            ModelError: If the training in the folder has other custom parts.
        """
        if folder is not None and (config := read_config(folder)) is not None:
            self._require_same(folder, config.custom)
        restore_states(self._stateful, deepcopy(self._states))
        return self._custom

    def _require_same(self, folder: Path, before: tuple[str, ...]) -> None:
        now = self._custom.names
        if set(before) != set(now):
            raise ModelError(
                f"{folder} was trained with {_told(before)}, not {_told(now)}. Pass the same parts, or cross-validate "
                "anew in another folder with `out`."
            )


def _told(names: tuple[str, ...]) -> str:
    return f"{', '.join(names)} of your own" if names else "no parts of your own"
