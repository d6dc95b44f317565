"""Architectures: shapes, parameter counts and layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mien.errors import ModelError
from mien.training.networks import FEATURES, Classic, Compact, build_network, get_network, multiply_adds


def test_classic_has_the_expected_layers_and_parameters() -> None:
    network = build_network(Classic(), 7)
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size[0]) for c in convolutions] == [(64, 5)] * 2 + [(128, 3)] * 2 + [
        (256, 3)
    ] * 2
    assert all(c.activation.__name__ == "elu" for c in convolutions)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("MaxPooling2D") == 3
    assert kinds.count("Dropout") == 4
    assert kinds.count("BatchNormalization") == 7
    assert network.layers[-1].activation.__name__ == "softmax"
    weights = (
        25 * 64 + 25 * 64 * 64 + 9 * (64 * 128 + 128 * 128 + 128 * 256 + 256 * 256) + 9216 * 128 + 128 * 7
    )
    biases_and_norms = 5 * 2 * (64 + 128 + 256) + 5 * 128 + 7
    assert network.count_params() == weights + biases_and_norms


def test_multiply_adds_match_a_manual_count() -> None:
    expected = (
        48**2 * (25 * 64 + 25 * 64**2) + 24**2 * 9 * (64 * 128 + 128**2) + 12**2 * 9 * (128 * 256 + 256**2)
    )
    assert multiply_adds(build_network(Classic(), 7)) == expected + 9216 * 128 + 128 * 7


def test_compact_has_few_parameters_and_6x6_feature_maps() -> None:
    network = build_network(Compact(), 8)
    assert network.count_params() < 2_000_000
    assert network.get_layer(FEATURES).output.shape[1:] == (6, 6, 192)
    assert network.output_shape == (None, 8)


@pytest.mark.parametrize("side", [24, 36, 48])
def test_weights_have_the_same_shapes_for_every_image_size(side: int) -> None:
    spec = Classic(widths=(2, 2, 2), dense=4)
    network = build_network(spec, 7, side=side)
    assert network.input_shape == (None, 48, 48, 1)
    assert [w.shape for w in network.weights] == [w.shape for w in build_network(spec, 7).weights]


def test_networks_rescale_pixels_themselves() -> None:
    network = build_network(Classic(widths=(2, 2, 2), dense=4), 7)
    middle = keras.Model(network.input, network.get_layer("rescaling").output)
    pixels = np.full((1, 48, 48, 1), 255, np.float32)
    np.testing.assert_allclose(np.asarray(middle(pixels)), 1, rtol=1e-6)


def test_unknown_network_is_refused() -> None:
    with pytest.raises(ModelError, match="classic, compact, got 'vgg'"):
        get_network("vgg")
