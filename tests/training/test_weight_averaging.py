"""Weight averaging: identical networks stay the same; batch normalization statistics are recomputed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mien.errors import ModelError
from mien.training.networks import Compact, build_network
from mien.training.weight_averaging import average_networks

TINY = Compact(stem=4, widths=(4, 8), blocks=(1, 1), dropout=0.2)
IMAGES = np.random.default_rng(0).integers(0, 256, (64, 48, 48), dtype=np.uint8)


def answers(network: keras.Model) -> np.ndarray:
    return np.asarray(network.predict(IMAGES[..., None].astype(np.float32), verbose=0)[0])


@pytest.mark.slow
def test_average_of_identical_networks_is_that_network() -> None:
    settled = average_networks([build_network(TINY, (7, 8))], IMAGES)
    again = average_networks([settled, settled, settled], IMAGES)
    np.testing.assert_allclose(answers(again), answers(settled), atol=1e-5)


@pytest.mark.slow
def test_weights_are_averaged_and_batch_norm_statistics_recomputed() -> None:
    first, second = (build_network(TINY, (7, 8)) for _ in range(2))
    found = average_networks([first, second], IMAGES)
    for mine, one, other in zip(
        found.trainable_weights, first.trainable_weights, second.trainable_weights, strict=True
    ):
        np.testing.assert_allclose(mine, (np.asarray(one) + np.asarray(other)) / 2, atol=1e-6)
    pixels = IMAGES[..., None].astype(np.float32)
    for layer in found.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            read = keras.Model(found.input, layer.input).predict(pixels, verbose=0)
            np.testing.assert_allclose(layer.moving_mean, read.mean(axis=(0, 1, 2)), atol=1e-4)
            np.testing.assert_allclose(layer.moving_variance, read.var(axis=(0, 1, 2)), rtol=1e-3)


def test_different_architectures_are_refused() -> None:
    with pytest.raises(ModelError, match="Expected networks of one architecture"):
        average_networks([build_network(TINY, 7), build_network(TINY, 8)], IMAGES)
    with pytest.raises(ModelError, match="got none"):
        average_networks([], IMAGES)
