"""Average the weights of several networks that were trained from the same initial weights.

Networks trained from the same start often lie in one basin of the loss, and their average often generalizes better than
each of them, at the inference cost of one (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482; Izmailov et al. 2018,
https://arxiv.org/abs/1803.05407).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BATCH = 256


def average_networks(networks: Sequence[keras.Model], images: NDArray[np.uint8]) -> keras.Model:
    """Return a network with the mean weights of networks of the same architecture.

    The statistics of its batch normalization layers are recomputed, because the layers before them have changed.

    Args:
        networks: one or more networks with the same layers.
        images: gray uint8 (n, 48, 48), some thousands, augmented as in the training.

    Raises:
        ModelError: If there is none, or they have different architectures.
    """
    shapes = {tuple(tuple(weight.shape) for weight in network.weights) for network in networks}
    if len(shapes) != 1:
        raise ModelError("Expected networks of one architecture to average, got none or different ones.")
    averaged = keras.models.clone_model(networks[0])
    columns = zip(*(network.get_weights() for network in networks), strict=True)
    averaged.set_weights([np.mean(weights, axis=0) for weights in columns])
    _measure_normalisations(averaged, images)
    return averaged


def _measure_normalisations(network: keras.Model, images: NDArray[np.uint8]) -> None:
    """Set mean and variance of each batch normalization to those of its input, from the first to the last layer."""
    pixels = images[..., np.newaxis].astype(np.float32)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            responses = keras.Model(network.input, layer.input).predict(pixels, batch_size=_BATCH, verbose=0)
            axes = tuple(range(responses.ndim - 1))
            gain, bias, *_ = layer.get_weights()
            layer.set_weights([gain, bias, responses.mean(axis=axes), responses.var(axis=axes)])
