"""Rewrite a Keras network for its export to ONNX: operators that are fast there, and named outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

MAPS = ("maps", "maps_2")
"""Names of the outputs that hold the class activation maps of each head."""


def simplified(network: keras.Model) -> keras.Model:
    """Return the same network with operators that ONNX has and that are fast there.

    Antialiased resizing becomes two matrix products. The factor of the rescaling is folded into the first
    convolution, because in int8 a separate pass over the image takes longer than the convolution.
    """
    import keras

    from mien.training.networks import REDUCTION

    class MatrixReduction(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, like: keras.Layer) -> None:
            super().__init__(name=like.name)
            identity = np.eye(network.input_shape[1], dtype=np.float32)[np.newaxis, ..., np.newaxis]
            shape = (like.height, identity.shape[2])  # the identity resized along one axis is the matrix
            matrix = keras.ops.image.resize(identity, shape, interpolation=like.interpolation, antialias=True)
            self.matrix = np.asarray(matrix)[0, ..., 0]  # (side, 48)

        def call(self, images: Any) -> Any:
            narrow = keras.ops.einsum("sw,nhwc->nhsc", self.matrix, images)
            return keras.ops.einsum("sh,nhwc->nswc", self.matrix, narrow)

    folded = _first_convolution_after_rescaling(network)

    def replaced(layer: keras.Layer) -> keras.Layer:
        if layer.name == REDUCTION:
            return MatrixReduction(layer)
        if folded and isinstance(layer, keras.layers.Rescaling):
            return keras.layers.Identity(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    if not folded and not any(layer.name == REDUCTION for layer in network.layers):
        return network
    plain = keras.models.clone_model(network, clone_function=replaced)
    plain.set_weights(network.get_weights())
    if folded:
        convolution, scale = folded
        kernel = plain.get_layer(convolution).kernel
        kernel.assign(kernel * scale)
    return plain


def _first_convolution_after_rescaling(network: keras.Model) -> tuple[str, float] | None:
    """Return its name and the factor of the rescaling, if there is only a resizing between the two."""
    import keras

    from mien.training.networks import REDUCTION

    rescaling = next((x for x in network.layers if isinstance(x, keras.layers.Rescaling)), None)
    first = next((x for x in network.layers if isinstance(x, keras.layers.Conv2D)), None)
    if rescaling is None or first is None or np.ndim(rescaling.scale) or np.any(rescaling.offset):
        return None
    pixels = rescaling.output
    for layer in network.layers:
        if layer.name == REDUCTION and layer.input is pixels:
            pixels = layer.output
    return (first.name, float(rescaling.scale)) if first.input is pixels else None


def with_named_outputs(network: keras.Model) -> Any:
    """Return the network with its outputs named, and with features and class activation maps if it has them."""
    import keras

    from mien.training.networks import FEATURES, HEADS

    class ActivationMaps(keras.layers.Layer):  # type: ignore[misc]  # a layer, so that the output has a name
        def __init__(self, head: keras.layers.Dense, name: str) -> None:
            super().__init__(name=name)
            self.head = head

        def call(self, features: Any) -> Any:
            return features @ self.head.kernel + self.head.bias

    named = {layer.name for layer in network.layers}
    if FEATURES not in named:
        image = keras.Input(
            network.input_shape[1:], name="image"
        )  # a loaded Sequential has no output of its own
        return keras.Model(image, {HEADS[0]: network(image)})
    features = network.get_layer(FEATURES).output
    outputs = {FEATURES: features}
    for name, maps in zip(HEADS, MAPS, strict=True):
        if name in named:
            head = network.get_layer(name)
            outputs[name] = head.output
            outputs[maps] = ActivationMaps(head, maps)(features)
    return keras.Model(network.input, outputs)
