"""List the trainings in a folder as rows of a table, as `mien runs` does.

import mien
import pandas as pd

pd.DataFrame(mien.list_runs("runs"))[["run", "epochs", "val_accuracy"]]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mien.errors import DataError
from mien.training.checkpoint import TrainingState, best_row


def list_runs(folder: str | Path = "runs") -> list[dict[str, Any]]:
    """Return the runs in a folder and its subfolders, the newest last. Keras is not needed.

    Args:
        folder: the folder.

    Returns:
        For each `run`, `data`, `label_set`, `classes`, `recipe`, `start`, `seed`, `epochs` (done), `of` (at most),
        `best_epoch`, `val_accuracy`, `val_loss` and `val_macro_f1` of the epoch that is kept, `test_accuracy` if it was
        evaluated on PrivateTest, `seconds` of its epochs, and `finished`: whether no epoch is left and all files are
        written. Unknown values are `None`.

    Raises:
        DataError: If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise DataError(
            f"{folder}: expected a folder of runs, found none. Train one with: mien train --data PATH"
        )
    rows = []
    for recipe in sorted(Path(folder).rglob("recipe.json"), key=lambda path: path.stat().st_mtime):
        row = read_row(recipe.parent)
        if row is not None:
            rows.append(row)
    return rows


def read_row(folder: Path) -> dict[str, Any] | None:
    """Return the row of a run folder; `None` if it is not a run folder."""
    recipe = _read(folder / "recipe.json")
    if recipe is None or not isinstance(recipe.get("data"), dict) or "epochs" not in recipe:
        return None
    state = _read(folder / "state.json") or {}
    card = _read(folder / "card.json") or {}
    test = _read(folder / "PrivateTest" / "evaluation.json") or {}
    if test.get("split") != "PrivateTest":  # older versions wrote the scores of other data there
        test = {}
    rows = state.get("history", [])
    history = [row for row in rows if isinstance(row, dict) and row.keys() >= {"epoch", "val_loss"}]
    best = best_row(history, recipe.get("select", "loss")) or {}
    scores = _read(folder / "evaluation.json") or {}  # of the epoch that is kept, on the validation split
    data = recipe["data"]
    return {
        "run": str(folder),
        "data": data.get("path"),
        "label_set": data.get("labels"),
        "classes": len(card["labels"]) if isinstance(card.get("labels"), list) else None,
        "recipe": recipe.get("name"),
        "start": data.get("start"),
        "seed": recipe.get("seed"),
        "epochs": len(history),
        "of": recipe.get("epochs"),
        "best_epoch": int(best["epoch"]) if best else None,
        "val_accuracy": best.get("val_accuracy"),
        "val_loss": best.get("val_loss"),
        "val_macro_f1": best.get("val_macro_f1", scores.get("macro_f1")),
        "test_accuracy": test.get("accuracy"),
        "seconds": sum(float(row.get("seconds", 0)) for row in history),
        "finished": bool(scores) and _has_ended(state, recipe),
    }


def _has_ended(state: dict[str, Any], recipe: dict[str, Any]) -> bool:
    """Return whether no epoch is left: a training that Ctrl-C stopped has scores as well, and may get other epochs."""
    try:
        current = {**state, "recipe": {**state["recipe"], "epochs": recipe["epochs"]}} if state else {}
        return TrainingState(**current).finished if state else True
    except (TypeError, KeyError, AttributeError):  # a damaged file
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
