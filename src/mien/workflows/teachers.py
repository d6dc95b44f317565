"""Train the teachers of a recipe before the recipe itself, each in a run folder beside the student's.

Finished teachers are reused and interrupted ones resume. All existing folders are checked before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import keras

from mien.errors import ModelError
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import read_config
from mien.training.run_files import BEST, LAST, is_whole, read_history, require_free
from mien.workflows.open_teachers import open_start
from mien.workflows.run_data import find_difference
from mien.workflows.run_plan import TrainingInterrupted, run_folder_name

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.recipe import Recipe
    from mien.training.run_config import RunConfig
    from mien.training.trainer import Run
    from mien.workflows.reporter import Reporter

TrainOne = Callable[["Dataset", "RunConfig", Path, bool], "Run"]
"""Called with a data set, a configuration, a run folder, and whether to resume; trains one network."""


def train_teachers(
    dataset: Dataset,
    config: RunConfig,
    folder: Path,
    changes: Mapping[str, Any],
    train_one: TrainOne,
    reporter: Reporter,
) -> RunConfig:
    """Train the teachers that a recipe names, unless others are given.

    Args:
        dataset: the training data, for student and teachers.
        config: arguments of the student.
        folder: run folder of the student.
        changes: changed fields of its recipe. Fewer epochs and augmented copies also apply to the teachers, and so do
            precision, batch size and second head.
        train_one: function that trains one teacher.
        reporter: the reporter.

    Returns:
        The arguments with the teachers.

    Raises:
        ModelError: If a teacher's folder contains another training, the run folder is in use, or the model to start
            from is missing.
        TrainingInterrupted: If Ctrl-C stopped one of them.
    """
    recipe = config.recipe
    if not recipe.teachers:
        return config
    if not recipe.distillation_weight or config.teachers:  # the recipe's list of teachers is then not used
        return replace(config, recipe=replace(recipe, teachers=(), command="", cost="", expected=""))
    start = open_start(config.start)
    if isinstance(start, str) and not Path(start).exists():
        raise ModelError(f"{start}: expected a model to start from, a file or a run folder, found nothing.")
    if recipe.augmented_copies and not config.augmentation_cache:  # shared by student and teachers
        config = replace(config, augmentation_cache=str(folder.resolve().parent / "views"))
    wanted = {name: _teacher(name, config, folder, changes) for name in _in_order(recipe.teachers)}
    require_free(folder)
    if folder.resolve() in {place.resolve() for place, _ in wanted.values()}:
        raise ModelError(
            f"{folder}: expected a run folder of its own, because {recipe.name} builds on what is trained there. "
            "Choose another with `out`."
        )
    _require_fitting(wanted, dataset)
    missing = {name: (place, inner) for name, (place, inner) in wanted.items() if not is_whole(place)}
    if missing:
        reporter.message(f"{recipe.name} builds on other trainings, which come first:")
    for name, (place, inner) in missing.items():
        reporter.message(f"  {name}, in {place}" + (f" ({inner.recipe.cost})" if inner.recipe.cost else ""))
    for name, (place, inner) in missing.items():
        _train_first(name, dataset, inner, place, train_one)
    return _built_on(config, recipe, folder)


def _in_order(names: Sequence[str]) -> list[str]:
    """Return recipes with the teachers that they need, each after its own teachers."""
    order: list[str] = []
    for name in names:
        order += [x for x in (*_in_order(get_recipe(name).teachers), name) if x not in order]
    return order


def _place(folder: Path, name: str, config: RunConfig) -> Path:
    """Return the run folder of a teacher, next to that of the student."""
    beside = folder.parent if folder.name else folder.resolve().parent
    return beside / run_folder_name(get_recipe(name), config.label_set, config.path)


def _built_on(config: RunConfig, recipe: Recipe, folder: Path) -> RunConfig:
    teachers = tuple(str(_place(folder, name, config)) for name in recipe.teachers)
    return replace(config, recipe=recipe, teachers=teachers)


def _teacher(
    name: str, config: RunConfig, folder: Path, changes: Mapping[str, Any]
) -> tuple[Path, RunConfig]:
    """Return the run folder and the arguments of a teacher."""
    place, recipe = _place(folder, name, config), get_recipe(name)
    options = {key: changes[key] for key in ("precision", "batch_size", "joint") if key in changes}
    for key in {"epochs", "augmented_copies"} & changes.keys():
        options[key] = min(changes[key], getattr(recipe, key))
    begun = _begun(place)
    if begun:  # an interrupted training resumes in its own precision
        options["precision"] = begun.recipe.precision
    return place, _built_on(replace(config, start=None), recipe.with_options(**options), folder)


def _begun(place: Path) -> RunConfig | None:
    """Return the arguments of the training in a folder, if one of its epochs is complete.

    Raises:
        ModelError: If the folder is damaged.
    """
    if not (place / LAST).exists():
        return None
    reason = f"it has no recipe.json or no complete {BEST}"
    try:
        read_history(place)
        lacking = is_whole(place) and not is_zipfile(place / BEST)
        begun = None if lacking else read_config(place)
    except ModelError as error:
        begun, reason = None, str(error)
    if begun is None:
        raise ModelError(
            f"{place}: expected a training to build on, found one that cannot be read. Remove that folder, and the same "
            f"command trains it anew. ({reason})"
        )
    return begun


def _require_fitting(wanted: Mapping[str, tuple[Path, RunConfig]], dataset: Dataset) -> None:
    """Check the folders of the teachers before any of them is trained.

    Raises:
        ModelError: If one has other files, or a training with other settings or on other data.
    """
    for name, (place, inner) in wanted.items():
        begun = _begun(place)
        if begun is None:
            require_free(place)
            continue
        changed = begun.recipe.differences(inner.recipe)
        if "epochs" in changed and "warmup_epochs" in changed:
            changed.remove("warmup_epochs")  # it is scaled with the epochs
        pairs = {
            "data": (begun.path, inner.path), "votes": (begun.votes, inner.votes), "start": (begun.start, inner.start),
            "teachers": (begun.teachers, inner.teachers), "class_names": (begun.class_names, inner.class_names),
        }  # fmt: skip
        changed += [what for what, (before, now) in pairs.items() if _resolved(before) != _resolved(now)]
        if not changed and (difference := find_difference(dataset, place, begun)):
            raise ModelError(
                f"{place}: expected a training of {name} on these data to build on, found one on others ({difference}), "
                "which may contain images of the other splits. Remove it and what was built on it, or choose a run "
                "folder elsewhere with `out`."
            )
        if changed:
            raise ModelError(
                f"{place}: expected a training of {name} to build on, found one with another {', '.join(changed)}. "
                "Remove it and what was built on it, choose a run folder elsewhere with `out`, or name the models to "
                "learn from with `teachers`."
            )


def _resolved(named: str | Sequence[str] | None) -> list[Path]:
    names = [named] if isinstance(named, str) else named or []
    return [Path(name).resolve() for name in names]


def _train_first(name: str, dataset: Dataset, config: RunConfig, place: Path, train_one: TrainOne) -> None:
    """Train one teacher.

    Raises:
        TrainingInterrupted: If Ctrl-C stopped it.
    """
    keras.utils.clear_session()
    try:
        interrupted = train_one(dataset, config, place, _begun(place) is not None).interrupted
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        raise TrainingInterrupted.in_part(name)
    keras.utils.clear_session()
