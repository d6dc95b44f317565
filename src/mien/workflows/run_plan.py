"""Plan a training: check its options and folders before data are read or Keras is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data.places import name_of_place
from mien.data.reading_options import read_options
from mien.errors import DataError, ModelError
from mien.files import path_on_disk
from mien.labels import CUSTOM, FER2013, LabelSet
from mien.workflows.export_model import check_license
from mien.workflows.load_data import is_dataset, is_synthetic
from mien.workflows.run_reading import name_of, options_for, reading_to_store, require_path

if TYPE_CHECKING:
    from mien.training.experiment_tracking import Tracking
    from mien.training.recipe import Recipe
    from mien.training.run_config import RunConfig
    from mien.workflows.options import DataOptions, TrainOptions

RUNS = Path("runs")
"""The default parent folder of run folders."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C stopped a training before an epoch was complete, or in a teacher or fold.

    The message says how to continue from Python; the command composes its own message.

    Args:
        happened: what was stopped, as a sentence.
        folder: the run folder to resume; `None` if the same call continues.
        effect: what the same call does then, as a verb.
    """

    def __init__(self, happened: str, *, folder: Path | None = None, effect: str = "continues") -> None:
        resume = f"Resume it with mien.train(..., out={str(folder)!r}, resume=True)."
        super().__init__(f"{happened} {resume if folder else f'The same call {effect}.'}")
        self.happened, self.folder, self.effect = happened, folder, effect

    @classmethod
    def in_part(cls, name: str) -> TrainingInterrupted:
        """Create the error for Ctrl-C during the training of a teacher or a fold."""
        return cls(f"Stopped in {name}.")

    @classmethod
    def before_an_epoch(cls, folder: Path) -> TrainingInterrupted:
        """Create the error for Ctrl-C before an epoch was complete in this process."""
        if (folder / "last.keras").is_file():
            return cls("Stopped before a further epoch.", folder=folder)
        return cls("Stopped before an epoch was complete, so nothing is kept.", effect="starts again")


@dataclass(frozen=True)
class Plan:
    """The plan of a training.

    Args:
        folder: the run folder.
        config: the arguments of the run.
        data: the data to read; `None` if none were given.
        reading: options for reading them.
    """

    folder: Path
    config: RunConfig
    data: Any
    reading: DataOptions


def make_plan(data: Any, options: TrainOptions) -> Plan:
    """Return the run folder and the arguments of the run; those of the earlier run if it is resumed.

    Raises:
        ModelError: If there is nothing to resume, or an option is invalid.
        DataError: If the run folder or the augmentation cache is a URL.
    """
    from mien.training.builtin_recipes import find_recipe
    from mien.training.run_config import RunConfig

    for place in (options.out, options.augmentation_cache):
        if place:
            path_on_disk(place)
    license_ = None if options.license is None else check_license(options.license)
    folder, begun = _find_run(data, options)
    recipe = options.choose_recipe(begun.recipe if begun else None)
    if begun and options.recipe is not None and find_recipe(options.recipe).name != begun.recipe.name:
        raise ModelError(
            f"{folder} was begun with the recipe {begun.recipe.name}, not {find_recipe(options.recipe).name}. Leave "
            "`recipe` out to resume it, or start the other one in another folder with `out`."
        )
    missing = set(begun.custom if begun else ()) - {"network", *options.custom.names}
    if missing:
        raise ModelError(
            f"{folder} was begun in Python with {', '.join(sorted(missing))} of your own, which a checkpoint cannot "
            "hold. Resume it with mien.train(..., resume=True), and pass them again."
        )
    _require_start(options, folder, begun)
    base = begun or RunConfig(recipe, "synthetic")
    given = options.data
    votes = given.votes or base.votes
    config = RunConfig(
        recipe=recipe,
        path=base.path if data is None else name_of(data),
        label_set=_name(given.label_set) or (data.label_set.name if is_dataset(data) else base.label_set),
        in_memory=base.in_memory if data is None else not isinstance(data, str | Path),
        votes=str(votes) if votes else None,
        teachers=options.teachers or base.teachers,
        start=options.start or base.start,
        augmentation_cache=str(options.augmentation_cache or base.augmentation_cache or "") or None,
        save_every=base.save_every if options.save_every is None else options.save_every,
        license=base.license if license_ is None else license_,
        class_names=given.class_names or base.class_names,  # type: ignore[arg-type]
        custom=options.custom.names,
        reading=base.reading if begun else reading_to_store(data, given),
        tracking=_tracking(options, base.tracking),
    )
    config.tracking.require()
    reading = options_for(data, config, given)
    source = config.path if data is None and begun else data
    if begun and data is None:
        require_path(config, folder)
    if not begun:
        _require_outside(folder, source)
    return Plan(folder, config, source, reading)


def _require_start(options: TrainOptions, folder: Path, begun: RunConfig | None) -> None:
    """Refuse a model to start from that is not that of the run to resume, and any for a custom network.

    Raises:
        ModelError: If it is given.
    """
    from mien.training.custom import OWN_WEIGHTS
    from mien.training.run_config import require_same_start

    if begun:
        require_same_start(folder, begun.start, options.start or begun.start)
    elif options.start and options.custom.network is not None:
        raise ModelError(OWN_WEIGHTS)


def _require_outside(folder: Path, data: Any) -> None:
    """Refuse a run folder inside the data folder, because its figures would be read as images.

    Raises:
        ModelError: If it is inside.
    """
    if not isinstance(data, str | Path) or not Path(data).is_dir():
        return
    if folder.resolve().is_relative_to(Path(data).resolve()):
        raise ModelError(
            f"{folder}: expected a run folder outside the data, got one in {data}, where its figures would be read as "
            "images. Choose another folder with `out`."
        )


def _tracking(options: TrainOptions, base: Tracking) -> Tracking:
    """Return the requested tracking; what is not given is taken from the run that is resumed."""
    from mien.training.experiment_tracking import RUN_FOLDER, Tracking

    uri = options.mlflow
    if uri is True:
        uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or RUN_FOLDER
    return Tracking(
        base.tensorboard if options.tensorboard is None else options.tensorboard,
        base.mlflow if uri is None else uri or "",
    )


def _name(label_set: LabelSet | str | None) -> str | None:
    return label_set.name if isinstance(label_set, LabelSet) else label_set


def _find_run(data: Any, options: TrainOptions) -> tuple[Path, RunConfig | None]:
    """Return the run folder, and its earlier arguments if it is resumed.

    Raises:
        ModelError: If there is nothing to resume.
    """
    from mien.training.run_config import read_config

    out, resume = with_name(options.out), options.resume
    named = (out, options.recipe, options.data.label_set, options.changes.get("seed"))
    asked = any(option is not None for option in named)
    folder = _newest_run() if resume and not asked else out
    if folder is None:
        folder = _default_folder(data, options)
    begun = read_config(folder) if resume else None
    if resume and begun is None and not asked:
        raise ModelError(
            f"Expected a training to resume in {RUNS}/, found none. Start one without `resume=True`, or name its folder "
            "with `out=RUN`."
        )
    if resume and begun is None:
        raise ModelError(
            f"{folder}: expected a run folder to resume, found none. Start one without `resume=True`, or name it with "
            "`out=RUN`."
        )
    return folder, begun


def with_name(folder: Path | None) -> Path | None:
    """Resolve `.` and `..` in a run folder, because its name appears in figures and scores."""
    return folder.resolve() if folder and folder.name in {"", ".."} else folder


def _default_folder(data: Any, options: TrainOptions) -> Path:
    recipe = options.choose_recipe()
    label_set = _name(options.data.label_set) or name_of_classes(data, options.data)
    drawn = RUNS / run_folder_name(recipe, label_set, "synthetic")
    if data is None and not options.resume:
        return drawn
    source = "" if data is None else name_of(data)
    folder = RUNS / run_folder_name(recipe, label_set, source)
    former = RUNS / run_folder_name(recipe, FER2013.name, source)  # for every file, in older versions
    for other in (drawn, former):
        if options.resume and not folder.exists() and other.exists():
            return other
    return folder


def name_of_classes(data: Any, options: DataOptions) -> str:
    """Return the name of the classes in the name of a run folder: the label set, else the folder or file name."""
    if is_dataset(data):
        own = data.label_set.name == CUSTOM and not _is_in_memory(data.source)
        return _short_name(Path(data.source)) if own else str(data.label_set.name)
    place = Path(data) if isinstance(data, str | Path) and not is_synthetic(data) else None
    if place is None or not place.exists():
        return FER2013.name
    from mien.data.class_preview import preview_label_set

    try:
        found = preview_label_set(place, read_options(None, options.class_names, options.merge))
    except (DataError, OSError):  # reading the data reports the error
        return FER2013.name
    return _short_name(place) if found is None else found.name


def _is_in_memory(source: str) -> bool:
    return source in {"memory", "a data frame"}


def _short_name(place: Path) -> str:
    """Return the name of a file or folder without suffixes, for the name of a run folder."""
    from mien.data.splits import stem_of_table

    name = name_of_place(place)
    return (name if place.is_dir() else stem_of_table(name)) or CUSTOM


def run_folder_name(recipe: Recipe, label_set: str, data: str = "") -> str:
    """Return the default name of the run folder of a recipe; it contains `synthetic` for drawn faces."""
    if is_synthetic(data):
        label_set = "synthetic" if label_set == FER2013.name else f"synthetic-{label_set}"
    return f"{recipe.name}-{label_set}-seed{recipe.seed}"


def _newest_run() -> Path | None:
    recipes = sorted(RUNS.glob("*/recipe.json"), key=lambda path: path.stat().st_mtime)
    return recipes[-1].parent if recipes else None
