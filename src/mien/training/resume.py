"""Decide whether the training in a run folder can be resumed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.training.backend import backend_name
from mien.training.checkpoint import TrainingState, read_state
from mien.training.recipe import Recipe
from mien.training.run_files import LAST, require_free

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
    _require_same_data(folder, state.data, data, votes=bool(recipe.joint))
    if state.backend.split()[0] != backend_name().split()[0]:
        raise ModelError(
            f"{folder} was begun on {state.backend}, this is {backend_name()}. Resume with "
            f"`backend={state.backend.split()[0]}`, for only the same backend resumes exactly."
        )
    state.recipe = recipe.to_dict()
    state.data = {**data, **state.data}  # an older version stored no votes and no class names
    return state


def _require_same_data(folder: Path, before: dict[str, Any], now: dict[str, Any], *, votes: bool) -> None:
    """Check that two results of `fingerprint` are of the same data, by the entries that both have.

    Raises:
        ModelError: If they are not.
    """
    remedy = "or start anew in another folder with `out`."
    if before["sha256"] != now["sha256"]:
        raise ModelError(
            f"{folder} was trained on other data ({before.get('source')}). Resume with the same data, {remedy}"
        )
    if votes and before.get("votes", now["votes"]) != now["votes"]:
        raise ModelError(f"{folder} was trained on other FER+ votes. Resume with the same votes, {remedy}")
    if (names := before.get("classes", now["classes"])) != now["classes"]:
        raise ModelError(
            f"{folder} was trained on other classes ({', '.join(names)}, not {', '.join(now['classes'])}). Resume with "
            f"the same classes, {remedy}"
        )


def _difference(name: str, before: Recipe, now: Recipe) -> str:
    """Describe a changed setting, with both values if they are words or numbers."""
    old, new = getattr(before, name), getattr(now, name)
    return f"{name} ({old}, not {new})" if isinstance(old, str | int | float) else name


def fingerprint(training: Dataset, validation: Dataset, teachers: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a description of the data: source, label set, counts, and a checksum of images, targets and teachers.

    The class names and a checksum of the FER+ votes are entries of their own, which older versions did not store.
    """
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
        "classes": list(training.label_set.classes),
        "votes": _votes_digest(training, validation),
    }


def _votes_digest(*parts: Dataset) -> str | None:
    """Return a checksum of the FER+ votes; `None` if there are none."""
    digest = hashlib.sha256()
    for part in parts:
        if part.votes is None:
            return None
        digest.update(np.asarray(part.votes, np.float64).tobytes())
    return digest.hexdigest()
