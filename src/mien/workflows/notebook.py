"""Notebook support: a progress display that is one HTML block, and runs as HTML.

The display is updated in place, so that a saved notebook contains only its last state.
"""

from __future__ import annotations

import html
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mien.html_table import html_table
from mien.wording import counted
from mien.workflows.reporter import LogReporter, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mien.evaluation.evaluation import Evaluation
    from mien.training.callbacks import BatchProgress
    from mien.training.checkpoint import TrainingState
    from mien.training.recipe import Recipe
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.reporter import Advance
    from mien.workflows.run import Run

_EVERY = 0.5
"""Minimum time in seconds between two updates of the display."""

_SHOWN_EPOCHS = 12
"""Number of epochs that the display lists; the last ones are shown."""

_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


def in_notebook() -> bool:
    """Return whether the code runs in a Jupyter kernel, as in JupyterLab, VS Code, Kaggle and Colab."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and hasattr(shell, "kernel")


def default_reporter() -> Reporter:
    """Return the display in a notebook, else a `LogReporter`."""
    return NotebookReporter() if in_notebook() else LogReporter()


class NotebookReporter(Reporter):
    """Report to the output of a notebook cell."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._rows: Sequence[dict[str, float]] = ()
        self._best: float | None = None
        self._title = ""
        self._status = ""
        self._share = 0.0
        self._drawn = 0.0

    def message(self, text: str) -> None:
        """Show a message as the status of the display."""
        self._status = text.splitlines()[-1] if text.strip() else text
        self._draw()

    def step(self, number: int, title: str) -> None:
        """Show the title of a step as the status."""
        self.message(f"{number}. {title}")

    def warning(self, text: str) -> None:
        """Print a warning, which is kept in the output."""
        print(text, file=sys.stderr)  # noqa: T201 - the notebook's own stream for warnings

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        """Show the progress of a longer operation."""
        self._status, self._share = title, 0.0
        self._draw()

        def advance(done: int, total: int) -> None:
            self._share = done / total if total else 0.0
            self._draw(now=False)

        yield advance
        self._share = 1.0
        self._draw()

    @contextmanager
    def training(self, folder: Path, recipe: Recipe) -> Iterator[None]:
        """Show a table of epochs during a training."""
        self._title, self._rows, self._best = f"{recipe.name}, in {folder}", (), None
        yield

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show the progress of the augmentation cache."""
        self._status = {
            "waiting": "waiting for another training",
            "augmented_copies": "computing augmented copies",
            "predictions": "computing the teachers' predictions",
        }[what]
        self._share = done / total if total else 0.0
        self._draw(now=False)

    def batch(self, now: BatchProgress) -> None:
        """Update the progress bar."""
        self._share = now.batch / now.batches
        self._status = f"epoch {now.epoch} of {now.epochs}: loss {now.loss:.3f}, accuracy {now.accuracy:.1%}"
        self._draw(now=False)

    def epoch(self, state: TrainingState) -> None:
        """Add a row for an epoch."""
        self._rows = list(state.history)
        self._best = state.best["epoch"] if state.best else None
        self._draw()

    def evaluation(self, evaluation: Evaluation, model: LoadedModel) -> None:
        """Show the score."""
        self._share = 1.0
        scores = f"accuracy {evaluation.accuracy:.2%}, loss {evaluation.loss:.4f}"
        self._status = f"{model.name} on {evaluation.split}: {scores}"
        self._draw()

    def _draw(self, *, now: bool = True) -> None:
        if not now and time.monotonic() - self._drawn < _EVERY:
            return
        self._drawn = time.monotonic()
        from IPython.display import HTML, display

        content = HTML(self._html())
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            with suppress(Exception):  # a training continues without its display
                self._handle.update(content)

    def _html(self) -> str:
        bar = (
            '<div style="width:16em;height:.5em;background:#eceef1;border-radius:.25em">'
            f'<div style="width:{self._share:.0%};height:100%;background:#0072B2;border-radius:.25em"></div></div>'
        )
        table = history_html(self._rows[-_SHOWN_EPOCHS:], self._best) if self._rows else ""
        return (
            f"<div><b>{html.escape(self._title)}</b><div>{html.escape(self._status)}</div>{bar}{table}</div>"
        )


def history_html(rows: Sequence[dict[str, float]], best: float | None) -> str:
    """Return a history as an HTML table with the best epoch marked."""
    lines = [
        (
            f"{row['epoch']:.0f}{' (best)' if row['epoch'] == best else ''}", f"{row['loss']:.4f}",
            f"{row['accuracy']:.2%}", f"{row['val_loss']:.4f}", f"{row['val_accuracy']:.2%}",
            f"{row['learning_rate']:.2g}",
        )
        for row in rows
    ]  # fmt: skip
    return html_table(lines, _COLUMNS)


def run_html(run: Run) -> str:
    """Return a run as HTML: its folder, recipe and best epochs."""
    rows = run.rows
    state = " (interrupted)" if run.interrupted else ""
    more = f"<div>… the last {_SHOWN_EPOCHS} of {len(rows)} epochs</div>" if len(rows) > _SHOWN_EPOCHS else ""
    table = history_html(rows[-_SHOWN_EPOCHS:], run.best["epoch"])
    return (
        f"<div><b>Run {html.escape(str(run.folder))}</b>{state}: recipe {html.escape(run.recipe.name)}, "
        f"{counted(len(rows), 'epoch')}, best {run.best['epoch']:.0f} with val_accuracy {run.best['val_accuracy']:.2%}"
        f"{more}{table}</div>"
    )
