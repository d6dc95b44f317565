"""The files of a run folder: models, card, history.

recipe.json  history.csv  best.keras  last.keras  state.json            during training
facial_emotions_model.h5  model.onnx  card.json                         at the end
release.onnx                                                            at the end, for recipes with `release`
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.files import remove_leftovers, write_text
from mien.training.checkpoint import read_state
from mien.training.experiment_tracking import MLFLOW
from mien.training.keras_io import load_classifier, save_network
from mien.training.onnx_export import export_onnx
from mien.training.run_config import RECIPE, read_config

if TYPE_CHECKING:
    import keras

    from mien.card import ModelCard
    from mien.training.keras_io import KerasClassifier

BEST, LAST, LEGACY, ONNX, RELEASE, CARD, EVALUATION = (
    "best.keras",
    "last.keras",
    "facial_emotions_model.h5",
    "model.onnx",
    "release.onnx",
    "card.json",
    "evaluation.json",
)
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


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """Return the history of a run, one row per epoch."""
    return read_state(Path(folder) / LAST).history


def is_whole(folder: str | Path) -> bool:
    """Return whether a training has ended and all its files are written."""
    last = Path(folder) / LAST
    return last.is_file() and (Path(folder) / EVALUATION).is_file() and read_state(last).finished


def load_best(folder: str | Path) -> KerasClassifier:
    """Load the network of the best epoch of a run.

    Raises:
        ModelError: If no epoch is complete yet.
    """
    path = Path(folder) / BEST
    if not path.is_file():
        raise ModelError(f"{folder}: expected a run folder with a whole epoch in it, found no {BEST}.")
    return load_classifier(path)


def write_models(folder: str | Path, network: keras.Model, card: ModelCard) -> bool:
    """Write `facial_emotions_model.h5`, `model.onnx` and `card.json`, and the card into `best.keras`.

    Args:
        folder: the run folder.
        network: the best network.
        card: its model card, with scores and temperatures.

    Returns:
        Whether `model.onnx` was written too: the conversion needs TensorFlow and tf2onnx, which a machine that trains
        on another backend may not have.

    Raises:
        ModelError: If the conversion to ONNX failed.
    """
    folder = Path(folder)
    for name in (BEST, LEGACY):
        save_network(network, folder / name, card)
    write_text(folder / CARD, card.to_json() + "\n")
    (folder / RELEASE).unlink(missing_ok=True)  # from an earlier epoch
    if any(find_spec(name) is None for name in ("tensorflow", "tf2onnx")):
        (folder / ONNX).unlink(missing_ok=True)  # from an earlier epoch
        return False
    export_onnx(folder / BEST, folder / ONNX, card)
    return True
