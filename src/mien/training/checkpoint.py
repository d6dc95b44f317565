"""Checkpoints: everything that a training needs to resume exactly, in one file.

`last.keras` is a Keras file (network, optimizer) with one more member, `mien_state.json`. One rename
replaces both at once, so after a kill the file belongs to one complete epoch.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mien.errors import ModelError
from mien.files import replacing, write_text
from mien.unpacking import read_member

if TYPE_CHECKING:
    from pathlib import Path

    import keras

_MEMBER = "mien_state.json"
_MOST_STATE = 64 << 20  # maximum size in bytes; an epoch takes about 100
HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
FURTHER_COLUMNS = ("val_macro_f1",)
"""Additional columns of trainings that compute these metrics."""

Select = Literal["loss", "macro_f1", "last"]


def best_row(history: list[dict[str, float]], select: Select) -> dict[str, float] | None:
    """Return the row of the epoch that is kept; ties in macro-F1 are broken by the loss, then by the first epoch."""
    if select == "last":
        return history[-1] if history else None
    if select == "macro_f1" and history and "val_macro_f1" in history[0]:
        return max(history, key=lambda row: (row["val_macro_f1"], -row["val_loss"]))
    return min(history, key=lambda row: row["val_loss"], default=None)


@dataclass
class TrainingState:
    """The state of a training after a complete epoch.

    Args:
        recipe: the recipe as data.
        history: one row per epoch, with the keys of `HISTORY_COLUMNS`; epochs count from 1.
        stopping: the state of early stopping.
        plateau: the state of the plateau schedule.
        data: what was trained on: source, label set, counts and a checksum of the images and targets.
        backend: the Keras backend and its version.
        custom: the states of the user's callbacks (`callbacks`), and whether one of them stopped the training
            (`stopped`).
    """

    recipe: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    stopping: dict[str, Any] = field(default_factory=dict)
    plateau: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    backend: str = ""
    custom: dict[str, Any] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Number of complete epochs."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping or a callback has stopped the training."""
        stopped_early = self.stopping.get("wait", 0) >= self.recipe["stopping_patience"]
        return bool(stopped_early or self.custom.get("stopped") or self.epoch >= self.recipe["epochs"])

    @property
    def select(self) -> Select:
        """The criterion for the epoch that is kept."""
        chosen = self.recipe.get("select")
        return chosen if chosen in {"last", "macro_f1"} else "loss"

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the epoch that is kept."""
        return best_row(self.history, self.select)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values; without custom parts, older versions can read it."""
        data = asdict(self)
        return data if self.custom else {key: value for key, value in data.items() if key != "custom"}

    def write_text_files(self, folder: Path) -> None:
        """Write `history.csv` and `state.json`, human-readable copies of the state."""
        columns = [*HISTORY_COLUMNS, *(name for name in FURTHER_COLUMNS if name in (self.history or [{}])[0])]
        lines = [",".join(columns)]
        lines += [",".join(f"{row[name]:.9g}" for name in columns) for row in self.history]
        write_text(folder / "history.csv", "\n".join(lines) + "\n")
        write_text(folder / "state.json", json.dumps(self.to_dict(), indent=1))


def save_checkpoint(model: keras.Model, state: TrainingState, path: Path) -> None:
    """Write the model with its optimizer and the state to one file, atomically."""
    with replacing(path) as aside:
        model.save(aside)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(_MEMBER, json.dumps(state.to_dict()))


def read_state(path: Path) -> TrainingState:
    """Read the state in a checkpoint.

    Raises:
        ModelError: If the file is not a checkpoint of a training.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            data = read_member(archive, _MEMBER, _MOST_STATE)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise _not_a_checkpoint(path, error) from error
    return parse_state(data, path)


def parse_state(data: bytes, path: Path) -> TrainingState:
    """Parse the JSON of a state.

    Raises:
        ModelError: If it is something else.
    """
    try:
        return _checked(json.loads(data))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _not_a_checkpoint(path, error) from error


def _not_a_checkpoint(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path}: expected the checkpoint of a training, got something else ({error}). "
        "Start the training anew without `resume=True`."
    )


def _checked(data: Any) -> TrainingState:
    """Return a state after checking its types.

    Raises:
        TypeError: If a part has another type.
        KeyError: If a part is missing.
    """
    state = TrainingState(**data)
    for name in ("recipe", "stopping", "plateau", "data", "custom"):
        _expect(isinstance(getattr(state, name), dict), name)
    _expect(isinstance(state.backend, str), "backend")
    _expect(isinstance(state.history, list), "history")
    for row in state.history:
        _expect(isinstance(row, dict) and all(_is_number(row[name]) for name in HISTORY_COLUMNS), "history")
        _expect(all(_is_number(row[name]) for name in FURTHER_COLUMNS if name in row), "history")
    for name in ("epochs", "stopping_patience"):
        _expect(_is_number(state.recipe[name]), f"recipe.{name}")
    for part in (state.stopping, state.plateau):
        _expect(_is_number(part.get("wait", 0)), "wait")
    return state


def _expect(right: bool, name: str) -> None:
    if not right:
        raise TypeError(f"{name} has another type")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
