"""What `mien train` does once the training has ended: calibrate, judge, write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.cli.console import out, print_evaluation, progress
from mien.cli.evaluate import write_sheets
from mien.cli.models import LoadedModel
from mien.installation import install_command

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.evaluation.cross_validation import TemperatureFit
    from mien.evaluation.evaluate import Evaluation
    from mien.training.keras_io import KerasClassifier
    from mien.training.trainer import Run


def finish_run(run: Run, dataset: Dataset) -> Evaluation:
    """Calibrate and judge the best network on PublicTest; write models, figures and scores into the run folder."""
    import json

    from mien.evaluation.figures import plot_confusion, plot_curves
    from mien.files import write_text
    from mien.training.run_folder import BEST, EVALUATION, RELEASE, load_best, write_models

    (run.folder / EVALUATION).unlink(missing_ok=True)  # written last, it says that all is
    best = load_best(run.folder)
    assert best.card is not None  # noqa: S101 - every network that is trained here has one
    for taxonomy in reversed(best.card.taxonomies):  # its own last, so that this one stays in front
        best, evaluation = _calibrate(best.answering_in(taxonomy), dataset, run.folder.name)
    assert best.card is not None  # noqa: S101
    with progress("Writing facial_emotions_model.h5 and model.onnx"):
        converted = write_models(run.folder, best.network, best.card)
    if not converted:
        released = (
            f", and mien train --resume --out {run.folder} the {RELEASE} too" if run.recipe.release else ""
        )
        out.print(
            "There is no model.onnx: its conversion needs TensorFlow, which may be installed beside another back end: "
            f"{install_command('train-cpu')}. Then mien export {run.folder} --format onnx makes it{released}."
        )
    elif run.recipe.release:
        _write_release(best, dataset, run.folder / RELEASE)
    plot_curves(run.history, run.folder / "curves.png", select=run.recipe.select)
    plot_confusion(
        evaluation.confusion, evaluation.labels, run.folder / "confusion.png", "Confusion on PublicTest"
    )
    write_sheets(evaluation, run.folder, run.folder.name)
    write_text(run.folder / EVALUATION, json.dumps(evaluation.to_dict(), indent=1) + "\n")
    print_evaluation(
        evaluation,
        LoadedModel(run.folder.name, run.folder / BEST, best.labels, best.probabilities, best.card),
    )
    return evaluation


def _write_release(best: KerasClassifier, dataset: Dataset, path: Path) -> None:
    """The file to be shipped, and a line on it for each label set."""
    from mien.cli.releasing import write_release
    from mien.evaluation.cross_validation import FEW

    assert best.card is not None  # noqa: S101 - every network that is trained here has one
    with progress(f"Writing {path.name}"):
        told = write_release(best.network, best.card, dataset, path)
    few = ", too few to trust them" if told and next(iter(told.values()))["n"] < FEW else ""
    out.print(
        f"{path.name}, {path.stat().st_size / 1e6:.2f} MB, int8, temperatures fitted on PublicTest{few}:"
    )
    for taxonomy, row in told.items():
        before = f", in float32 {row['float32']:.2%}" if "float32" in row else ", against FER2013's labels"
        out.print(f"  {taxonomy}: {row['int8']:.2%} there{before}")


def _calibrate(
    classifier: KerasClassifier, dataset: Dataset, name: str
) -> tuple[KerasClassifier, Evaluation]:
    """The classifier with a temperature fitted on PublicTest and its scores there in its card, and those scores."""
    from dataclasses import replace

    from mien.data.ferplus import as_ferplus
    from mien.evaluation.cross_validation import judge_temperature
    from mien.evaluation.evaluate import evaluate

    assert classifier.card is not None  # noqa: S101 - every network that is trained here has one
    card = replace(classifier.card, temperature=1.0)  # fitted afresh, however often a training ends
    classifier = replace(classifier, card=card)
    judged = dataset if card.taxonomy == dataset.taxonomy.name else as_ferplus(dataset)

    def judge(model: KerasClassifier) -> Evaluation:
        with progress(f"Judging on PublicTest ({card.taxonomy})") as report:
            return evaluate(
                model.probabilities,
                judged,
                labels=model.labels,
                split="PublicTest",
                model=name,
                progress=report,
            )

    raw = judge(classifier)
    fit = judge_temperature(raw.probabilities, raw.true)
    say_temperature(fit, card.taxonomy)
    card = replace(card, temperature=fit.temperature)
    calibrated = judge(replace(classifier, card=card))
    measured = card_scores(calibrated)
    measured["loss_cross_validated"], measured["ece_cross_validated"] = fit.loss, fit.ece
    scores = {**card.scores, "PublicTest (selected on)": measured}
    return replace(classifier, card=replace(card, scores=scores)), calibrated


def say_temperature(fit: TemperatureFit, taxonomy: str) -> None:
    """A line on a temperature: what it was fitted on, what it is worth on other pictures, and whether to trust it."""
    if fit.at_bound:
        out.print(
            f"Warning: the search for a temperature for {taxonomy} ended at a bound ({fit.temperature:g} is used): on "
            f"the {fit.n:,} pictures of PublicTest the network is right about all, or no better than chance. Do not "
            "take its probabilities at their word."
        )
        return
    apart = ""
    if fit.loss is not None and fit.ece is not None:
        apart = f"; by cross-validation loss {fit.loss:.4f}, calibration error {fit.ece:.4f}"
    few = ", too few to trust it" if fit.few else ""
    out.print(
        f"Temperature {fit.temperature:.3f} for {taxonomy}, fitted on the {fit.n:,} pictures of PublicTest{few}{apart}. "
        "The loss and calibration error below are on the same pictures."
    )


def card_scores(evaluation: Evaluation) -> dict[str, Any]:
    """What a model's card keeps of its scores on a split."""
    scores = evaluation.to_dict()
    return {name: scores[name] for name in ("n", "accuracy", "accuracy_interval", "macro_f1", "loss", "ece")}
