"""The files of a run folder: their names, and what may be written and removed there.

recipe.json  history.csv  best.keras  last.keras  state.json            during training
facial_emotions_model.h5  model.onnx  card.json                         at the end
release.onnx                                                            at the end, for recipes with `release`
"""

from __future__ import annotations

import os
from pathlib import Path

from mien.errors import ModelError
from mien.files import remove_leftovers
from mien.training.checkpoint import TrainingState, parse_state, read_state
from mien.training.experiment_tracking import MLFLOW
from mien.training.run_config import RECIPE, read_config

LOCK = ".mien-training.lock"
"""A lock file in the run folder; the system releases the lock when the process ends, even if it is killed."""

BEST, LAST, LEGACY, ONNX, RELEASE, CARD, EVALUATION = (
    "best.keras",
    "last.keras",
    "facial_emotions_model.h5",
    "model.onnx",
    "release.onnx",
    "card.json",
    "evaluation.json",
)
_AFTER_AN_EPOCH = ("state.json", "history.csv", LEGACY, ONNX, RELEASE, CARD, EVALUATION)
"""Files that are written after `last.keras`, so that without it, it was removed."""

OWN_FILES = (
    RECIPE, "history.csv", "state.json", BEST, LAST, LEGACY, ONNX, RELEASE, CARD, EVALUATION, "curves.png",
    "confusion.png", "samples.png", "mistakes.png", "confident.png", MLFLOW,
)  # fmt: skip
"""Files that a training writes into its run folder, without the logs and databases of TensorBoard and MLflow."""


def foreign_files(folder: str | Path) -> list[str]:
    """Return the files that a training would overwrite in a folder that is not a run folder.

    A folder is a run folder if its `recipe.json` was written by a training.
    """
    try:
        if read_config(folder) is not None:
            return []
    except (ModelError, OSError):  # another recipe.json, or a damaged one: it is kept
        pass
    return [name for name in OWN_FILES if os.path.lexists(Path(folder) / name)]


def require_free(folder: Path) -> None:
    """Check that a folder contains no other training, and no other files that would be overwritten.

    Raises:
        ModelError: If it does.
    """
    if (folder / LAST).exists():
        raise ModelError(
            f"{folder} holds a training already. Resume it with `resume=True`, or choose another folder with `out`."
        )
    if foreign := foreign_files(folder):
        raise ModelError(
            f"{folder}: a training would overwrite {', '.join(foreign)} there, which no training wrote. "
            "Choose another folder with `out`."
        )
    if kept := [name for name in _AFTER_AN_EPOCH if (folder / name).exists()]:
        raise ModelError(
            f"{folder} holds a training without its checkpoint {LAST}, so it cannot be resumed, and a new one would "
            f"overwrite {', '.join(kept)}. Choose another folder with `out`."
        )


def remove_run(folder: str | Path) -> None:
    """Remove the files of a training from its run folder, and no other files.

    Raises:
        ModelError: If it is not a run folder.
    """
    folder = Path(folder)
    if read_config(folder) is None:
        raise ModelError(f"{folder}: expected the run folder of a training, found none.")
    remove_leftovers(folder)
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def has_state(folder: Path) -> bool:
    """Return whether a run folder has the state of its training."""
    return (folder / LAST).is_file() or (folder / "state.json").is_file()


def read_run_state(folder: str | Path) -> TrainingState:
    """Read the state of a run: that of its checkpoint, else, if that was removed, its copy in `state.json`.

    Raises:
        ModelError: If there is neither, or one that cannot be read.
    """
    last, copy = Path(folder) / LAST, Path(folder) / "state.json"
    if not last.exists() and copy.is_file():
        return parse_state(copy.read_bytes(), copy)
    return read_state(last)


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """Return the history of a run, one row per epoch."""
    return read_run_state(folder).history


def is_whole(folder: str | Path) -> bool:
    """Return whether a training has ended and all its files are written."""
    last = Path(folder) / LAST
    return last.is_file() and (Path(folder) / EVALUATION).is_file() and read_state(last).finished
