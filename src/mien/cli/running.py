"""A training with its display and its end, and before it those of its teachers. Brings Keras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import keras

from mien.cli.console import Stopped, counts_table, files_count, out
from mien.cli.finishing import finish_run
from mien.cli.progress import TrainingDisplay
from mien.cli.teaching import open_start, open_teachers
from mien.data.dataset import PUBLIC_TEST
from mien.data.inspection import hold_out, require_trainable
from mien.errors import ModelError
from mien.training import trainer
from mien.training.recipes import get_recipe
from mien.training.resume import require_free
from mien.training.run_folder import BEST, LAST, is_whole, read_history, read_origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.data.dataset import Dataset
    from mien.training.recipe import Recipe
    from mien.training.run_folder import Origin
    from mien.training.trainer import Run


def run_training(dataset: Dataset, origin: Origin, folder: Path, *, resume: bool) -> Run:
    """Train with a display, then write the models, the figures and the scores."""
    with files_count():
        return _run_training(dataset, origin, folder, resume=resume)


def _run_training(dataset: Dataset, origin: Origin, folder: Path, *, resume: bool) -> Run:
    dataset = with_validation(dataset)
    require_trainable(dataset)
    out.print(counts_table({k: v for k, v in dataset.counts().items() if k != "PrivateTest"}))
    recipe = origin.recipe
    out.print(f"Recipe {recipe.name}, seed {recipe.seed}; the run folder is {folder}")
    with TrainingDisplay(folder) as display:
        run = trainer.train(
            dataset,
            recipe,
            folder,
            resume=resume,
            on_batch=display.on_batch,
            on_epoch=display.on_epoch,
            origin=origin.data(),
            teachers=open_teachers(origin, dataset),
            start=open_start(origin.start),
            views=origin.views_in,
            on_preparing=display.on_preparing,
            save_every=origin.save_every,
        )
    if run.interrupted:
        out.print("Stopping: writing the models, figures and scores of the best epoch …")
    finish_run(run, dataset)
    return run


def with_validation(dataset: Dataset) -> Dataset:
    """The data set, with a tenth of Training held out as PublicTest where it has no such split."""
    if (dataset.split == PUBLIC_TEST).any():
        return dataset
    out.print(
        "There is no validation split; a tenth of the training pictures, never parting copies, serves as one."
    )
    return hold_out(dataset)


def folder_of(recipe: Recipe, labels: str, data: str = "") -> str:
    """The name of the run folder of a recipe where none is given; it says where the faces are drawn ones."""
    if data.partition(":")[0] == "synthetic":
        labels = "synthetic" if labels == "fer2013" else f"synthetic-{labels}"
    return f"{recipe.name}-{labels}-seed{recipe.seed}"


def with_forerunners(dataset: Dataset, origin: Origin, folder: Path, given: Mapping[str, Any]) -> Origin:
    """A training's origin with the teachers that its recipe names, where the command names none.

    What the recipe names are recipes: their trainings are done first, in folders beside this one. One that is whole
    already is taken as it is, one that was stopped goes on. Nothing is trained before all that is there has been found
    fitting.

    Args:
        dataset: what all are trained on.
        origin: of the training that builds on them.
        folder: its run folder.
        given: the options of its recipe that the command gave. Fewer epochs and views are for the others too, and so
            are the precision, the pictures a step and the second head.

    Raises:
        ModelError: a folder beside it holds another training of that name, the run folder is taken, or what it is to
            begin with is missing.
        Stopped: Ctrl-C ended one of them.
    """
    recipe = origin.recipe
    if not recipe.teachers:
        return origin
    if (
        not recipe.distil or origin.teachers
    ):  # another training than the one that the recipe's notes are about
        return replace(origin, recipe=replace(recipe, teachers=(), command="", cost="", expected=""))
    start = open_start(origin.start)
    if isinstance(start, str) and not Path(start).exists():
        raise ModelError(f"{start}: expected something to begin with, a file or a run folder, found nothing.")
    if recipe.views and not origin.views_in:  # for all of them have the same ones
        origin = replace(origin, views_in=str(folder.resolve().parent / "views"))
    wanted = {name: _forerunner(name, origin, folder, given) for name in _in_order(recipe.teachers)}
    require_free(folder)
    if folder.resolve() in {place.resolve() for place, _ in wanted.values()}:
        raise ModelError(
            f"{folder}: expected a run folder of its own, for {recipe.name} builds on what is trained there. "
            "Give another with --out."
        )
    _require_fitting(wanted)
    missing = {name: (place, inner) for name, (place, inner) in wanted.items() if not is_whole(place)}
    if missing:
        out.print(f"{recipe.name} builds on other trainings, which come first:")
    for name, (place, inner) in missing.items():
        out.print(f"  {name}, in {place}" + (f" ({inner.recipe.cost})" if inner.recipe.cost else ""))
    for name, (place, inner) in missing.items():
        _train_first(name, dataset, inner, place)
    return _built_on(origin, recipe, folder)


def _in_order(names: Sequence[str]) -> list[str]:
    """The recipes among some names and those that they build on, each after all that it needs."""
    order: list[str] = []
    for name in names:
        order += [x for x in (*_in_order(get_recipe(name).teachers), name) if x not in order]
    return order


def _place(folder: Path, name: str, origin: Origin) -> Path:
    """The run folder beside another where a recipe is trained that it builds on."""
    beside = folder.parent if folder.name else folder.resolve().parent
    return beside / folder_of(get_recipe(name), origin.labels, origin.path)


def _built_on(origin: Origin, recipe: Recipe, folder: Path) -> Origin:
    teachers = tuple(str(_place(folder, name, origin)) for name in recipe.teachers)
    return replace(origin, recipe=recipe, teachers=teachers)


def _forerunner(name: str, origin: Origin, folder: Path, given: Mapping[str, Any]) -> tuple[Path, Origin]:
    """The run folder and the origin of the training of a recipe that another builds on."""
    place, recipe = _place(folder, name, origin), get_recipe(name)
    options = {key: given[key] for key in ("precision", "batch_size", "joint") if key in given}
    for key in {"epochs", "views"} & given.keys():
        options[key] = min(given[key], getattr(recipe, key))
    begun = _begun(place)
    if begun:
        options["precision"] = (
            begun.recipe.precision
        )  # it may be another, and a stopped training goes on in its own
    return place, _built_on(replace(origin, start=None), recipe.with_options(**options), folder)


def _begun(place: Path) -> Origin | None:
    """What a folder was begun with that has a whole epoch in it.

    Raises:
        ModelError: what it holds is damaged.
    """
    if not (place / LAST).exists():
        return None
    reason = f"it has no recipe.json or no whole {BEST}"
    try:
        read_history(place)
        lacking = is_whole(place) and not is_zipfile(place / BEST)
        begun = None if lacking else read_origin(place)
    except ModelError as error:
        begun, reason = None, str(error)
    if begun is None:
        raise ModelError(
            f"{place}: expected a training to build on, found one that cannot be read. Remove that folder, and the same "
            f"command trains it anew. ({reason})"
        )
    return begun


def _require_fitting(wanted: Mapping[str, tuple[Path, Origin]]) -> None:
    """Look through the folders of what comes first, before any of it is trained."""
    for name, (place, inner) in wanted.items():
        begun = _begun(place)
        if begun is None:
            continue
        changed = begun.recipe.differences(inner.recipe)
        if "epochs" in changed and "warmup_epochs" in changed:
            changed.remove("warmup_epochs")  # which follows them
        pairs = {
            "data": (begun.path, inner.path), "votes": (begun.votes, inner.votes), "start": (begun.start, inner.start),
            "teachers": (begun.teachers, inner.teachers), "class_names": (begun.class_names, inner.class_names),
        }  # fmt: skip
        changed += [what for what, (before, now) in pairs.items() if _resolved(before) != _resolved(now)]
        if changed:
            raise ModelError(
                f"{place}: expected a training of {name} to build on, found one with another {', '.join(changed)}. "
                "Remove it and what was built on it, give a run folder elsewhere with --out, or name whom to learn "
                "from with --teacher."
            )


def _resolved(named: str | Sequence[str] | None) -> list[Path]:
    names = [named] if isinstance(named, str) else named or []
    return [Path(name).resolve() for name in names]


def _train_first(name: str, dataset: Dataset, origin: Origin, place: Path) -> None:
    """The training of a recipe that another builds on."""
    keras.utils.clear_session()
    try:
        interrupted = run_training(dataset, origin, place, resume=_begun(place) is not None).interrupted
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        raise Stopped(f"\nStopped in {name}. The same command goes on from there.")
    keras.utils.clear_session()
