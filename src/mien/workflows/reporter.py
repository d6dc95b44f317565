"""`Reporter`: receives the messages and the progress of a workflow.

Override the methods that you need:

    class Epochs(Reporter):
        def epoch(self, state):
            print(state.history[-1])

    mien.train("fer2013.csv", reporter=Epochs())
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mien.evaluation.evaluation import Evaluation
    from mien.training.callbacks import BatchProgress
    from mien.training.checkpoint import TrainingState
    from mien.training.recipe import Recipe
    from mien.workflows.loaded_model import LoadedModel

Advance = Callable[[int, int], None]
"""Called with the completed amount and the total."""


class Reporter:
    """Receives the messages and the progress of a workflow; every method does nothing unless it is overridden."""

    def message(self, text: str) -> None:
        """Receive a message, as a sentence."""

    def warning(self, text: str) -> None:
        """Receive a warning, as a sentence."""

    def step(self, number: int, title: str) -> None:
        """Begin a numbered step of a workflow with several steps."""

    def progress(self, title: str) -> AbstractContextManager[Advance]:
        """Begin a longer operation, which ends with the block and calls the returned function with its progress."""
        del title
        return nullcontext(_ignore)

    def data(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Receive the number of images by split and class."""

    def training(self, folder: Path, recipe: Recipe) -> AbstractContextManager[None]:
        """Begin a training, which ends with the block."""
        del folder, recipe
        return nullcontext()

    def preparing(self, what: str, done: int, total: int) -> None:
        """Receive the progress of the augmentation cache.

        Args:
            what: `augmented_copies`, `predictions` (of the teachers), or `waiting` for another training.
            done: what is done.
            total: the total; 0 for `waiting`.
        """

    def batch(self, now: BatchProgress) -> None:
        """Receive the progress after a training batch."""

    def epoch(self, state: TrainingState) -> None:
        """Receive the state after an epoch was saved."""

    def evaluation(self, evaluation: Evaluation, model: LoadedModel) -> None:
        """Receive the evaluation of a model."""


class SilentReporter(Reporter):
    """Report nothing."""


class LogReporter(Reporter):
    """Report to the logger `mien`: messages and epochs as INFO, warnings as WARNING. The default in scripts."""

    def __init__(self) -> None:
        self._log = logging.getLogger("mien")

    def message(self, text: str) -> None:
        """Log a message."""
        self._log.info(text)

    def warning(self, text: str) -> None:
        """Log a warning."""
        self._log.warning(text)

    def step(self, number: int, title: str) -> None:
        """Log the title of a step."""
        self._log.info("%d. %s", number, title)

    def epoch(self, state: TrainingState) -> None:
        """Log the row of an epoch."""
        row = state.history[-1]
        self._log.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, val_loss %.4f, val_accuracy %.4f",
            row["epoch"], state.recipe["epochs"], row["loss"], row["accuracy"], row["val_loss"], row["val_accuracy"],
        )  # fmt: skip


def _ignore(done: int, total: int) -> None:
    del done, total
