"""Report workflows on the console: messages on standard output, warnings and progress on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mien.cli.console import counts_table, err, out, print_evaluation, progress
from mien.cli.option_names import with_options
from mien.cli.prediction_output import shown
from mien.cli.progress import TrainingDisplay
from mien.workflows.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mien.evaluation.evaluation import Evaluation
    from mien.training.callbacks import BatchProgress
    from mien.training.checkpoint import TrainingState
    from mien.training.recipe import Recipe
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.reporter import Advance


class ConsoleReporter(Reporter):
    """Report on the console.

    Args:
        json: whether standard output is for one JSON document, so that messages go to standard error.
    """

    def __init__(self, *, json: bool = False) -> None:
        self._json = json
        self._display: TrainingDisplay | None = None

    def message(self, text: str) -> None:
        """Print a message."""
        (err if self._json else out).print(with_options(text))

    def warning(self, text: str) -> None:
        """Print a warning."""
        for line in text.splitlines():
            err.print(shown(with_options(line)))

    def step(self, number: int, title: str) -> None:
        """Print a rule with the title of the step."""
        (err if self._json else out).rule(f"{number}. {title}", align="left")

    def progress(self, title: str) -> AbstractContextManager[Advance]:
        """Draw a progress bar on a terminal."""
        return progress(title)

    def data(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Print the number of images."""
        out.print(counts_table(counts))

    @contextmanager
    def training(self, folder: Path, recipe: Recipe) -> Iterator[None]:
        """Show a live line during a training."""
        out.print(f"Recipe {recipe.name}, seed {recipe.seed}; the run folder is {folder}")
        with TrainingDisplay() as self._display:
            yield
        self._display = None

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show the progress of the preparations."""
        if self._display:
            self._display.on_preparing(what, done, total)

    def batch(self, now: BatchProgress) -> None:
        """Update the live line."""
        if self._display:
            self._display.on_batch(now)

    def epoch(self, state: TrainingState) -> None:
        """Print a line for an epoch."""
        if self._display:
            self._display.on_epoch(state)

    def evaluation(self, evaluation: Evaluation, model: LoadedModel) -> None:
        """Print the scores, unless standard output is for a JSON document."""
        if not self._json:
            print_evaluation(evaluation, model)


class WithoutTables(ConsoleReporter):
    """Print no tables of images and scores, for several trainings or evaluations with a summary at the end."""

    def data(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Do not print the number of images."""

    def evaluation(self, evaluation: Evaluation, model: LoadedModel) -> None:
        """Do not print the scores."""
