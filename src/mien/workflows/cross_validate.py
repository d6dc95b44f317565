"""K-fold cross-validation: one training per fold, each tested on the images of its fold.

    import mien

    done = mien.cross_validate("faces/", folds=5, start="small")
    print(done.mean["accuracy"], done.spread["accuracy"])

Folds are stratified by class and keep copies and groups together. A part of the other images is the validation split,
which selects the epoch; the images of the fold select nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, UNLABELED
from mien.data.division import divide, folds_of
from mien.data.inspection import without_copies
from mien.errors import DataError
from mien.html_table import html_table
from mien.training.keras_start import prepare_keras
from mien.wording import counted
from mien.workflows.cross_validation_files import require_replaceable, write_results
from mien.workflows.load_data import load_data, with_votes
from mien.workflows.notebook import default_reporter
from mien.workflows.options import TrainOptions, refuse_given
from mien.workflows.run_plan import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.training.run_config import RunConfig
    from mien.workflows.custom_folds import CustomFolds
    from mien.workflows.reporter import Reporter

VALIDATION_SHARE = 0.15
"""Share of the images outside a fold that form the validation split."""


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """The scores of a cross-validation.

    Args:
        folder: the folder of the runs, scores and predictions.
        classes: the class names.
        folds: `n`, `accuracy` and `macro_f1` for each fold, on its images.
        mean: the mean of `accuracy` and `macro_f1` over the folds.
        spread: their standard deviation over the folds (n - 1 in the denominator).
        probabilities: the prediction for each image by the run that was not trained on it, float (n, classes).
        true: class indices int64 (n,).
        rows: the row of each image in the data, int64 (n,).
        files: the path of each image, str (n,), where images are files.
        fold: the fold of each image, int64 (n,).
    """

    folder: Path
    classes: tuple[str, ...]
    folds: tuple[dict[str, float], ...]
    mean: dict[str, float]
    spread: dict[str, float]
    probabilities: NDArray[np.float64]
    true: NDArray[np.int64]
    rows: NDArray[np.int64]
    fold: NDArray[np.int64]
    files: NDArray[np.str_] | None = None

    def __repr__(self) -> str:
        return f"<CrossValidation {self.folder}: {self._scores()}>"

    def _repr_html_(self) -> str:
        rows = [
            (fold, f"{row['n']:,.0f}", f"{row['accuracy']:.2%}", f"{row['macro_f1']:.4f}")
            for fold, row in enumerate(self.folds, 1)
        ]
        title = f"Cross-validation in {self.folder}: {self._scores()}"
        return html_table(rows, ("fold", "images", "accuracy", "macro-F1"), title=title)

    def _scores(self) -> str:
        mean, spread = self.mean, self.spread
        return (
            f"{counted(len(self.folds), 'fold')}, {counted(len(self.true), 'image')}, accuracy {mean['accuracy']:.2%} ± "
            f"{spread['accuracy']:.2%}, macro-F1 {mean['macro_f1']:.4f} ± {spread['macro_f1']:.4f}"
        )


def cross_validate(
    data: Any,
    folds: int = 5,
    recipe: Any = None,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> CrossValidation:
    """Train and test on every fold of a data set.

    Args:
        data: the data, as for `mien.train`. PrivateTest of data with splits is not used.
        folds: number of folds, 2 to 100.
        recipe: the recipe, as for `mien.train`.
        out: the folder of the runs; by default `runs/NAME-kfoldN`.
        reporter: the reporter.
        **options: options as for `mien.train`, except `shares`, `devices`, `hosts` and `host_index`; `group` keeps a
            person or video in one fold. A custom `network` starts each fold with the same weights; `callbacks` are used
            in every fold, and those with a state that can be saved start each fold with their first one.

    Raises:
        DataError: If the data cannot be read, or a class has fewer images than there are folds.
        ModelError: If an option does not exist, is invalid or does not apply.
        MissingExtra: If Keras, its backend or a library of an option is not installed.
    """
    chosen = TrainOptions.of(recipe, out=out, **options)
    return run_cross_validation(data, chosen, folds, reporter or default_reporter())


def run_cross_validation(data: Any, options: TrainOptions, folds: int, reporter: Reporter) -> CrossValidation:
    """Cross-validate, as `mien train --kfold` does; finished folds are reused.

    Raises:
        DataError: If the data cannot be read, a class has fewer images than there are folds, or the folder contains a
            file of the user with the name of a result.
        ModelError: If an option is invalid or does not apply, or a folder of a fold holds another training.
    """
    from mien.training.backend import choose_backend
    from mien.workflows.custom_folds import CustomFolds
    from mien.workflows.fine_tune import fit_to_data

    if not 2 <= folds <= 100:
        raise DataError(f"Expected 2 to 100 folds, got {folds}.")
    _refuse_unused(options)
    choose_backend(options.backend)
    plan = make_plan(data, replace(options, resume=False))
    folder = options.out or plan.folder.with_name(f"{plan.folder.name}-kfold{folds}")
    require_replaceable(folder)
    reading = replace(plan.reading, shares=None, split_seed=None)  # the folds are the division
    dataset = load_data("synthetic" if data is None else data, reading, reporter)
    whole = _usable(with_votes(dataset, plan.config), reporter)
    prepare_keras(options.backend)
    custom = CustomFolds(options.custom, plan.config.recipe)
    numbers = folds_of(whole, folds, plan.reading.split_seed or 0)
    probabilities = np.zeros((len(whole), len(whole.label_set)))
    rows = []
    for number in range(folds):
        part = fold_data(whole, numbers == number, plan.reading.split_seed or 0)
        config = fit_to_data(plan.config, options, part, reporter)
        config = replace(config, path=f"{plan.config.path}, fold {number + 1}")
        reporter.message(f"Fold {number + 1} of {folds}")
        scores, given = _train_fold(part, config, folder / f"fold-{number + 1}", reporter, custom)
        probabilities[numbers == number] = given
        rows.append(scores)
    done = _summary(folder, whole, numbers, probabilities, rows)
    write_results(done)
    return done


def _refuse_unused(options: TrainOptions) -> None:
    """Refuse options of a training that do not apply to a cross-validation.

    Raises:
        ModelError: If one of them is given.
    """
    names = ("devices", "hosts", "host_index")
    refuse_given(
        "A cross-validation trains on one device of this host",
        {name: getattr(options, name) for name in names},
    )
    refuse_given("A cross-validation divides the data into folds", {"shares": options.data.shares})


def _usable(dataset: Dataset, reporter: Reporter) -> Dataset:
    """Return the images with labels, without those of PrivateTest of data with splits.

    Raises:
        DataError: If there are none.
    """
    kept = dataset.split != PRIVATE_TEST if dataset.divided else np.ones(len(dataset), np.bool_)
    unlabeled = kept & (dataset.labels == UNLABELED)
    if count := int(unlabeled.sum()):
        what = counted(count, "image without a label is", "images without a label are")
        reporter.warning(f"Note: {what} left out of the cross-validation.")
    kept &= ~unlabeled
    if not kept.any():
        raise DataError(
            f"{dataset.source}: expected images with labels outside of {PRIVATE_TEST} to divide into folds, found none. "
            "Check that the data have labels and a split for training."
        )
    return dataset if kept.all() else dataset.select(kept)


def fold_data(whole: Dataset, tested: NDArray[np.bool_], seed: int) -> Dataset:
    """Return the data of a fold: its images are PrivateTest, a part of the others PublicTest, the rest Training."""
    rest = divide(whole.select(~tested), (1 - VALIDATION_SHARE, VALIDATION_SHARE, 0.0), seed)
    split = np.full(len(whole), PRIVATE_TEST)
    split[~tested] = rest.split
    return replace(whole, split=split, divided=True)


def _train_fold(
    part: Dataset, config: RunConfig, folder: Path, reporter: Reporter, custom: CustomFolds
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Train a fold and return its scores and the predictions for its images."""
    import keras

    from mien.evaluation.scoring import evaluate as score
    from mien.training.backend import without_retracing_warnings
    from mien.training.run_files import LAST, is_whole
    from mien.training.run_folder import load_best
    from mien.workflows.run_plan import TrainingInterrupted
    from mien.workflows.train_model import RunTrainer

    keras.utils.clear_session()
    begun = (folder / LAST).exists()
    parts = custom.begin(folder if begun else None)
    if is_whole(folder):
        _require_same_training(folder, part, replace(config, recipe=parts.applied_to(config.recipe)))
    else:
        for text in parts.inexact_parts() if begun else ():
            reporter.warning(text)
        run = RunTrainer(reporter).train(part, config, folder, begun, parts)
        if run.interrupted:
            raise TrainingInterrupted.in_part(folder.name)
    best = load_best(folder)
    with without_retracing_warnings():
        evaluation = score(
            best.probabilities, part, class_names=best.labels, split=PRIVATE_TEST, model=folder.name
        )
    scores = {"n": evaluation.n, "accuracy": evaluation.accuracy, "macro_f1": evaluation.macro_f1}
    return scores, evaluation.probabilities


def _require_same_training(folder: Path, part: Dataset, config: RunConfig) -> None:
    """Refuse to reuse a finished fold that was trained on other data or with other settings.

    Raises:
        ModelError: If it was.
    """
    from mien.training.resume import fingerprint, open_state
    from mien.training.run_config import read_config, require_same_start
    from mien.workflows.open_teachers import open_teachers

    if begun := read_config(folder):
        require_same_start(folder, begun.start, config.start)
    used = without_copies(part) if config.recipe.drop_copies else part
    teachers = tuple(open_teachers(config, part))
    data = fingerprint(used.subset(TRAINING), used.subset(PUBLIC_TEST), teachers)
    open_state(folder, config.recipe, data, resume=True)


def _summary(
    folder: Path,
    whole: Dataset,
    numbers: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    rows: list[dict[str, float]],
) -> CrossValidation:
    columns = {name: np.array([row[name] for row in rows]) for name in ("accuracy", "macro_f1")}
    return CrossValidation(
        folder=folder,
        classes=whole.label_set.classes,
        folds=tuple(rows),
        mean={name: float(values.mean()) for name, values in columns.items()},
        spread={name: float(values.std(ddof=1)) for name, values in columns.items()},
        probabilities=probabilities,
        true=whole.labels,
        rows=whole.rows,
        fold=numbers,
        files=whole.files,
    )
