"""Add trainings to the run log, one row each, whether good or bad.

usage: python benchmarks/log_run.py RUN... [--note TEXT] [--machine TEXT] [--log docs/results/runs.csv]

`--machine` names the machine that trained if it is not this one. A row with the same run folder name, recipe and seed
is replaced. A row contains PrivateTest scores only if `mien evaluate RUN --split PrivateTest` was run.
"""

from __future__ import annotations

import argparse
import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import describe_machine

COLUMNS = (
    "date", "run", "recipe", "seed", "changed_from_recipe", "network", "settings", "data", "epochs_done", "hours",
    "selected_epoch", "public_loss", "public_accuracy", "private_accuracy", "private_duplicate_free", "machine", "note",
)  # fmt: skip
_KEY = ("run", "recipe", "seed")


def row_of(run: Path, note: str, machine: str | None) -> dict[str, Any]:
    """Return the row of the log for a run folder."""
    from mien.training.builtin_recipes import RECIPES
    from mien.training.checkpoint import best_row
    from mien.training.recipe import Recipe

    state = json.loads((run / "state.json").read_text(encoding="utf-8"))
    recipe = Recipe.from_dict(state["recipe"])
    history = state["history"]
    best = best_row(history, recipe.select)
    if best is None:
        raise SystemExit(f"{run}: no epoch is complete.")
    private = run / "PrivateTest" / "evaluation.json"
    scores = json.loads(private.read_text(encoding="utf-8")) if private.exists() else None
    published = RECIPES.get(recipe.name)
    changed = (
        []
        if published is None
        else [n for n in recipe.differences(published) if n not in ("seed", "precision")]
    )
    here = describe_machine(())
    return {
        "date": datetime.fromtimestamp((run / "state.json").stat().st_mtime, UTC).date().isoformat(),
        "run": run.name,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "changed_from_recipe": "; ".join(f"{name}={getattr(recipe, name)}" for name in changed),
        "network": json.dumps(state["recipe"]["network"]),
        "settings": f"precision {recipe.precision}, joint {recipe.joint}, average {recipe.ema_momentum}",
        "data": f"{state['data']['source']}: {state['data']['training']} + {state['data']['validation']}",
        "epochs_done": f"{len(state['history'])} of {recipe.epochs}",
        "hours": f"{sum(row['seconds'] for row in state['history']) / 3600:.2f}",
        "selected_epoch": int(best["epoch"]),
        "public_loss": f"{best['val_loss']:.4f}",
        "public_accuracy": f"{best['val_accuracy']:.4f}",
        "private_accuracy": f"{scores['accuracy']:.4f}" if scores else "not read",
        "private_duplicate_free": f"{scores['duplicate_free']['accuracy']:.4f}" if scores else "not read",
        "machine": f"{machine or '{processor}, {cores} cores'.format(**here)}, {state['backend']}",
        "note": note,
    }


def main() -> None:
    """Read the run folders and write the log."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--note", default="")
    parser.add_argument("--machine")
    parser.add_argument("--log", type=Path, default=Path("docs/results/runs.csv"))
    options = parser.parse_args()
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    if options.log.exists():
        with options.log.open(newline="", encoding="utf-8") as file:
            rows = {tuple(str(row[name]) for name in _KEY): row for row in csv.DictReader(file)}
    for run in options.runs:
        row = row_of(run, options.note, options.machine)
        rows[tuple(str(row[name]) for name in _KEY)] = row
    with options.log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows.values())


if __name__ == "__main__":
    main()
