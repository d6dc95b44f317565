"""The files of an evaluation: `evaluation.json`, figures and a report in a folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.files import path_on_disk
from mien.ownership import LIST, guard_of, guarding
from mien.quoting import quoted_path
from mien.training.run_files import has_state, read_run_state
from mien.workflows.list_runs import read_row

if TYPE_CHECKING:
    from mien.evaluation.evaluation import Evaluation
    from mien.workflows.loaded_model import LoadedModel

WRITTEN = (
    "evaluation.json", "confusion.png", "samples.png", "mistakes.png", "confident.png", "reliability.png", "report.html",
)  # fmt: skip
"""The files of an evaluation."""

_REMEDY = "Choose another folder with `out`, or replace the files with `force=True`."


def write_sheets(evaluation: Evaluation, folder: Path, name: str) -> None:
    """Write the sheets of sample predictions, and remove those of an earlier evaluation."""
    from mien.evaluation.figures import plot_sheets

    guard = guard_of(folder / "mistakes.png")
    for sheet in ("mistakes.png", "confident.png"):  # a sheet may be empty now
        if guard is None or guard.allows(folder / sheet):
            (folder / sheet).unlink(missing_ok=True)
    plot_sheets(evaluation, folder, name)


def folder_for(folder: Path, source: str) -> Path:
    """Return a folder that contains no evaluation on other data: the given one, or with `-2`, `-3` and so on.

    Args:
        folder: the preferred folder.
        source: the path of the data that are to be evaluated.
    """

    def is_free(folder: Path) -> bool:
        known = _document(folder).get("data")
        return not known or Path(str(known)).absolute() == Path(source).absolute()

    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(filter(is_free, chain([folder], numbered)))


def require_folder(folder: str | Path) -> None:
    """Raise an error before the evaluation if the output folder is a URL or a file.

    Raises:
        DataError: If it is one of these.
    """
    place = path_on_disk(folder)
    if place.exists() and not place.is_dir():
        raise DataError(
            f"{quoted_path(str(folder))}: expected a folder, found a file. Choose another with `out`."
        )


def require_replaceable(folder: Path, *, force: bool) -> None:
    """Raise an error before the evaluation if the folder contains files of these names that mien did not write.

    Those of a training in its run folder are not replaced either.

    Raises:
        DataError: If there is one, and `force` is not set.
    """
    if not force and read_row(folder) is not None:
        raise DataError(
            f"{quoted_path(str(folder))}: expected a folder for an evaluation, got a run folder, whose own scores and "
            f"figures would be replaced. {_REMEDY}"
        )
    with guarding(_REMEDY, folder=folder, force=force or _is_earlier(folder)) as guard:
        for name in WRITTEN:
            guard.check(folder / name)


def _is_earlier(folder: Path) -> bool:
    """Return whether a folder contains an evaluation of an older version, without a list of files."""
    if (folder / LIST).exists():
        return False
    return {"model", "split", "accuracy", "confusion"} <= _document(folder).keys()


def _document(folder: Path) -> dict[str, Any]:
    """Return the evaluation in a folder; empty if there is none."""
    try:
        document = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def write_evaluation(
    evaluation: Evaluation, model: LoadedModel, folder: Path, *, force: bool = False
) -> None:
    """Write `evaluation.json`, the figures and the report to a folder.

    Raises:
        DataError: If there is a file of one of these names that mien did not write, and `force` is not set.
    """
    with guarding(_REMEDY, folder=folder, force=force or _is_earlier(folder)):
        _write(evaluation, model, folder)


def _write(evaluation: Evaluation, model: LoadedModel, folder: Path) -> None:
    from mien.evaluation.calibration import reliability_bins
    from mien.evaluation.figures import plot_confusion, plot_reliability
    from mien.evaluation.report import write_report
    from mien.files import write_text

    # First, because it identifies the folder.
    write_text(folder / "evaluation.json", json.dumps(evaluation.to_dict(), indent=1) + "\n")
    title = f"{model.name} on {evaluation.split}"
    plot_confusion(evaluation.confusion, evaluation.labels, folder / "confusion.png", title)
    write_sheets(evaluation, folder, model.name)
    plot_reliability(
        reliability_bins(evaluation.probabilities, evaluation.true), folder / "reliability.png", title
    )
    training: dict[str, Any] = {}
    if model.folder and has_state(model.folder):
        state = read_run_state(model.folder)
        training = {"history": state.history, "select": state.select}
    write_report(evaluation, folder, card=asdict(model.card) if model.card else None, **training)
