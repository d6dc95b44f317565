"""Finish a training: calibrate the best network, evaluate it on PublicTest, write models, figures and scores."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.installation import install_command
from mien.labels import CUSTOM
from mien.training.network_specs import Custom
from mien.wording import counted
from mien.workflows.evaluate_model import card_scores
from mien.workflows.evaluation_files import write_sheets
from mien.workflows.loaded_model import LoadedModel

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.evaluation.cross_validation import TemperatureFit
    from mien.evaluation.evaluation import Evaluation
    from mien.training.keras_io import KerasClassifier
    from mien.training.trainer import Run
    from mien.workflows.reporter import Reporter


def finish_run(run: Run, dataset: Dataset, reporter: Reporter) -> Evaluation:
    """Calibrate and evaluate the best network on PublicTest; write models, figures and scores to the run folder."""
    from mien.evaluation.figures import plot_confusion, plot_curves
    from mien.files import write_text
    from mien.training.run_files import BEST, EVALUATION
    from mien.training.run_folder import load_best

    (run.folder / EVALUATION).unlink(missing_ok=True)  # written last: it marks the run as complete
    best = load_best(run.folder)
    assert best.card is not None  # noqa: S101 - every network that is trained here has one
    for label_set in reversed(best.card.label_sets):  # the main label set last, so that it comes first
        best, evaluation = _calibrate(best.with_label_set(label_set), dataset, run.folder.name, reporter)
    _write_models(run, best, dataset, reporter)
    plot_curves(run.history, run.folder / "curves.png", select=run.recipe.select)
    plot_confusion(
        evaluation.confusion, evaluation.labels, run.folder / "confusion.png", "Confusion on PublicTest"
    )
    write_sheets(evaluation, run.folder, run.folder.name)
    write_text(run.folder / EVALUATION, json.dumps(evaluation.to_dict(), indent=1) + "\n")
    for note in evaluation.interval_notes():
        reporter.warning(f"Note: {note}")
    reporter.evaluation(
        evaluation,
        LoadedModel(run.folder.name, run.folder / BEST, best.labels, best.probabilities, best.card),
    )
    return evaluation


def _write_models(run: Run, best: KerasClassifier, dataset: Dataset, reporter: Reporter) -> None:
    """Write the `.h5`, ONNX and release files of a run."""
    from mien.training.onnx_export import keras_runs_on_tensorflow
    from mien.training.run_files import RELEASE
    from mien.training.run_folder import write_models

    assert best.card is not None  # noqa: S101 - every network that is trained here has one
    try:
        with reporter.progress("Writing facial_emotions_model.h5 and model.onnx"):
            converted = write_models(run.folder, best.network, best.card)
    except ModelError as error:
        if not isinstance(run.recipe.network, Custom):
            raise
        where = (
            ""
            if keras_runs_on_tensorflow()
            else (
                " It runs on TensorFlow in another process, which cannot load custom layers: train with TensorFlow."
            )
        )
        reporter.warning(f"There is no model.onnx: {str(error)[:300]}{where} The Keras files are complete.")
        return
    if converted and run.recipe.release:
        _write_release(best, dataset, run.folder / RELEASE, reporter)
    if not converted:
        reporter.warning(without_onnx(run.folder, release=run.recipe.release))


def without_onnx(folder: Path, *, release: bool) -> str:
    """Return the warning that there is no TensorFlow, so that no ONNX file was written.

    Args:
        folder: the run folder.
        release: whether the recipe also writes `release.onnx`, which only a training does.
    """
    then = f"export {folder} with `format=onnx`"
    if release:
        then = f"resume the training with `resume=True` `out={folder}`, which writes it and release.onnx"
    return (
        "There is no model.onnx: its conversion needs TensorFlow, which may be installed beside another backend: "
        f"{install_command('train-cpu')}. Then {then}."
    )


def _write_release(best: KerasClassifier, dataset: Dataset, path: Path, reporter: Reporter) -> None:
    """Write `release.onnx`, with a message for each label set."""
    from mien.evaluation.cross_validation import FEW
    from mien.workflows.release import write_release

    assert best.card is not None  # noqa: S101 - every network that is trained here has one
    with reporter.progress(f"Writing {path.name}"):
        report = write_release(best.network, best.card, dataset, path)
    few = ", too few to trust them" if report and next(iter(report.values()))["n"] < FEW else ""
    reporter.message(
        f"{path.name}, {path.stat().st_size / 1e6:.2f} MB, int8, temperatures fitted on PublicTest{few}:"
    )
    for label_set, row in report.items():
        before = f", in float32 {row['float32']:.2%}" if "float32" in row else ", against FER2013's labels"
        reporter.message(f"  {label_set}: {row['int8']:.2%} there{before}")


def _calibrate(
    classifier: KerasClassifier, dataset: Dataset, name: str, reporter: Reporter
) -> tuple[KerasClassifier, Evaluation]:
    """Return the classifier with a temperature and scores from PublicTest in its card, and these scores."""
    from mien.data.ferplus import as_ferplus
    from mien.evaluation.cross_validation import cross_validate_temperature
    from mien.evaluation.scoring import evaluate

    assert classifier.card is not None  # noqa: S101 - every network that is trained here has one
    card = replace(classifier.card, temperature=1.0)  # fitted again at each end of a training
    classifier = replace(classifier, card=card)
    images = dataset if card.label_set == dataset.label_set.name else as_ferplus(dataset)

    def score(model: KerasClassifier) -> Evaluation:
        with reporter.progress(f"Evaluating on PublicTest{_of(card.label_set)}") as advance:
            return evaluate(
                model.probabilities,
                images,
                class_names=model.labels,
                split="PublicTest",
                model=name,
                progress=advance,
            )

    raw = score(classifier)
    fit = cross_validate_temperature(raw.probabilities, raw.true, raw.groups)
    _report_temperature(fit, card.label_set, reporter)
    card = replace(card, temperature=fit.temperature)
    calibrated = score(replace(classifier, card=card))
    measured = card_scores(calibrated)
    measured["loss_cross_validated"], measured["ece_cross_validated"] = fit.loss, fit.ece
    scores = {**card.scores, "PublicTest (selected on)": measured}
    return replace(classifier, card=replace(card, scores=scores)), calibrated


def _report_temperature(fit: TemperatureFit, label_set: str, reporter: Reporter) -> None:
    """Report a temperature: the images it was fitted on, cross-validated scores, and whether it is reliable."""
    if fit.at_bound:
        reporter.message(
            f"Warning: the search for the temperature{_of(label_set)} ended at a bound ({fit.temperature:g} is used): "
            f"on the {counted(fit.n, 'image')} of PublicTest the network is right about all, or no better than chance. "
            "Do not rely on its probabilities."
        )
        return
    validated = ""
    if fit.loss is not None and fit.ece is not None:
        validated = f"; by cross-validation loss {fit.loss:.4f}, calibration error {fit.ece:.4f}"
    few = ", too few to trust it" if fit.few else ""
    reporter.message(
        f"Temperature {fit.temperature:.3f}{_of(label_set)}, fitted on the {counted(fit.n, 'image')} of PublicTest{few}"
        f"{validated}. The loss and calibration error below are measured on the same images."
    )


def _of(label_set: str) -> str:
    """Return ` for LABEL_SET` for a message; empty for custom classes."""
    return "" if label_set == CUSTOM else f" for {label_set}"
