"""Fine-tuning: a network that was trained on other data learns new classes.

The trunk, all layers except the heads, is initialized with the old weights. A head for other classes is new; for a class
with the same meaning as a class of the old head, its weights are copied, so "joy" starts with the weights of "happy".
Defaults depend on the number of training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mien.card import METADATA_KEY, ModelCard
from mien.errors import ModelError
from mien.labels import meaning
from mien.training.networks import HEADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class OldHead:
    """A head of the network that a training starts from.

    Args:
        classes: its class names.
        kernel: float32 (features, classes).
        bias: float32 (classes,).
    """

    classes: tuple[str, ...]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def network_of_start(start: str | Path | bytes) -> dict[str, Any]:
    """Return the architecture of the model that a training starts from, from its model card.

    Args:
        start: the bytes of an ONNX file, or the path of a Keras file or run folder.

    Raises:
        ModelError: If its card does not contain it.
    """
    card = card_of_start(start)
    network = (card.recipe if card else {}).get("network")
    if not isinstance(network, dict) or "kind" not in network:
        told = "" if isinstance(start, bytes) else f"{start}: "
        raise ModelError(
            f"{told}expected a model that mien trained to start from, got one whose model card does not describe its "
            "network. Name the recipe that has the same network."
        )
    return dict(network)


def card_of_start(start: str | Path | bytes) -> ModelCard | None:
    """Return the card of the model that a training starts from; `None` if it has none."""
    if isinstance(start, bytes):
        import onnx

        try:
            found = {entry.key: entry.value for entry in onnx.load_model_from_string(start).metadata_props}
            return ModelCard.from_json(found[METADATA_KEY])
        except KeyError:
            return None
        except Exception as error:  # protobuf raises many exception types for invalid bytes
            raise ModelError(
                f"Expected an ONNX file to start from, got one that cannot be read ({error})."
            ) from error
    from mien.training.keras_io import read_card

    path = Path(start)
    return read_card(path / "best.keras" if path.is_dir() else path)


def assign_head(
    layer: keras.layers.Dense, classes: Sequence[str], old: Sequence[OldHead], rng_seed: int = 0
) -> int:
    """Assign to a new head the weights of the classes of old heads with the same meaning.

    Args:
        layer: the new head.
        classes: its class names.
        old: heads of the network that it starts from; those with more of the classes come first.
        rng_seed: random seed of the small weights of the other classes.

    Returns:
        Number of classes whose weights were copied.
    """
    kernel, bias = (np.array(part) for part in layer.get_weights())
    rng = np.random.default_rng(rng_seed)
    known = 0

    def rank(head: OldHead) -> tuple[int, bool]:
        return -sum(_find(name, head.classes) is not None for name in classes), tuple(head.classes) != tuple(
            classes
        )

    order = sorted(old, key=rank)
    for column, name in enumerate(classes):
        for head in order:
            place = _find(name, head.classes)
            if place is not None and head.kernel.shape[0] == kernel.shape[0]:
                kernel[:, column], bias[column] = head.kernel[:, place], head.bias[place]
                known += 1
                break
        else:
            kernel[:, column] = rng.normal(0, 0.01, kernel.shape[0])
            bias[column] = 0
    layer.set_weights([kernel, bias])
    return known


def _find(name: str, classes: Sequence[str]) -> int | None:
    """Return the index of the class with the same name or meaning."""
    folded = [other.casefold() for other in classes]
    if name.casefold() in folded:
        return folded.index(name.casefold())
    wanted = meaning(name)
    meanings = [meaning(other) for other in classes]
    return meanings.index(wanted) if wanted is not None and wanted in meanings else None


def known_classes(start: str | Path | bytes, classes: Sequence[str]) -> int:
    """Return how many classes of a new head are known to the model that the training starts from."""
    card = card_of_start(start)
    heads = card.all_heads if card else ()
    return sum(any(_find(name, head.labels) is not None for head in heads) for name in classes)


def start_from_keras(
    network: keras.Model, theirs: keras.Model, card: ModelCard | None, heads: Mapping[str, Sequence[str]]
) -> None:
    """Copy the trunk of another network, and the weights of matching classes in its heads.

    Args:
        network: the new network.
        theirs: the network that it starts from.
        card: model card of the latter.
        heads: the class names of each head of the new network, by layer name.

    Raises:
        ModelError: If the trunks differ.
    """
    ours_trunk, theirs_trunk = _trunk(network), _trunk(theirs)
    if [tuple(w.shape) for w in ours_trunk] != [tuple(w.shape) for w in theirs_trunk]:
        raise ModelError("Expected the network of this recipe to start from, got another one.")
    for mine, given in zip(ours_trunk, theirs_trunk, strict=True):
        mine.assign(given)
    old = []
    for head in card.all_heads if card else ():
        if head.output in {layer.name for layer in theirs.layers}:
            kernel, bias = theirs.get_layer(head.output).get_weights()
            old.append(OldHead(head.labels, kernel, bias))
    for name, classes in heads.items():
        assign_head(network.get_layer(name), classes, old)


def _trunk(network: keras.Model) -> list[Any]:
    return [weight for layer in network.layers if layer.name not in HEADS for weight in layer.weights]


def freeze_trunk(model: keras.Model) -> None:
    """Freeze all layers except the heads, including the statistics of batch normalization layers."""
    for layer in model.layers:
        if layer.name not in HEADS:
            layer.trainable = False


@keras.saving.register_keras_serializable("mien")
class DiscriminativeSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """SGD with a lower learning rate for the trunk than for the heads (Howard and Ruder 2018, arXiv:1801.06146).

    Args:
        learning_rate: learning rate of the heads.
        trunk_rate: factor applied to the gradients of all other layers, which for SGD is a factor of their learning
            rate. Weight decay is not scaled: it uses the full rate in all layers.
    """

    def __init__(self, learning_rate: Any = 0.01, trunk_rate: float = 1.0, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.trunk_rate = trunk_rate

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """Scale the gradients of the trunk, then update like SGD."""
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        if variables:
            grads = [
                grad if grad is None or _is_of_head(variable) else grad * self.trunk_rate
                for grad, variable in zip(grads, variables, strict=True)
            ]
        return super().apply(grads, trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration."""
        return {**super().get_config(), "trunk_rate": self.trunk_rate}


def _is_of_head(variable: Any) -> bool:
    return any(part in HEADS for part in str(variable.path).split("/"))


__all__ = [
    "DiscriminativeSGD", "OldHead", "assign_head", "card_of_start", "freeze_trunk",
    "known_classes", "network_of_start", "start_from_keras",
]  # fmt: skip
