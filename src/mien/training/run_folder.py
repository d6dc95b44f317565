"""The models of a run folder: the best network, and the files that are written at the end."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.files import write_text
from mien.training.keras_io import load_classifier, save_network
from mien.training.onnx_export import export_onnx
from mien.training.run_files import BEST, CARD, LEGACY, ONNX, RELEASE

if TYPE_CHECKING:
    import keras

    from mien.card import ModelCard
    from mien.training.keras_io import KerasClassifier


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
    for name in (RELEASE, ONNX):
        (folder / name).unlink(missing_ok=True)  # from an earlier epoch
    if any(find_spec(name) is None for name in ("tensorflow", "tf2onnx")):
        return False
    export_onnx(folder / BEST, folder / ONNX, card)
    return True
