"""Write the results of a cross-validation: scores as JSON, predictions for the images of each fold as CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from mien.ownership import LIST, guarding

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mien.ownership import Guard
    from mien.workflows.cross_validate import CrossValidation

SCORES = "cross_validation.json"
PREDICTIONS = "out_of_fold.csv"

_REMEDY = "Move it to another folder, or choose another folder with `out`."


def require_replaceable(folder: Path) -> None:
    """Raise an error before the first fold if the folder contains results that mien did not write.

    Raises:
        DataError: If it does.
    """
    with _guarded(folder) as guard:
        for name in (SCORES, PREDICTIONS):
            guard.check(folder / name)


def _guarded(folder: Path) -> AbstractContextManager[Guard]:
    """Protect the user's files in a folder; results of older versions, without a list of files, are replaced."""
    return guarding(_REMEDY, folder=folder, force=not (folder / LIST).exists() and _is_earlier(folder))


def _is_earlier(folder: Path) -> bool:
    try:
        document = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"classes", "folds", "mean", "out_of_fold"} <= document.keys()


def write_results(done: CrossValidation) -> None:
    """Write the scores as JSON and the predictions as CSV.

    Raises:
        DataError: If there is a file of one of these names that mien did not write.
    """
    with _guarded(done.folder):
        _write(done)


def _write(done: CrossValidation) -> None:
    from mien.evaluation.metrics import accuracy, confusion_matrix, macro_f1
    from mien.files import write_text

    confusion = confusion_matrix(done.true, done.probabilities.argmax(axis=1), len(done.classes))
    document = {
        "classes": list(done.classes), "folds": list(done.folds), "mean": done.mean, "spread": done.spread,
        "out_of_fold": {
            "n": len(done.true), "accuracy": accuracy(confusion), "macro_f1": macro_f1(confusion),
            "confusion": confusion.tolist(),
        },
    }  # fmt: skip
    write_text(done.folder / SCORES, json.dumps(document, indent=1) + "\n")
    write_text(done.folder / PREDICTIONS, _predictions(done))


def _predictions(done: CrossValidation) -> str:
    """Return the predictions as CSV. Bytes of a name that are not valid UTF-8 are written as escape sequences."""
    table = io.StringIO()
    plain = csv.writer(table, lineterminator="\n")
    # Python 3.11 does not quote a lone carriage return, which readers interpret as the end of the row.
    quoting = csv.writer(table, lineterminator="\n", quoting=csv.QUOTE_ALL)
    files = [""] * len(done.true) if done.files is None else done.files.tolist()
    rows: list[list[Any]] = [["row", "path", "fold", "label", "predicted", *done.classes]]
    for row, file, fold, label, given in zip(
        done.rows, files, done.fold, done.true, done.probabilities, strict=True
    ):
        names = (done.classes[label], done.classes[int(given.argmax())])
        rows.append([row, file, fold + 1, *names, *(f"{value:.6f}" for value in given)])
    for cells in rows:
        has_return = any("\r" in cell for cell in cells if isinstance(cell, str))
        (quoting if has_return else plain).writerow(cells)
    return table.getvalue().encode(errors="backslashreplace").decode()
