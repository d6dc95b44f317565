"""What a training must remember to go on exactly, and the checkpoint that holds all of it in one file.

`last.keras` is a Keras file (network, optimizer) with one more member, `mien_state.json`. One rename commits
both at once, so a kill at any moment leaves the end of one epoch or of the next, never a mixture.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mien.errors import ModelError
from mien.files import replacing, write_text

if TYPE_CHECKING:
    from pathlib import Path

    import keras

_MEMBER = "mien_state.json"
HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


@dataclass
class TrainingState:
    """A training's memory after a whole epoch.

    Args:
        recipe: the recipe as data.
        history: one row an epoch, with the keys of `HISTORY_COLUMNS`; epochs count from 1.
        stopping: the memory of early stopping.
        plateau: the memory of the plateau schedule.
        data: what was trained on: source, taxonomy, counts and a checksum of the pictures and targets.
        backend: the Keras back end and its version.
    """

    recipe: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    stopping: dict[str, Any] = field(default_factory=dict)
    plateau: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    backend: str = ""

    @property
    def epoch(self) -> int:
        """Number of whole epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, or early stopping has ended it."""
        stopped_early = self.stopping.get("wait", 0) >= self.recipe["stopping_patience"]
        return bool(stopped_early or self.epoch >= self.recipe["epochs"])

    @property
    def select(self) -> Literal["loss", "last"]:
        """Which epoch's network is kept: that with the lowest validation loss, or the last."""
        return "last" if self.recipe.get("select") == "last" else "loss"

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the epoch that is kept, the first of equals."""
        if self.select == "last":
            return self.history[-1] if self.history else None
        return min(self.history, key=lambda row: row["val_loss"], default=None)

    def write_text_files(self, folder: Path) -> None:
        """Write `history.csv` and `state.json`, copies for people to read."""
        lines = [",".join(HISTORY_COLUMNS)]
        lines += [",".join(f"{row[name]:.9g}" for name in HISTORY_COLUMNS) for row in self.history]
        write_text(folder / "history.csv", "\n".join(lines) + "\n")
        write_text(folder / "state.json", json.dumps(asdict(self), indent=1))


def save_checkpoint(model: keras.Model, state: TrainingState, path: Path) -> None:
    """Write the model with its optimizer and the state as one file, whole or not at all."""
    with replacing(path) as aside:
        model.save(aside)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(_MEMBER, json.dumps(asdict(state)))


def read_state(path: Path) -> TrainingState:
    """The state inside a checkpoint.

    Raises:
        ModelError: the file is no checkpoint of a training.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return TrainingState(**json.loads(archive.read(_MEMBER)))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: expected the checkpoint of a training, got something else ({error}). "
            "Start the training anew without --resume."
        ) from error
