"""Keras files in and out: `.keras` and `.h5` that plain Keras loads, with the model card inside.

The card is one more member of a `.keras` archive and one more attribute of an `.h5` file; Keras passes over
both. Loading a Keras file can run code that is in it: load only files that you trust.
"""

from __future__ import annotations

import shlex
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np

from mien.card import ModelCard
from mien.errors import ModelError
from mien.files import replacing
from mien.images import CROP_SIZE
from mien.labels import FER2013
from mien.model_kinds import KERAS_KINDS, ModelKind, kind_of, refusal, shown
from mien.training.keras_loading import load_network, without_architecture, without_legacy_warning
from mien.training.networks import HEADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_MEMBER = "mien_card.json"
_ATTRIBUTE = "mien_card"
_RESCALING = (keras.layers.Rescaling, keras.layers.Normalization)


def save_network(network: keras.Model, path: str | Path, card: ModelCard) -> Path:
    """Write a network as `.keras` or `.h5`, by the suffix, with its card inside, whole or not at all.

    Args:
        network: the network.
        path: where to, ending in `.keras` or `.h5`.
        card: its card.

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
    """The card inside a Keras file, `None` where there is none.

    Raises:
        ModelError: the file is neither a `.keras` nor an `.h5` file, or cannot be read.
    """
    path = Path(path)
    try:
        kind = kind_of(path)
        if kind not in KERAS_KINDS:
            raise ModelError(refusal(path, kind))
        if kind is ModelKind.KERAS:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(_MEMBER).decode() if _MEMBER in archive.namelist() else None
        else:
            with h5py.File(path, "r") as file:
                text = file.attrs.get(_ATTRIBUTE)
            if text is None and (lacking := without_architecture(path)):
                raise ModelError(f"{shown(path)}: {lacking[:1].upper()}{lacking[1:]}")
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ModelError(
            f"{shown(path)}: expected a .keras or .h5 file of Keras, got something else or a cut file."
        ) from error
    return None if text is None else ModelCard.from_json(str(text))


@dataclass(frozen=True, eq=False)
class KerasClassifier:
    """A Keras network seen as a function from crops to probabilities.

    Args:
        network: from pixel values 0 to 255, (n, 48, 48, 1), to probabilities (n, classes), or to a list of those
            of each of its heads.
        labels: class names in the order of its probabilities.
        card: its card, where it has one.
    """

    network: keras.Model
    labels: tuple[str, ...]
    card: ModelCard | None = None

    @property
    def taxonomies(self) -> dict[str, tuple[str, ...]]:
        """The label sets that the network knows, by name, the one it answers in first; none without a card."""
        return self.card.taxonomies if self.card else {}

    def answering_in(self, taxonomy: str) -> KerasClassifier:
        """The same network as it answers in one of its label sets.

        Raises:
            ModelError: it does not know that label set, or has no card.
        """
        if self.card is None:
            raise ModelError(
                f"Expected a network with a model card to answer in {taxonomy}, got one without."
            )
        card = self.card.answering_in(taxonomy)
        return replace(self, labels=card.labels, card=card)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities float32 (n, classes) of gray crops uint8 (n, 48, 48)."""
        pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
        answer = self.network.predict(pixels, batch_size=256, verbose=0)
        if isinstance(answer, list):
            answer = answer[HEADS.index(self.card.output) if self.card else 0]
        answer = np.asarray(answer, np.float32)
        return self.card.calibrated(answer) if self.card else answer

    def all_probabilities(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The probabilities in every label set that the network knows, by its name; nothing for one without a card."""
        if self.card is None:
            return {}
        answer = self.network.predict(crops[..., np.newaxis], batch_size=1024, verbose=0)
        given = answer if isinstance(answer, list) else [answer]
        cards = (self.card.answering_in(name) for name in self.card.taxonomies)
        return {
            card.taxonomy: card.calibrated(np.asarray(given[HEADS.index(card.output)], np.float32))
            for card in cards
        }


def load_classifier(
    path: str | Path,
    *,
    labels: Sequence[str] | None = None,
    scale: float | None = None,
    asks_labels: bool = False,
) -> KerasClassifier:
    """Load a network from a `.keras` or `.h5` file, made by mien or not.

    Args:
        path: the file.
        labels: class names in index order, only for a file without a card.
        scale: what pixel values 0 to 255 are multiplied by before they go in, only for a file without a card.
            When not given: 1 for a network that rescales by itself, else 1/255, which is what most projects
            train with. The rescaling becomes a layer of the network.
        asks_labels: whether the caller can be given labels by --model-labels, which is then the remedy where they
            are not known; else it is to export the file once.

    Raises:
        ModelError: the file does not load, has another input than (48, 48, 1), its labels are not known, or
            labels or a scale are given for a file whose card tells them.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{shown(path)}: expected a .keras or .h5 file, found none.")
    card = read_card(path)
    if card and (labels or scale is not None):
        raise ModelError(
            f"{path}: this file's model card tells its labels and scale; leave --model-labels and --pixel-scale out."
        )
    network = load_network(path)
    classes = _check_shapes(network, path, heads=1 + len(card.heads) if card else 1)
    names = tuple(labels) if labels else (card.labels if card else ())
    if not names:
        export = "" if asks_labels else f"with: mien export {shlex.quote(str(path))} --format onnx "
        raise ModelError(
            f"{path}: this file has no model card, so the names of its {classes} classes are not known. "
            f"Give them in index order, for example {export}--model-labels {','.join(FER2013.classes)}"
        )
    if len(names) != classes:
        raise ModelError(
            f"{path}: expected {classes} labels, one for each class of the network, got {len(names)}."
        )
    if scale is None:
        rescales = card is not None or any(isinstance(layer, _RESCALING) for layer in _all_layers(network))
        scale = 1.0 if rescales else 1 / 255
    if scale != 1:
        image = keras.Input(network.input_shape[1:], name="image")
        network = keras.Model(image, network(keras.layers.Rescaling(scale)(image)))
    return KerasClassifier(network, names, card)


def _all_layers(network: keras.Model) -> Iterator[keras.Layer]:
    for layer in network.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _check_shapes(network: keras.Model, path: Path, *, heads: int) -> int:
    """The classes of the first of the heads."""
    taken, given = network.input_shape, network.output_shape
    outputs = given if isinstance(given, list) else [given]
    expected = (None, CROP_SIZE, CROP_SIZE, 1)
    if taken != expected:
        raise ModelError(
            f"{shown(path)}: expected a network that takes {expected[1:]}, got one that takes {_told(taken)}. "
            f"{_wrapping(taken, path)}"
        )
    if len(outputs) != heads or any(len(shape) != 2 for shape in outputs):
        raise ModelError(
            f"{shown(path)}: expected a network with {heads} answer{'s' if heads > 1 else ''} of shape (classes,), got "
            f"{_told(given)}. Save it with one softmax over the classes at its end."
        )
    return int(outputs[0][1])


def _told(shape: object) -> str:
    return str(shape)[:80]


def _wrapping(taken: object, path: Path) -> str:
    """How a network of another input is made one of gray crops, where layers of Keras can do it."""
    layers = "keras.layers"
    match taken:
        case (_, int() as height, int() as width, (1 | 3) as channels):
            made = "image"
            if channels == 3:
                made = f"{layers}.Concatenate()([image] * 3)"
            if (height, width) != (CROP_SIZE, CROP_SIZE):
                made = f"{layers}.Resizing({height}, {width})({made})"
        case (_, (1 | 3) as channels, 48, 48):
            made = "image" if channels == 1 else f"{layers}.Concatenate()([image] * 3)"
            made = f"{layers}.Permute((3, 1, 2))({made})"
        case (_, 2304):
            made = f"{layers}.Flatten()(image)"
        case _:
            return f"mien hands gray crops of {CROP_SIZE}x{CROP_SIZE} pixels to a network."
    return (
        f"Put it behind layers that make that of a crop: network = keras.models.load_model({str(path)[-80:]!r}); "
        f"image = keras.Input(({CROP_SIZE}, {CROP_SIZE}, 1)); keras.Model(image, network({made})).save('wrapped.keras')"
    )
