"""What the commands print with: tables and progress on the terminal, JSON alone on standard output."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mien.cli.models import LoadedModel
    from mien.evaluation.evaluate import Evaluation


class Stopped(Exception):  # noqa: N818 - no error
    """Ctrl-C ended a command that has something to say of it."""


_WIDE = 120
"""Columns where there is no terminal to ask, as in a log file."""

out = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def silence_output() -> None:
    """Let go of a standard output whose reader has hung up, so that nothing more that is written there fails."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error that a function of (done, total) moves; silent when not on a terminal."""
    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def counts_table(splits: Mapping[str, Mapping[str, int]]) -> Table:
    """Pictures by class and split, with sums."""
    table = Table(title="Pictures by class and split", title_justify="left", show_footer=True)
    table.add_column("class", footer="all")
    for split, counts in splits.items():
        table.add_column(split, justify="right", footer=f"{sum(counts.values()):,}")
    for label in dict.fromkeys(label for counts in splits.values() for label in counts):
        table.add_row(label, *(f"{counts.get(label, 0):,}" for counts in splits.values()))
    return table


def print_evaluation(evaluation: Evaluation, model: LoadedModel) -> None:
    """The scores of an evaluation as two readable tables."""
    low, high = evaluation.accuracy_interval
    free = evaluation.duplicate_free
    rows = [
        ("accuracy", f"{evaluation.accuracy:.2%}   (95% interval {low:.2%} to {high:.2%})"),
        ("macro-F1", f"{evaluation.macro_f1:.4f}"),
        ("loss", f"{evaluation.loss:.4f}"),
        ("calibration error", f"{evaluation.ece:.4f}"),
    ]
    if free["accuracy"] is not None and free["n"] != evaluation.n:
        text = f"{free['accuracy']:.2%}   macro-F1 {free['macro_f1']:.4f}   ({free['n']:,} pictures without a copy)"
        rows.append(("duplicate-free", text))
    out.print(f"\n{model.name} on {evaluation.data}, {evaluation.split}: {evaluation.n:,} pictures")
    for name, text in rows:
        out.print(f"  {name:<18} {text}")
    table = Table()
    for name in ("class", "precision", "recall", "F1", "pictures"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for label, scores in evaluation.per_class.items():
        numbers = (f"{scores[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(label, *numbers, f"{scores['support']:,}")
    out.print(table)
