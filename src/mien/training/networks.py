"""The networks, as data: a specification holds the widths, `build_network` turns it into a Keras model.

Every network takes gray crops with pixel values 0 to 255, shape (n, 48, 48, 1), rescales them itself so that
training and serving cannot drift apart, and answers with probabilities (n, classes).
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from mien.errors import ModelError
from mien.images import CROP_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

Precision = Literal["float32", "bfloat16"]

FEATURES = "features"
"""Name of the last feature map's layer in networks that end in global average pooling and one dense layer."""

HEADS = ("probabilities", "probabilities_2")
"""Names of the layers that answer: the first, and the second of networks that answer in two label sets."""

REDUCTION = "reduction"
"""Name of the layer that reduces the pictures in networks that work at a side under 48."""


@dataclass(frozen=True)
class Classic:
    """The convolutional network that the FER2013 projects share: ELU, batch normalisation, dropout.

    Three blocks of two convolutions, with max pooling and dropout after each, then one hidden dense layer.
    2.4 million parameters and 496 million multiply-adds a picture at the widths given.

    Args:
        widths: channels of the two convolutions of each block.
        kernels: side of their kernels.
        dropout: share of values dropped after each block.
        dense: units of the hidden dense layer.
        dense_dropout: share of its values dropped.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    kernels: tuple[int, ...] = (5, 3, 3)
    dropout: tuple[float, ...] = (0.25, 0.25, 0.25)
    dense: int = 128
    dense_dropout: float = 0.5

    def body(self, x: Any) -> Any:
        """From rescaled pixels to the vector that the last dense layer reads."""
        elu = {"activation": "elu", "kernel_initializer": "he_normal"}
        for width, kernel, rate in zip(self.widths, self.kernels, self.dropout, strict=True):
            for _ in range(2):
                x = layers.Conv2D(width, kernel, padding="same", **elu)(x)
                x = layers.BatchNormalization()(x)
            x = layers.MaxPooling2D()(x)  # (n, 48, 48, 1) -> 24 -> 12 -> (n, 6, 6, 256)
            x = layers.Dropout(rate)(x)
        map_side = CROP_SIZE // 2 ** len(self.widths)
        if (
            x.shape[1] != map_side
        ):  # trained on reduced pictures: the dense layer's weights stay the same shape
            x = layers.Resizing(map_side, map_side)(x)
        x = layers.Dense(self.dense, **elu)(layers.Flatten()(x))
        return layers.Dropout(self.dense_dropout)(layers.BatchNormalization()(x))


@dataclass(frozen=True)
class Compact:
    """A residual network designed for cost: early stride, global average pooling, one dense layer.

    The stem halves the picture at once, for time goes to thin layers at full resolution; ReLU fuses with the
    convolution before it in ONNX Runtime, ELU does not. Residual blocks after He et al. 2015,
    https://arxiv.org/abs/1512.03385.

    Args:
        stem: channels of the strided 5x5 convolution that opens the network.
        widths: channels of each stage; every stage but the first halves the side again.
        blocks: residual blocks in each stage.
        dropout: share of the pooled features dropped.
        stem_strides: 2 as said; 1 for a network that first looks at every pixel, at four times the cost a channel.
        squeeze: every block weighs its channels by what the whole picture shows, through a layer of a `squeeze`-th
            of their number (Hu et al. 2017, https://arxiv.org/abs/1709.01507); 0 for none.
    """

    stem: int = 32
    widths: tuple[int, ...] = (48, 96, 192)
    blocks: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.3
    stem_strides: int = 2
    squeeze: int = 0

    def body(self, x: Any) -> Any:
        """From rescaled pixels to the vector that the last dense layer reads."""
        x = _convolve(x, self.stem, 5, strides=self.stem_strides)  # (n, 24, 24, stem)
        for stage, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True)):
            for block in range(blocks):
                x = _residual(x, width, strides=2 if stage and not block else 1, squeeze=self.squeeze)
        x = layers.Activation("linear", name=FEATURES)(x)  # (n, 6, 6, 192)
        return layers.Dropout(self.dropout, dtype="float32")(_pooled(x))


NetworkSpec = Classic | Compact
NETWORKS: dict[str, type[NetworkSpec]] = {"classic": Classic, "compact": Compact}


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
    """The mean over all places, in float32 whatever the convolutions compute in."""
    return layers.GlobalAveragePooling2D(keepdims=keepdims, dtype="float32")(x)


def build_network(
    spec: NetworkSpec,
    classes: int | tuple[int, ...],
    *,
    side: int = CROP_SIZE,
    precision: Precision = "float32",
) -> keras.Model:
    """A network with fresh weights.

    Args:
        spec: the architecture.
        classes: how many probabilities it gives; for a network with two heads, how many each of them gives.
        side: side in pixels at which it works inside; it reduces its input first where this is under 48. The
            weights have the same shapes for every side, so that a training may begin small and cheap.
        precision: the numbers it computes with; `bfloat16` keeps weights, rescaling and softmax in float32.

    Returns:
        A model from float32 (n, 48, 48, 1), values 0 to 255, to probabilities float32 (n, classes), or to a
        list of those of each head.
    """
    image = keras.Input((CROP_SIZE, CROP_SIZE, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    if side != CROP_SIZE:
        x = layers.Resizing(side, side, antialias=True, name=REDUCTION)(x)
    with _computing_in(precision):
        x = spec.body(x)
    heads = [
        layers.Dense(count, activation="softmax", name=name, dtype="float32")(x)
        for count, name in zip((classes,) if isinstance(classes, int) else classes, HEADS, strict=False)
    ]
    return keras.Model(image, heads if len(heads) > 1 else heads[0], name=type(spec).__name__.lower())


@contextmanager
def _computing_in(precision: Precision) -> Iterator[None]:
    """Layers made inside the block compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def multiply_adds(network: keras.Model) -> int:
    """Multiply-adds of the convolutions and dense layers for one picture."""
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


def get_network(name: str) -> type[NetworkSpec]:
    """The specification class of that name.

    Raises:
        ModelError: there is none.
    """
    if name not in NETWORKS:
        raise ModelError(f"Expected the network to be one of {', '.join(NETWORKS)}, got {name!r}.")
    return NETWORKS[name]
