"""Build Keras models from network specifications.

    network = build_network(Classic(), classes=7)

Every network takes gray crops with pixel values 0 to 255, shape (n, 48, 48, 1), rescales them itself, so that
training and inference cannot differ, and returns probabilities (n, classes).
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from mien.errors import ModelError
from mien.images import CROP_SIZE
from mien.training.network_specs import Classic, Compact, NetworkSpec, Precision, get_network

__all__ = ["Classic", "Compact", "NetworkSpec", "Precision", "build_network", "get_network", "multiply_adds"]

if TYPE_CHECKING:
    from collections.abc import Iterator

FEATURES = "features"
"""Name of the last feature map's layer in networks that end in global average pooling and one dense layer."""

HEADS = ("probabilities", "probabilities_2")
"""Names of the output layers: the first, and the second of networks that predict in two label sets."""

REDUCTION = "reduction"
"""Name of the layer that reduces the images in networks that compute at less than 48 pixels."""


def _body(spec: NetworkSpec, x: Any) -> Any:
    """Apply the layers from rescaled pixels to the input of the last dense layer.

    Raises:
        ModelError: If it is a custom network, which cannot be built from its description.
    """
    if isinstance(spec, Classic):
        return _classic(spec, x)
    if isinstance(spec, Compact):
        return _compact(spec, x)
    raise ModelError(f"This recipe is for a network of your own ({spec.name}). Pass it with `network`.")


def _classic(spec: Classic, x: Any) -> Any:
    """Apply the layers from rescaled pixels to the input of the last dense layer."""
    elu = {"activation": "elu", "kernel_initializer": "he_normal"}
    for width, kernel, rate in zip(spec.widths, spec.kernels, spec.dropout, strict=True):
        for _ in range(2):
            x = layers.Conv2D(width, kernel, padding="same", **elu)(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)  # (n, 48, 48, 1) -> 24 -> 12 -> (n, 6, 6, 256)
        x = layers.Dropout(rate)(x)
    map_side = CROP_SIZE // 2 ** len(spec.widths)
    if x.shape[1] != map_side:  # for smaller images: the weights of the dense layer keep their shape
        x = layers.Resizing(map_side, map_side)(x)
    x = layers.Dense(spec.dense, **elu)(layers.Flatten()(x))
    return layers.Dropout(spec.dense_dropout)(layers.BatchNormalization()(x))


def _compact(spec: Compact, x: Any) -> Any:
    """Apply the layers from rescaled pixels to the input of the last dense layer."""
    x = _convolve(x, spec.stem, 5, strides=spec.stem_strides)  # (n, 24, 24, stem)
    for stage, (width, blocks) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
        for block in range(blocks):
            x = _residual(x, width, strides=2 if stage and not block else 1, squeeze=spec.squeeze)
    x = layers.Activation("linear", name=FEATURES)(x)  # (n, 6, 6, 192)
    return layers.Dropout(spec.dropout, dtype="float32")(_pooled(x))


def _convolve(x: Any, width: int, kernel: int, *, strides: int = 1, activation: str | None = "relu") -> Any:
    conv = partial(layers.Conv2D, padding="same", use_bias=False, kernel_initializer="he_normal")
    x = layers.BatchNormalization()(conv(width, kernel, strides=strides)(x))
    return layers.Activation(activation)(x) if activation else x


def _residual(x: Any, width: int, *, strides: int, squeeze: int) -> Any:
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = _convolve(x, width, 1, strides=strides, activation=None)
    x = _convolve(x, width, 3, strides=strides)
    x = _convolve(x, width, 3, activation=None)
    if squeeze:
        share = _pooled(x, keepdims=True)
        share = layers.Conv2D(width // squeeze, 1, activation="relu", kernel_initializer="he_normal")(share)
        x = layers.Multiply()([x, layers.Conv2D(width, 1, activation="sigmoid")(share)])
    return layers.Activation("relu")(layers.Add()([x, shortcut]))


def _pooled(x: Any, *, keepdims: bool = False) -> Any:
    """Apply global average pooling in float32, for any precision of the convolutions."""
    return layers.GlobalAveragePooling2D(keepdims=keepdims, dtype="float32")(x)


def build_network(
    spec: NetworkSpec,
    classes: int | tuple[int, ...],
    *,
    side: int = CROP_SIZE,
    precision: Precision = "float32",
) -> keras.Model:
    """Build a network with initial weights.

    Args:
        spec: the architecture.
        classes: number of classes; for a network with two heads, that of each head.
        side: side length in pixels at which it computes; below 48, it first shrinks its input. The weights have the
            same shapes for every side, for progressive resizing.
        precision: type of number for the computation; `bfloat16` keeps weights, rescaling and softmax in float32.

    Returns:
        A model from float32 (n, 48, 48, 1), values 0 to 255, to probabilities float32 (n, classes), or a list with those
        of each head.
    """
    image = keras.Input((CROP_SIZE, CROP_SIZE, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    if side != CROP_SIZE:
        x = layers.Resizing(side, side, antialias=True, name=REDUCTION)(x)
    with _computing_in(precision):
        x = _body(spec, x)
    heads = [
        layers.Dense(count, activation="softmax", name=name, dtype="float32")(x)
        for count, name in zip((classes,) if isinstance(classes, int) else classes, HEADS, strict=False)
    ]
    return keras.Model(image, heads if len(heads) > 1 else heads[0], name=type(spec).__name__.lower())


@contextmanager
def _computing_in(precision: Precision) -> Iterator[None]:
    """Create layers that compute in a precision inside the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def multiply_adds(network: keras.Model) -> int:
    """Return the multiply-adds of the convolutions and dense layers for one image."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * _size(layer.kernel)
        elif isinstance(layer, layers.Dense):
            total += _size(layer.kernel)
    return total


def _size(variable: Any) -> int:
    return math.prod(int(side) for side in variable.shape)
