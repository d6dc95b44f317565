"""Read and write `.keras` and `.h5` files that plain Keras loads, with the model card inside.

The card is an additional member of a `.keras` archive or an additional attribute of an `.h5` file; Keras ignores
both. Loading a Keras file can run code that it contains: load only files that you trust.
"""

from __future__ import annotations

import shlex
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from mien.assumptions import Assumptions
from mien.card import ModelCard
from mien.errors import ModelError
from mien.files import replacing
from mien.labels import FER2013
from mien.model_kinds import HAS_CARD, KERAS_KINDS, ModelKind, kind_of, refusal, shown
from mien.training.keras_loading import load_network, without_architecture, without_legacy_warning
from mien.training.network_shapes import adapted, check_shapes
from mien.training.networks import HEADS
from mien.unpacking import UnpackError, read_member

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

_MEMBER = "mien_card.json"
_ATTRIBUTE = "mien_card"


def save_network(network: keras.Model, path: str | Path, card: ModelCard) -> Path:
    """Write a network as `.keras` or `.h5`, by the suffix, with its model card inside, atomically.

    Args:
        network: the network.
        path: the output file, ending in `.keras` or `.h5`.
        card: its model card.

    Returns:
        The path.
    """
    path = Path(path)
    with replacing(path) as aside, without_legacy_warning():
        network.save(aside)
        if path.suffix == ".keras":
            with zipfile.ZipFile(aside, "a") as archive:
                archive.writestr(_MEMBER, card.to_json())
        else:
            with h5py.File(aside, "a") as file:
                file.attrs[_ATTRIBUTE] = card.to_json()
    return path


def read_card(path: str | Path) -> ModelCard | None:
    """Read the model card in a Keras file; `None` if there is none.

    Raises:
        ModelError: If the file is neither a `.keras` nor an `.h5` file, or cannot be read.
    """
    path = Path(path)
    try:
        kind = kind_of(path)
        if kind not in KERAS_KINDS:
            raise ModelError(refusal(path, kind))
        if kind is ModelKind.KERAS:
            with zipfile.ZipFile(path) as archive:
                text = read_member(archive, _MEMBER).decode() if _MEMBER in archive.namelist() else None
        else:
            with h5py.File(path, "r") as file:
                text = file.attrs.get(_ATTRIBUTE)
            if text is None and (lacking := without_architecture(path)):
                raise ModelError(f"{shown(path)}: {lacking[:1].upper()}{lacking[1:]}")
    except UnpackError as error:
        raise ModelError(f"{shown(path)}: {error}") from error
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ModelError(
            f"{shown(path)}: expected a .keras or .h5 file of Keras, got something else or a cut file."
        ) from error
    return None if text is None else ModelCard.from_json(str(text))


@dataclass(frozen=True, eq=False)
class KerasClassifier:
    """A Keras network as a function from crops to probabilities.

    Args:
        network: takes pixel values 0 to 255, (n, 48, 48, 1), and returns probabilities (n, classes), or a list with
            those of each head.
        labels: class names in the order of the probabilities.
        card: its model card, if it has one.
        assumed: what was assumed about its input, without a card.
    """

    network: keras.Model
    labels: tuple[str, ...]
    card: ModelCard | None = None
    assumed: Assumptions = field(default_factory=Assumptions)

    @property
    def label_sets(self) -> dict[str, tuple[str, ...]]:
        """The label sets of the network by name, the one it predicts in first; empty without a card."""
        return self.card.label_sets if self.card else {}

    def with_label_set(self, label_set: str) -> KerasClassifier:
        """Return the same network, predicting in another of its label sets.

        Raises:
            ModelError: If it does not have that label set, or has no card.
        """
        if self.card is None:
            raise ModelError(f"The label set {label_set} needs a network with a model card.")
        card = self.card.with_label_set(label_set)
        return replace(self, labels=card.labels, card=card)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities float32 (n, classes) for gray crops uint8 (n, 48, 48)."""
        pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
        output = self.network.predict(pixels, batch_size=256, verbose=0)
        if isinstance(output, list):
            output = output[HEADS.index(self.card.output) if self.card else 0]
        output = np.asarray(output, np.float32)
        return self.card.calibrated(output) if self.card else output

    def all_probabilities(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the probabilities in every label set of the network, by its name; empty without a card."""
        if self.card is None:
            return {}
        output = self.network.predict(crops[..., np.newaxis], batch_size=1024, verbose=0)
        given = output if isinstance(output, list) else [output]
        cards = (self.card.with_label_set(name) for name in self.card.label_sets)
        return {
            card.label_set: card.calibrated(np.asarray(given[HEADS.index(card.output)], np.float32))
            for card in cards
        }


def load_classifier(
    path: str | Path,
    *,
    labels: Sequence[str] | None = None,
    scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    input_shape: tuple[int, int, int] | None = None,
    asks_labels: bool = False,
) -> KerasClassifier:
    """Load a network from a `.keras` or `.h5` file, written by mien or another program.

    Args:
        path: the file.
        labels: class names in index order, only for a file without a card.
        scale: factor for pixel values 0 to 255, only for a file without a card. By default 1 for a network that begins
            with arithmetic or a normalization, else 1/255, which most projects use. A rescaling layer is added to the
            network.
        pixel_range: input values of black and white pixels, in place of a scale.
        input_shape: the shape of an image, which sets variable dimensions of the network.
        asks_labels: whether the caller accepts class names. If they are missing, the error message asks for them; else
            it suggests exporting the file with them once.

    Raises:
        ModelError: If the file does not load, its input cannot be adapted to crops (48, 48, 1), its class names are
            unknown, or class names or a scale are given for a file with a card.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{shown(path)}: expected a .keras or .h5 file, found none.")
    card = read_card(path)
    if card and (labels or any(one is not None for one in (scale, pixel_range, input_shape))):
        raise ModelError(f"{path}: {HAS_CARD}")
    network = load_network(path)
    assumed = Assumptions()
    if card:
        classes = check_shapes(network, shown(path), heads=1 + len(card.heads))
    else:
        network, classes, assumed = adapted(
            network, shown(path), scale=scale, pixel_range=pixel_range, input_shape=input_shape
        )
    names = tuple(labels) if labels else (card.labels if card else ())
    example = ",".join(FER2013.classes)
    if not names:
        how = f"with: mien export {shlex.quote(str(path))} --format onnx --model-class-names {example}"
        if asks_labels:
            how = f"`model_class_names={example}`"
        raise ModelError(
            f"{path}: this file has no model card, so the names of its {classes} classes are not known. "
            f"Give them in index order, for example {how}"
        )
    if len(names) != classes:
        raise ModelError(
            f"{path}: expected {classes} class names, one for each class of the network, got {len(names)}."
        )
    return KerasClassifier(network, names, card, assumed)


def as_classifier(
    network: keras.Model,
    *,
    labels: Sequence[str] | None = None,
    scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> KerasClassifier:
    """Wrap a network in memory as a classifier; the arguments are those of `load_classifier`.

    Raises:
        ModelError: If its input cannot be adapted to crops (48, 48, 1), or the number of class names is wrong.
    """
    name = network.name
    network, classes, assumed = adapted(
        network, name, scale=scale, pixel_range=pixel_range, input_shape=input_shape
    )
    names = tuple(labels or (FER2013.classes if classes == len(FER2013) else ()))
    if len(names) != classes:
        raise ModelError(
            f"{name}: expected the names of its {classes} classes in index order as `model_class_names`, got "
            f"{len(names)}."
        )
    return KerasClassifier(network, names, assumed=assumed)
