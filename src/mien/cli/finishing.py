"""What `mien train` does once the training has ended: calibrate, judge, write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.cli.models import LoadedModel
from mien.cli.screen import out, print_evaluation, progress
from mien.installation import install_command

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.evaluation.evaluate import Evaluation
    from mien.training.saving import KerasClassifier
    from mien.training.trainer import Run


def finish_run(run: Run, dataset: Dataset) -> Evaluation:
    """Calibrate and judge the best network on PublicTest; write models, figures and scores into the run folder."""
    import json

    from mien.evaluation.figures import choose_samples, plot_confusion, plot_curves, plot_samples
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
    chosen = choose_samples(evaluation, 12)
    plot_samples(
        evaluation.images[chosen], evaluation.true[chosen], evaluation.probabilities[chosen], evaluation.labels,
        run.folder / "samples.png",
    )  # fmt: skip
    write_text(run.folder / EVALUATION, json.dumps(evaluation.to_dict(), indent=1) + "\n")
    print_evaluation(
        evaluation,
        LoadedModel(run.folder.name, run.folder / BEST, best.labels, best.probabilities, best.card),
    )
    return evaluation


def _write_release(best: KerasClassifier, dataset: Dataset, path: Path) -> None:
    """The file to be shipped, and a line on it for each label set."""
    from mien.cli.releasing import write_release

    assert best.card is not None  # noqa: S101 - every network that is trained here has one
    with progress(f"Writing {path.name}"):
        told = write_release(best.network, best.card, dataset, path)
    out.print(f"{path.name}, {path.stat().st_size / 1e6:.2f} MB, int8, biases fitted on PublicTest:")
    for taxonomy, row in told.items():
        apart = row["cross_validated"]
        validated = f", {apart:.2%} by cross-validation" if apart is not None else ""
        out.print(
            f"  {taxonomy}: {row['int8_with_biases']:.2%} there{validated}; without biases {row['int8']:.2%}, "
            f"in float32 {row['float32']:.2%}"
        )


def _calibrate(
    classifier: KerasClassifier, dataset: Dataset, name: str
) -> tuple[KerasClassifier, Evaluation]:
    """The classifier with a temperature fitted on PublicTest and its scores there in its card, and those scores."""
    from dataclasses import replace

    from mien.data.ferplus import as_ferplus
    from mien.evaluation.calibration import fit_temperature
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
    card = replace(card, temperature=fit_temperature(raw.probabilities, raw.true))
    calibrated = judge(replace(classifier, card=card))
    scores = {**card.scores, "PublicTest (selected on)": card_scores(calibrated)}
    return replace(classifier, card=replace(card, scores=scores)), calibrated


def card_scores(evaluation: Evaluation) -> dict[str, Any]:
    """What a model's card keeps of its scores on a split."""
    scores = evaluation.to_dict()
    return {name: scores[name] for name in ("n", "accuracy", "accuracy_interval", "macro_f1", "loss", "ece")}
