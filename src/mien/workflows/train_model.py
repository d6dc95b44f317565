"""Train a network and write everything to a run folder, as `mien train` does.

    import mien

    run = mien.train("fer2013.csv", epochs=20, out="runs/mine")
    run.best, run.history, run.plot()
    print(run.evaluate("PrivateTest"))

The order of the work: choose the run folder and the recipe, read the data, train the teachers that the recipe names,
train, calibrate, evaluate on PublicTest, and write models, figures and scores.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.interrupts import interrupts_remembered
from mien.training.custom import CustomParts
from mien.training.keras_start import prepare_keras
from mien.wording import counted
from mien.workflows.fine_tune import fit_to_data
from mien.workflows.load_data import load_data, warn_of_unused_division, with_validation, with_votes
from mien.workflows.notebook import default_reporter
from mien.workflows.options import TrainOptions
from mien.workflows.run_plan import TrainingInterrupted, make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.training.checkpoint import TrainingState
    from mien.training.devices import Devices
    from mien.training.recipe import Recipe
    from mien.training.run_config import RunConfig
    from mien.training.trainer import Run as Trained
    from mien.workflows.reporter import Reporter
    from mien.workflows.run import Run
    from mien.workflows.run_plan import Plan

_DRAW_EVERY = 10
"""Minimum time in seconds between two drawings of the curves: an epoch on a GPU is faster than matplotlib."""


def train(
    data: Any = None,
    recipe: str | Path | Recipe | Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> Run:
    """Train a network and write everything to a run folder.

    Trains on the split Training and selects by PublicTest; PrivateTest is not used (evaluate on it once, at the end).

    Args:
        data: a path as for `mien.load`, `synthetic:N` for drawn faces, a `mien.Dataset`, or arrays
            `(images, labels)` or `(images, labels, splits)`; for `resume=True` it may be left out if it was a path. A
            `mien.Dataset` without splits is divided; the other options for reading data do not apply to it.
        recipe: the name of a recipe (`mien recipes` lists them), a `Recipe`, the path of a JSON file or a dict of
            fields; by default `classic`.
        out: the run folder; by default `runs/RECIPE-LABELS-seedN`.
        resume: resume the training in the run folder, exactly where it stopped.
        reporter: the reporter; by default a live display in a notebook, else the logger `mien`.
        **options: fields of `mien.training.recipe.Recipe` such as `epochs`, `batch_size`, `learning_rate`, `seed`; of
            its `Augmentation` such as `rotation`; of `mien.workflows.options.TrainOptions`: `teachers`, `start`,
            `freeze`, `augmentation_cache`, `save_every`, `license`, `backend`, `tensorboard`, `mlflow`; of the data:
            `label_set`, `class_names`, `votes`, `cache`, `merge`, `group`, `shares`, `split_seed`, `detect`,
            `keep_crops`; and custom parts: `network` (a `keras.Model` of input (48, 48, 1)), `callbacks`, `augment` (a
            function of a batch).

    Returns:
        The run, also after Ctrl-C if an epoch was complete by then.

    Raises:
        DataError: If the data cannot be read or cannot be trained on.
        ModelError: If an option does not exist or is invalid, or the run folder holds another training.
        MissingExtra: If Keras, its backend or a library of an option is not installed.
        KeyboardInterrupt: If Ctrl-C stopped it before an epoch was complete, or while a teacher was trained.
    """
    chosen = TrainOptions.of(recipe, out=out, **options)
    return run_training(data, replace(chosen, resume=resume), reporter or default_reporter())


def run_training(data: Any, options: TrainOptions, reporter: Reporter) -> Run:
    """Train, as `mien train` does.

    Raises:
        DataError: If the data cannot be read or cannot be trained on.
        ModelError: If an option does not exist or is invalid, or the run folder holds another training.
        TrainingInterrupted: If Ctrl-C stopped it before an epoch was complete, or while a teacher was trained.
    """
    from mien.training.backend import choose_backend
    from mien.training.devices import Devices

    devices = Devices.of(options.devices, options.hosts, options.host_index, backend=options.backend)
    backend = "jax" if devices else options.backend
    choose_backend(backend)  # first: without a backend, reading the data is pointless
    plan = make_plan(data, options)
    if not options.resume:
        _require_new(plan, devices)
    if plan.data is None:
        reporter.message(_DRAWN)
    dataset = load_data("synthetic" if plan.data is None else plan.data, plan.reading, reporter)
    warn_of_unused_division(dataset, options.data, reporter)
    plan = replace(plan, config=replace(plan.config, label_set=dataset.label_set.name))
    dataset = with_votes(dataset, plan.config)
    if devices:
        devices.connect()
    prepare_keras(backend)  # after reading the data, so that errors in them are raised sooner
    from mien.workflows.run import Run

    trainer = RunTrainer(reporter, devices)
    plan = replace(plan, folder=devices.own_folder(plan.folder) if devices else plan.folder)
    try:
        with interrupts_remembered():
            trained = _train(dataset, plan, options, trainer, reporter)
    except TrainingInterrupted:
        raise
    except KeyboardInterrupt:
        raise TrainingInterrupted.before_an_epoch(plan.folder) from None
    return Run(trained, trainer.dataset or dataset)


def _require_new(plan: Plan, devices: Devices | None) -> None:
    """Check the run folder of a new training, the model that it starts from and its teachers, before what takes time.

    Raises:
        ModelError: If the folder contains a training or files that would be overwritten, or a model is missing.
    """
    from mien.training.run_files import LOCK, require_free
    from mien.workflows.open_teachers import keras_file_of, open_start

    # A locked folder is refused with another sentence, and another host may have written into a shared one.
    if devices is None and not (plan.folder / LOCK).exists():
        require_free(plan.folder)
    open_start(plan.config.start)
    for name in plan.config.teachers:
        keras_file_of(name)


def _train(
    dataset: Dataset, plan: Plan, options: TrainOptions, trainer: RunTrainer, reporter: Reporter
) -> Trained:
    """Train the teachers of the recipe, then the recipe."""
    config = plan.config
    if options.resume:
        for text in options.custom.inexact_parts() if config.custom else ():
            reporter.warning(text)
    else:
        config = fit_to_data(config, options, dataset, reporter)
        from mien.workflows.teachers import train_teachers

        config = train_teachers(dataset, config, plan.folder, options.changes, trainer.train, reporter)
    return trainer.train(dataset, config, plan.folder, options.resume, options.custom)


_DRAWN = (
    "No data given: training on drawn faces (synthetic), which shows how it works but makes no model for photos. Give "
    "`data=PATH` to train on your own images; mien demo needs a minute."
)


class RunTrainer:
    """Train runs and write all files of their folders.

    Args:
        reporter: the reporter.
        devices: the devices to train on; by default one.

    Attributes:
        dataset: the data of the last training, with its validation split.
    """

    def __init__(self, reporter: Reporter, devices: Devices | None = None) -> None:
        self._reporter, self._devices = reporter, devices
        self.dataset: Dataset | None = None

    def train(
        self,
        dataset: Dataset,
        config: RunConfig,
        folder: Path,
        resume: bool = False,
        custom: CustomParts | None = None,
    ) -> Trained:
        """Train a network as configured, then write the models, figures and scores.

        Args:
            dataset: the data.
            config: the arguments of the run.
            folder: the run folder.
            resume: whether to resume the training in that folder.
            custom: custom parts, passed as Python objects.
        """
        from mien.data.inspection import require_trainable
        from mien.training import trainer
        from mien.training.backend import without_retracing_warnings
        from mien.training.run_config import read_config, require_same_start
        from mien.training.run_files import LAST
        from mien.training.trainer_options import TrainerOptions
        from mien.workflows.finalize import finish_run
        from mien.workflows.open_teachers import open_start, open_teachers

        reporter = self._reporter
        begun = read_config(folder) if resume and (folder / LAST).is_file() else None
        if begun:
            require_same_start(folder, begun.start, config.start)
        self.dataset = dataset = with_validation(dataset, reporter)
        require_trainable(dataset)
        reporter.data({split: counts for split, counts in dataset.counts().items() if split != "PrivateTest"})
        curves = _LiveCurves(folder)

        def on_epoch(state: TrainingState) -> None:
            reporter.epoch(state)
            curves.draw(state)

        options = TrainerOptions(
            resume=resume,
            on_batch=reporter.batch,
            on_epoch=on_epoch,
            arguments=config.data(),
            teachers=open_teachers(config, dataset),
            start=None if begun else open_start(config.start),  # a checkpoint has the weights
            augmentation_cache=config.augmentation_cache,
            on_preparing=reporter.preparing,
            save_every=config.save_every,
            custom=custom or CustomParts(),
            tracking=config.tracking,
        )
        if resume:
            _tell_if_finished(folder, config, reporter)
        distributed = self._devices.distributing(config.recipe) if self._devices else nullcontext()
        with without_retracing_warnings():
            with reporter.training(folder, config.recipe), distributed as hosts:
                run = trainer.train(dataset, config.recipe, folder, options)
                if run.interrupted and hosts:
                    hosts.leave()
            if run.interrupted:
                reporter.message("Stopping: writing the models, figures and scores of the best epoch …")
            finish_run(run, dataset, reporter)
        return run


def _tell_if_finished(folder: Path, config: RunConfig, reporter: Reporter) -> None:
    """Report if the training to resume is already finished."""
    from mien.training.checkpoint import read_state
    from mien.training.run_files import LAST

    if not (folder / LAST).is_file():
        return
    state = read_state(folder / LAST)
    state.recipe = {**state.recipe, "epochs": config.recipe.epochs}
    if state.finished:
        reporter.message(
            f"The training in {folder} is finished, after {counted(state.epoch, 'epoch')}: there is nothing left to "
            "resume. Its models, figures and scores are written again."
        )


class _LiveCurves:
    """Draw `curves.png` after an epoch, at most every ten seconds.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        from mien.evaluation.figures.style import load_drawing

        load_drawing()
        self._path = folder / "curves.png"
        self._drawn = -math.inf

    def draw(self, state: TrainingState) -> None:
        """Draw the curves, unless they were drawn within the last ten seconds."""
        from mien.evaluation.figures import plot_curves

        if time.monotonic() - self._drawn > _DRAW_EVERY:
            plot_curves(state.history, self._path, select=state.select)
            self._drawn = time.monotonic()
