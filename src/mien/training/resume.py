"""Decide whether the training in a run folder can be resumed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.training.backend import backend_name
from mien.training.checkpoint import TrainingState, read_state
from mien.training.recipe import Recipe
from mien.training.run_folder import LAST, foreign_files

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.dataset import Dataset


def open_state(folder: Path, recipe: Recipe, data: dict[str, Any], *, resume: bool) -> TrainingState:
    """Return the state to start from: that of the checkpoint in the folder, or a new one.

    Args:
        folder: the run folder.
        recipe: the recipe.
        data: the result of `fingerprint` for the data.
        resume: whether to resume the training in the folder.

    Raises:
        ModelError: If the folder contains a training and `resume` is false, or one that was started with another
            recipe, other data or another backend; or if it contains other files that would be overwritten.
    """
    last = folder / LAST
    if not resume or not last.exists():
        require_free(folder)
        return TrainingState(recipe=recipe.to_dict(), data=data, backend=backend_name())
    state = read_state(last)
    before = Recipe.from_dict(state.recipe)
    changed = [
        name for name in recipe.differences(before) if not (name == "epochs" and recipe.schedule == "plateau")
    ]
    if changed:
        raise ModelError(
            f"{folder} was started with another {', '.join(_difference(name, before, recipe) for name in changed)}. "
            "Resume with the same settings, or start anew in another folder with `out`."
        )
    if state.data["sha256"] != data["sha256"]:
        raise ModelError(
            f"{folder} was trained on other data ({state.data.get('source')}). Resume with the same data, "
            "or start anew in another folder with `out`."
        )
    if state.backend.split()[0] != backend_name().split()[0]:
        raise ModelError(
            f"{folder} was begun on {state.backend}, this is {backend_name()}. Resume with "
            f"`backend={state.backend.split()[0]}`, for only the same backend resumes exactly."
        )
    state.recipe = recipe.to_dict()
    return state


def require_free(folder: Path) -> None:
    """Check that a folder contains no other training, and no other files that would be overwritten.

    Raises:
        ModelError: If it does.
    """
    if (folder / LAST).exists():
        raise ModelError(
            f"{folder} holds a training already. Resume it with `resume=True`, or choose another folder with `out`."
        )
    if foreign := foreign_files(folder):
        raise ModelError(
            f"{folder}: a training would overwrite {', '.join(foreign)} there, which no training wrote. "
            "Choose another folder with `out`."
        )


def _difference(name: str, before: Recipe, now: Recipe) -> str:
    """Describe a changed setting, with both values if they are words or numbers."""
    old, new = getattr(before, name), getattr(now, name)
    return f"{name} ({old}, not {new})" if isinstance(old, str | int | float) else name


def fingerprint(training: Dataset, validation: Dataset, teachers: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a description of the data: source, label set, counts, and a checksum of images, targets and teachers."""
    digest = hashlib.sha256()
    for part in (training, validation):
        digest.update(part.images.tobytes())
        digest.update(part.targets.tobytes())
    digest.update("".join(teachers).encode())
    return {
        "source": training.source,
        "taxonomy": training.label_set.name,
        "training": len(training),
        "validation": len(validation),
        "sha256": digest.hexdigest(),
    }
