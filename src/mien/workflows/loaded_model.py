"""`LoadedModel`: a model that is ready to predict, from any file or object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mien.card import ModelCard
    from mien.training.keras_io import KerasClassifier


class DescribedModelError(ModelError):
    """A model has a model card, but class names or a pixel range were given as well."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of any kind, ready to predict.

    Args:
        name: name of the model.
        path: the file that it was loaded from.
        labels: class names in the order of its probabilities.
        probabilities: function from gray crops uint8 (n, 48, 48) to probabilities (n, classes).
        card: its model card, if it has one.
        folder: its run folder, if it is in one.
        network: the Keras network, if it is one.
        classifier: the `mien.Classifier`, if it is an ONNX model.
        note: a note for the user, if any.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    probabilities: Callable[[Any], Any]
    card: ModelCard | None = None
    folder: Path | None = None
    network: Any = None
    classifier: Any = None
    note: str = ""


def knows_label_set(card: ModelCard | None, label_set: str | None) -> bool:
    """Return whether a model with this card can predict in a label set."""
    return card is not None and label_set is not None and label_set in card.label_sets


def from_keras(network: KerasClassifier, name: str, path: Path, label_set: str | None) -> LoadedModel:
    """Wrap a Keras network, predicting in a label set if it supports it."""
    if label_set and knows_label_set(network.card, label_set):
        network = network.with_label_set(label_set)
    return LoadedModel(
        name, path, network.labels, _checked(network), network.card, network=network.network,
        note=network.assumed.note(name),
    )  # fmt: skip


def _checked(network: KerasClassifier) -> Callable[[Any], Any]:
    """Return the predictions of the network after checking that they are probabilities, as `mien.Classifier` does."""
    import numpy as np

    from mien.evaluation.scoring import check_probabilities

    card = network.card
    raw = network if card is None else replace(network, card=replace(card, temperature=1.0))

    def probabilities(crops: Any) -> Any:  # checked before a temperature, which could hide errors
        given = check_probabilities(raw.probabilities(crops), len(crops), len(network.labels))
        return card.calibrated(given.astype(np.float32)) if card else given

    return probabilities
