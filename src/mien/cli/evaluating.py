"""`mien evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.models import open_model
from mien.cli.options import (
    CacheOption,
    DataOption,
    LabelsOption,
    ModelLabelsOption,
    PixelScaleOption,
    VotesOption,
    load_data,
)
from mien.cli.screen import err, out, print_evaluation, print_json, progress
from mien.ownership import LIST, guarding

if TYPE_CHECKING:
    from mien.cli.models import LoadedModel
    from mien.evaluation.evaluate import Evaluation


WRITTEN = ("confusion.png", "samples.png", "reliability.png", "report.html", "evaluation.json")
"""What an evaluation leaves in its folder."""

_REMEDY = "Name another folder with --out, or replace the files with --force."


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A .onnx, .keras or .h5 file, a run folder or a bundled name (default, small, ferplus, large, "
            "large-ferplus).",
        ),
    ],
    *,
    data: DataOption,
    split: Annotated[
        str, typer.Option(metavar="Training|PublicTest|PrivateTest", help="The split to judge.")
    ] = "PrivateTest",
    labels: LabelsOption = None,
    votes: VotesOption = None,
    model_labels: ModelLabelsOption = None,
    pixel_scale: PixelScaleOption = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average each picture with its mirror image.")] = False,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", file_okay=False, help="Where figures, report and evaluation.json go."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files in the folder that mien did not write.")
    ] = False,
    cache: CacheOption = True,
) -> None:
    """Judge a model on one split: accuracy, loss, F1, confusion, interval, and the score without duplicates.

    A run folder's figures go into a folder inside it, named for the split; a file's only where --out says.
    """
    from mien.evaluation.evaluate import evaluate as judge
    from mien.evaluation.evaluate import find_split
    from mien.labels import find_taxonomy

    split = find_split(split)
    loaded = open_model(model, labels=model_labels, scale=pixel_scale, taxonomy=labels, asks_labels=True)
    known = find_taxonomy(loaded.labels)
    folder = out_folder or (loaded.folder / split if loaded.folder else None)
    if folder:
        _require_replaceable(folder, force=force)
    taxonomy = labels or (known.name if known else "fer2013")
    dataset = load_data(data, taxonomy, votes, cache=cache)
    with progress(f"Judging on {split}") as report:
        evaluation = judge(
            loaded.probabilities, dataset, labels=loaded.labels, split=split, model=str(loaded.path), flip_tta=tta,
            progress=report,
        )  # fmt: skip
    if folder:  # before anything is printed: whoever reads that may hang up
        write_evaluation(evaluation, loaded, folder, force=force)
    if json:
        print_json(evaluation.to_dict())
    else:
        print_evaluation(evaluation, loaded)
    if folder:
        (err if json else out).print(f"Figures, report.html and evaluation.json are in {folder}")


def _require_replaceable(folder: Path, *, force: bool) -> None:
    """Refuse, before the work, to write into a folder where files of the same names are that mien did not write.

    Raises:
        DataError: there is one, and `force` is not set.
    """
    with guarding(_REMEDY, folder=folder, force=force or _is_earlier(folder)) as guard:
        for name in WRITTEN:
            guard.check(folder / name)


def _is_earlier(folder: Path) -> bool:
    """Whether a folder holds an evaluation from before there were lists of files."""
    import json

    if (folder / LIST).exists():
        return False
    try:
        document = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and {"model", "split", "accuracy", "confusion"} <= document.keys()


def write_evaluation(
    evaluation: Evaluation, model: LoadedModel, folder: Path, *, force: bool = False
) -> None:
    """Write `evaluation.json`, the figures and the report into a folder.

    Raises:
        DataError: there is a file of one of these names that mien did not write, and `force` is not set.
    """
    with guarding(_REMEDY, folder=folder, force=force or _is_earlier(folder)):
        _write(evaluation, model, folder)


def _write(evaluation: Evaluation, model: LoadedModel, folder: Path) -> None:
    import json
    from dataclasses import asdict

    from mien.evaluation.calibration import reliability_bins
    from mien.evaluation.figures import choose_samples, plot_confusion, plot_reliability, plot_samples
    from mien.evaluation.report import write_report
    from mien.files import write_text

    title = f"{model.name} on {evaluation.split}"
    plot_confusion(evaluation.confusion, evaluation.labels, folder / "confusion.png", title)
    chosen = choose_samples(evaluation, 12)
    plot_samples(
        evaluation.images[chosen], evaluation.true[chosen], evaluation.probabilities[chosen], evaluation.labels,
        folder / "samples.png",
    )  # fmt: skip
    plot_reliability(
        reliability_bins(evaluation.probabilities, evaluation.true), folder / "reliability.png", title
    )
    history = None
    if model.folder:
        from mien.training.run_folder import read_history

        history = read_history(model.folder)
    write_report(evaluation, folder, history=history, card=asdict(model.card) if model.card else None)
    write_text(folder / "evaluation.json", json.dumps(evaluation.to_dict(), indent=1) + "\n")
