"""Custom parts of a training, passed as Python objects: a network, callbacks, an augmentation function.

    network = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, "softmax")])
    mien.train("fer2013.csv", network=network, callbacks=[MyCallback()], augment=my_function)

A checkpoint contains the network, its optimizer and the state of callbacks with `get_state()` and `set_state(state)`,
and of Keras's EarlyStopping and ReduceLROnPlateau. `inexact_parts` lists what it cannot contain.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.training.callback_states import has_state
from mien.training.custom_augmentation import Augment, takes_generator
from mien.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.training.network_specs import Custom
    from mien.training.recipe import Recipe

_NOT_ARCHITECTURE = {
    "name", "registered_name", "shared_object_id", "inbound_nodes", "input_layers", "output_layers", "keras_history",
    "build_config", "trainable",
}  # fmt: skip


OWN_WEIGHTS = "A network of your own (`network`) starts from its own weights. Leave `start` out."
"""The error for a custom network that is to start from another model."""


@dataclass(frozen=True)
class CustomParts:
    """Custom parts of a training.

    Args:
        network: a `keras.Model` with input (48, 48, 1) and softmax probabilities, instead of the recipe's. It is not
            changed: a copy with its weights is trained. A compiled model keeps its optimizer and loss. Without a
            rescaling layer it receives pixel values from 0 to 1, else from 0 to 255.
        callbacks: additional Keras callbacks.
        augment: a function of a batch, instead of the recipe's augmentation.
    """

    network: Any = None
    callbacks: tuple[Any, ...] = ()
    augment: Augment | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the custom parts that are given."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name))

    def applied_to(self, recipe: Recipe) -> Recipe:
        """Return the recipe with these parts.

        Raises:
            ModelError: If they cannot be combined, or Keras cannot save the network.
        """
        import keras

        for callback in self.callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise ModelError(f"Expected `callbacks` as Keras callbacks, got {type(callback).__name__}.")
        if self.augment is not None:
            if not callable(self.augment):
                raise ModelError(f"Expected `augment` as a function, got {type(self.augment).__name__}.")
            if recipe.augmented_copies:
                raise ModelError(
                    f"Recipe {recipe.name}: it precomputes augmented copies, which a function of yours cannot be part "
                    "of. Leave `augment` out, or give `augmented_copies=0`."
                )
        if any(isinstance(callback, keras.callbacks.EarlyStopping) for callback in self.callbacks):
            recipe = recipe.with_options(stopping_patience=recipe.epochs)
        if self.network is None:
            return recipe
        return _with_network(recipe, self.network)

    def inexact_parts(self) -> list[str]:
        """Return a sentence for each part whose state a checkpoint cannot contain."""
        unknown = [type(c).__name__ for c in self.callbacks if not has_state(c)]
        told = [
            f"A checkpoint cannot hold the state of the callback {name}: after a resume it starts anew. Give it methods "
            "get_state() and set_state(state) to resume exactly."
            for name in unknown
        ]
        if self.augment is not None and not takes_generator(self.augment):
            told.append(
                "A checkpoint cannot hold the random state of `augment`: after a resume its random numbers differ. "
                "Let it take a second argument, a numpy.random.Generator, to resume exactly."
            )
        return told


def _with_network(recipe: Recipe, network: Any) -> Recipe:
    """Return the recipe with a custom network."""
    import keras

    if not isinstance(network, keras.Model):
        raise ModelError(f"Expected `network` as a keras.Model, got {type(network).__name__}.")
    if recipe.joint:
        raise ModelError(
            f"Recipe {recipe.name}: it trains a second head on the FER+ votes, which a network of your own does not "
            "have. Give `joint=0`."
        )
    if recipe.frozen_epochs:
        raise ModelError(
            f"Recipe {recipe.name}: it freezes the trunk for {counted(recipe.frozen_epochs, 'epoch')}, and a network of "
            "your own has no trunk. Give `frozen_epochs=0`."
        )
    changes: dict[str, Any] = {"network": describe(network), "progressive_sizes": ()}
    if network.compiled:
        rate = getattr(network.optimizer, "_learning_rate", None)
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            changes["schedule"] = "cosine"  # no plateau: the schedule decides
        else:
            changes["learning_rate"] = float(keras.ops.convert_to_numpy(network.optimizer.learning_rate))
    return recipe.with_options(**changes)


def describe(network: Any) -> Custom:
    """Describe a network in a recipe: its name, and a checksum of its architecture and compilation."""
    from mien.training.network_specs import Custom

    layers = [
        [type(layer).__name__, _stripped(layer.get_config()), [list(w.shape) for w in layer.weights]]
        for layer in _flat(network)
    ]
    compiled = _stripped(network.get_compile_config()) if network.compiled else None
    text = json.dumps([layers, compiled], sort_keys=True, default=str)
    return Custom(type(network).__name__.lower(), hashlib.sha256(text.encode()).hexdigest()[:16])


def _flat(network: Any) -> list[Any]:
    layers: list[Any] = []
    for layer in network.layers:
        layers += _flat(layer) if hasattr(layer, "layers") else [layer]
    return layers


def _stripped(config: Any) -> Any:
    """Return a configuration without names that Keras numbers differently in each session."""
    if isinstance(config, dict):
        return {key: _stripped(value) for key, value in config.items() if key not in _NOT_ARCHITECTURE}
    if isinstance(config, list | tuple):
        return [_stripped(value) for value in config]
    return config


def build_once(network: Any) -> None:
    """Create the weights of a network for 48x48 gray images if it has none yet."""
    if not network.built:
        network.build((None, 48, 48, 1))


def build_custom(network: Any, classes: int, images: NDArray[np.uint8]) -> Any:
    """Return a copy of a custom network, with its current weights, that takes pixel values from 0 to 255.

    Args:
        network: the custom model.
        classes: number of classes that it must predict.
        images: some training images, uint8 (n, 48, 48).

    Raises:
        ModelError: If it has another input or output, does not return probabilities, or Keras cannot save it.
    """
    import keras

    from mien.probability_checks import require_probabilities
    from mien.training.network_shapes import check_input, pixel_range_of, rescaled

    build_once(network)
    own = _copy(network)
    if not _is_of_keras(own):
        image = keras.Input((48, 48, 1), name="image")
        own = keras.Model(image, own(image), name=network.name)
    check_input(own, f"network {network.name}", is_file=False)
    if own.output_shape != (None, classes):
        raise ModelError(
            f"network {network.name}: expected an output of shape {(None, classes)}, one probability for each class, "
            f"got {own.output_shape}. End it with keras.layers.Dense({classes}, activation='softmax')."
        )
    whole = rescaled(own, pixel_range_of(own))
    given = whole.predict(images[:16, ..., np.newaxis].astype(np.float32), verbose=0)
    require_probabilities(np.asarray(given, np.float64), name=f"network {network.name}")
    _require_savable(whole)
    return whole


def _is_of_keras(network: Any) -> bool:
    """Return whether a network is a Sequential or functional model, not a custom subclass."""
    return type(network).__module__.startswith("keras.")


def _copy(network: Any) -> Any:
    """Return an uncompiled copy with the same weights.

    Raises:
        ModelError: If it cannot be copied.
    """
    import keras

    try:
        if _is_of_keras(network):
            copy = keras.models.clone_model(network)
        else:
            copy = type(network).from_config(network.get_config())
            copy(np.zeros((1, 48, 48, 1), np.float32))
        copy.set_weights(network.get_weights())
    except Exception as error:
        raise ModelError(_unsavable(error)) from error
    return copy


def _unsavable(error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"Keras cannot save and load this network, so there can be no checkpoint ({reason[:160]}). Register its layers "
        "with @keras.saving.register_keras_serializable() and give them get_config()."
    )


def compile_like(model: Any, network: Any, *, select: str = "loss") -> None:
    """Compile a model with the optimizer and the loss of a compiled custom network.

    Args:
        model: the model.
        network: the custom network.
        select: the criterion for the epoch to keep; `macro_f1` needs a metric.

    Raises:
        ModelError: If the loss expects class indices.
    """
    import keras

    from mien.training.objective import FirstHeadF1

    loss = network.loss
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    if "sparse" in str(name):
        raise ModelError(
            f"Expected `network` compiled with a loss of one-hot targets, got {str(name)[:80]}. Compile it with "
            "loss='categorical_crossentropy'."
        )
    optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(network.optimizer))
    metrics = ["accuracy", *([FirstHeadF1(model.output_shape[-1])] if select == "macro_f1" else [])]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)


def _require_savable(network: Any) -> None:
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        try:
            network.save(path)
            keras.models.load_model(path, compile=False)
        except Exception as error:
            raise ModelError(_unsavable(error)) from error
