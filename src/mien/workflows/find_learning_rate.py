"""Find a learning rate for a training and plot the loss, as `mien train --find-lr` does.

import mien

found = mien.find_learning_rate("fer2013.csv", "compact")
run = mien.train("fer2013.csv", "compact", learning_rate=found.suggested)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.ownership import free_name, guarding
from mien.renamed import renamed_fields
from mien.training.keras_start import prepare_keras
from mien.workflows.fine_tune import fit_to_data
from mien.workflows.load_data import load_data, warn_of_unused_division, with_validation, with_votes
from mien.workflows.notebook import default_reporter
from mien.workflows.options import TrainOptions, refuse_given
from mien.workflows.run_plan import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from mien.workflows.reporter import Reporter

PLOT = "learning-rate.png"


@renamed_fields(highest="lowest_loss_rate")
@dataclass(frozen=True)
class FoundRate:
    """Result of a search.

    Args:
        steepest: the learning rate at which the loss fell fastest.
        lowest_loss_rate: the learning rate at which the loss was lowest.
        suggested: the learning rate to use, a tenth of `lowest_loss_rate`.
        plot: the figure; its name has a number if the folder contains another file of this name.
        rises: whether the loss rose above `lowest_loss_rate`, so that higher rates are too high.
        falls: whether the loss fell before `lowest_loss_rate`; if not, the search is inconclusive.
    """

    steepest: float
    lowest_loss_rate: float
    suggested: float
    plot: Path
    rises: bool = True
    falls: bool = True


def find_learning_rate(
    data: Any = None,
    recipe: Any = None,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> FoundRate:
    """Find a learning rate for a training and plot the loss; no model is saved.

    Args:
        data: the data, as for `mien.train`.
        recipe: the recipe, as for `mien.train`.
        out: the folder of the plot; by default the run folder that `mien.train` would use.
        reporter: the reporter; by default a display in a notebook, else the logger `mien`.
        **options: options as for `mien.train`, except `resume`, `devices`, `hosts` and `host_index`; `callbacks` are not
            called, and `teachers` are not used.

    Raises:
        DataError: If the data cannot be read or cannot be trained on, or the loss is NaN.
        ModelError: If an option does not exist, is invalid or does not apply.
        MissingExtra: If Keras, its backend or a library of an option is not installed.
    """
    chosen = TrainOptions.of(recipe, out=out, **options)
    return run_learning_rate_search(data, chosen, reporter or default_reporter())


def run_learning_rate_search(data: Any, options: TrainOptions, reporter: Reporter) -> FoundRate:
    """Find a learning rate for a training and plot the loss to its run folder.

    Raises:
        DataError: If the data cannot be read or cannot be trained on, or the loss is NaN.
        ModelError: If an option is invalid or does not apply.
    """
    from mien.training.backend import choose_backend

    _refuse_unused(options, reporter)
    choose_backend(options.backend)
    plan = make_plan(data, replace(options, resume=False))
    dataset = load_data("synthetic" if data is None else data, plan.reading, reporter)
    warn_of_unused_division(dataset, options.data, reporter)
    prepare_keras(options.backend)
    from mien.data.dataset import TRAINING
    from mien.data.requirements import require_trainable
    from mien.evaluation.figures.learning_rate import plot_learning_rates
    from mien.training.backend import fix_seeds
    from mien.training.learning_rate_search import search_learning_rate
    from mien.workflows.open_teachers import open_start

    dataset = with_votes(dataset, plan.config)
    config = fit_to_data(plan.config, options, dataset, reporter)
    dataset = with_validation(dataset, reporter)
    require_trainable(dataset)
    fix_seeds(config.recipe.seed)
    with reporter.progress("Trying learning rates") as advance:
        found = search_learning_rate(
            dataset.subset(TRAINING),
            config.recipe,
            open_start(config.start),
            custom=options.custom,
            on_step=advance,
        )
    with guarding(folder=plan.folder) as guard:
        plot = plot_learning_rates(
            found.rates,
            found.losses,
            found.smoothed,
            found.suggested,
            free_name(plan.folder / PLOT, guard.allows),
            lowest=found.highest,
        )
    return FoundRate(found.steepest, found.highest, found.suggested, plot, found.rises, found.falls)


def _refuse_unused(options: TrainOptions, reporter: Reporter) -> None:
    """Refuse options that mean another training, and report those that the search does not use."""
    names = ("resume", "devices", "hosts", "host_index")
    refuse_given(
        "A learning rate search is a short training of its own on one device",
        {name: getattr(options, name) for name in names},
    )
    if options.teachers:
        reporter.warning("Note: a learning rate search learns the labels only, so `teachers` has no effect.")
    if options.custom.callbacks:
        reporter.warning("Note: `callbacks` are not called in a learning rate search, which has no epochs.")
