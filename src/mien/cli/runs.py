"""`mien runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.completion import choices
from mien.cli.console import out, print_json
from mien.cli.help_text import examples
from mien.cli.shared_options import JsonOption
from mien.errors import DataError

EXAMPLES = examples("mien runs", "mien runs experiments --sort accuracy", "mien runs --json")

_KEYS = {"time": None, "accuracy": "val_accuracy", "loss": "val_loss", "name": "run"}


_COLUMNS = (
    ("best_epoch", "d"), ("val_accuracy", ".2%"), ("val_macro_f1", ".4f"), ("val_loss", ".4f"), ("test_accuracy", ".2%"),
)  # fmt: skip


def runs(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", file_okay=False, help="Folder that contains run folders."),
    ] = Path("runs"),
    *,
    sort: Annotated[
        str,
        typer.Option(
            metavar="BY",
            autocompletion=choices("time", "accuracy", "loss", "name"),
            help="Sort by time (oldest first), accuracy (best first), loss (lowest first) or name.",
        ),
    ] = "time",
    json: JsonOption = False,
) -> None:
    """List the runs in a folder: data, recipe, best scores and time.

    The scores are those of the selected epoch on the validation split. The column test is the accuracy on PrivateTest,
    if mien evaluate was run on it.
    """
    from mien.workflows.list_runs import list_runs

    if sort not in _KEYS:
        raise DataError(f"Expected --sort to be one of {', '.join(_KEYS)}, got {sort[:80]!r}.")
    rows = list_runs(folder)
    if key := _KEYS[sort]:
        sign = -1 if sort == "accuracy" else 1
        rows.sort(key=lambda row: row[key] if sort == "name" else (row[key] is None, sign * (row[key] or 0)))
    if json:
        print_json({"folder": str(folder), "runs": rows})
        return
    if not rows:
        out.print(f"There is no run in {folder}. Train one with: mien train --data PATH")
        return
    _print_table(rows, folder)


def _print_table(rows: list[dict[str, Any]], folder: Path) -> None:
    from rich.table import Table

    table = Table()
    for name in ("run", "data", "recipe"):
        table.add_column(name, overflow="fold")
    for name in ("epochs", "best", "accuracy", "macro-F1", "loss", "test", "time"):
        table.add_column(name, justify="right")
    for row in rows:
        recipe = f"{row['recipe']}, seed {row['seed']}" + (f", from {row['start']}" if row["start"] else "")
        name = str(Path(row["run"]).relative_to(folder))
        scores = (_number(row[key], form) for key, form in _COLUMNS)
        table.add_row(
            name, str(row["data"]), recipe, f"{row['epochs']} of {row['of']}", *scores, _time(row["seconds"])
        )
    out.print(table)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
