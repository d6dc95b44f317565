"""Average the weights of several networks that were trained from a common start.

Networks that share their beginning lie in one valley of the loss, and the point between them often generalises better
than any of them, at the cost of one (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482; Izmailov et al. 2018,
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
    """A new network with the mean weights of networks of the same architecture.

    Its normalisations are measured anew, for they belong to what the layers before them answer now.

    Args:
        networks: one or more, alike layer by layer.
        images: gray uint8 (n, 48, 48), some thousands, changed as in the training.

    Raises:
        ModelError: there is none, or they are not alike.
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
    """Set the mean and variance of each normalization to those of its input, from the first layer to the last."""
    pixels = images[..., np.newaxis].astype(np.float32)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            responses = keras.Model(network.input, layer.input).predict(pixels, batch_size=_BATCH, verbose=0)
            axes = tuple(range(responses.ndim - 1))
            gain, bias, *_ = layer.get_weights()
            layer.set_weights([gain, bias, responses.mean(axis=axes), responses.var(axis=axes)])
