"""`mien evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.console import err, out, print_evaluation, print_json, progress
from mien.cli.models import open_model
from mien.cli.options import (  # noqa: TC001 - Typer reads them
    CacheOption,
    ClassNamesOption,
    LabelsOption,
    ModelLabelsOption,
    PixelScaleOption,
    VotesOption,
)
from mien.cli.run_data import find_data
from mien.errors import DataError
from mien.ownership import LIST, guard_of, guarding

if TYPE_CHECKING:
    from mien.cli.models import LoadedModel
    from mien.evaluation.evaluate import Evaluation


WRITTEN = (
    "evaluation.json", "confusion.png", "samples.png", "mistakes.png", "confident.png", "reliability.png", "report.html",
)  # fmt: skip
"""What an evaluation leaves in its folder."""

_REMEDY = "Name another folder with --out, or replace the files with --force."


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A .onnx, .keras or .h5 file, a run folder or a bundled name (default, tiny, small, large, "
            "ferplus, large-ferplus, small-2026-11).",
        ),
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="A FER2013 table (.csv, also packed), a folder of pictures, or 'synthetic[:N[:SEED]]' for drawn faces; "
            "for a run folder, by default what it was trained on.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="Training|PublicTest|PrivateTest",
            help="The split to judge, PrivateTest if not given, or the only one of data without splits; train, "
            "validation and test are other names of these.",
        ),
    ] = None,
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
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
    from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST
    from mien.evaluation.evaluate import evaluate as judge
    from mien.evaluation.split_names import find_split
    from mien.labels import FER2013, FUSED, find_taxonomy

    given = None if split is None else find_split(split)
    split = given or PRIVATE_TEST
    wanted = labels or _own_label_set(data)
    loaded = open_model(model, labels=model_labels, scale=pixel_scale, taxonomy=wanted, asks_labels=True)
    known = find_taxonomy(loaded.labels)
    folder = out_folder or (loaded.folder / split if loaded.folder else None)
    if folder:
        _require_replaceable(folder, force=force)
    taxonomy = FER2013.name if labels == FUSED else labels or (known.name if known else FER2013.name)
    dataset = find_data(loaded, data, taxonomy, votes, split, class_names=class_names, cache=cache)
    if given is None and dataset.sources is not None:  # faces for choosing, without splits
        split = PUBLIC_TEST
    with progress(f"Judging on {split}") as report:
        evaluation = judge(
            loaded.probabilities, dataset, labels=loaded.labels, split=split, model=str(loaded.path), flip_tta=tta,
            progress=report,
        )  # fmt: skip
    failed: OSError | None = None
    if folder:  # before anything is printed: whoever reads that may hang up
        try:
            write_evaluation(evaluation, loaded, folder, force=force)
        except OSError as error:  # the scores are worth telling all the same
            failed = error
    if json:
        print_json(evaluation.to_dict())
    else:
        print_evaluation(evaluation, loaded)
    if failed and out_folder:
        raise failed
    if failed:
        err.print(
            f"{folder} cannot be written ({failed.strerror or failed}), so there are no figures and no report; the "
            "scores are complete. Have them elsewhere with --out DIR."
        )
    elif folder:
        (err if json else out).print(f"Figures, report.html and evaluation.json are in {folder}")


def _own_label_set(data: str | None) -> str | None:
    """The label set to judge in where none is named: FER2013's own for its table, else the model's default answer.

    A table's labels are FER2013's, so the strict answer is judged by them; faces from elsewhere are labeled by what they
    show, which the fused answer names.
    """
    from mien.data.table_files import find_tables, is_fer2013
    from mien.labels import FER2013

    if data is None or data.partition(":")[0] == "synthetic":
        return FER2013.name
    place = Path(data)
    try:
        tables = find_tables(place) if place.is_dir() else [place]
        return FER2013.name if tables and all(map(is_fer2013, tables)) else None
    except (OSError, ValueError, DataError):
        return None  # whoever reads it says what is wrong


def write_sheets(evaluation: Evaluation, folder: Path, name: str) -> None:
    """Draw the sheets of sample predictions into a folder of ours, in place of those of an earlier evaluation."""
    from mien.evaluation.figures import plot_sheets

    guard = guard_of(folder / "mistakes.png")
    for sheet in ("mistakes.png", "confident.png"):  # of which there need not be one now
        if guard is None or guard.allows(folder / sheet):
            (folder / sheet).unlink(missing_ok=True)
    plot_sheets(evaluation, folder, name)


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
    except (OSError, ValueError, RecursionError):
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
    from mien.evaluation.figures import plot_confusion, plot_reliability
    from mien.evaluation.report import write_report
    from mien.files import write_text

    # First, for it says whose folder this is.
    write_text(folder / "evaluation.json", json.dumps(evaluation.to_dict(), indent=1) + "\n")
    title = f"{model.name} on {evaluation.split}"
    plot_confusion(evaluation.confusion, evaluation.labels, folder / "confusion.png", title)
    write_sheets(evaluation, folder, model.name)
    plot_reliability(
        reliability_bins(evaluation.probabilities, evaluation.true), folder / "reliability.png", title
    )
    history = None
    if model.folder and (model.folder / "last.keras").is_file():
        from mien.training.run_folder import read_history

        history = read_history(model.folder)
    write_report(evaluation, folder, history=history, card=asdict(model.card) if model.card else None)
