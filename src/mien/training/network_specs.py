"""Network specifications: frozen dataclasses of widths and depths, from which `mien.training.networks` builds networks.

Compact(stem=16, widths=(16, 32), blocks=(1, 1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mien.errors import ModelError
from mien.images import CROP_SIZE

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Classic:
    """The convolutional network of the well-known FER2013 projects: ELU, batch normalization, dropout.

    Three blocks of two convolutions, with max pooling and dropout after each, then one hidden dense layer.
    2.4 million parameters and 496 million multiply-adds per image with the default widths.

    Args:
        widths: channels of the two convolutions of each block.
        kernels: side length of their kernels.
        dropout: share of values dropped after each block.
        dense: units of the hidden dense layer.
        dense_dropout: share of its values dropped.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    kernels: tuple[int, ...] = (5, 3, 3)
    dropout: tuple[float, ...] = (0.25, 0.25, 0.25)
    dense: int = 128
    dense_dropout: float = 0.5


@dataclass(frozen=True)
class Compact:
    """A residual network designed for fast inference: early stride, global average pooling, one dense layer.

    The stem halves the image, because thin layers at full resolution take the most time. ONNX Runtime fuses ReLU, but
    not ELU, with the convolution before it. Residual blocks after He et al. 2015,
    https://arxiv.org/abs/1512.03385.

    Args:
        stem: channels of the strided 5x5 convolution at the start of the network.
        widths: channels of each stage; every stage except the first halves the side length.
        blocks: residual blocks in each stage.
        dropout: share of the pooled features dropped.
        stem_strides: stride of the stem: 2, or 1 at four times the cost per channel.
        squeeze: reduction ratio of squeeze-and-excitation in every block
            (Hu et al. 2017, https://arxiv.org/abs/1709.01507); 0 for none.
    """

    stem: int = 32
    widths: tuple[int, ...] = (48, 96, 192)
    blocks: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.3
    stem_strides: int = 2
    squeeze: int = 0


@dataclass(frozen=True)
class Custom:
    """Description of a custom network that was passed as a `keras.Model`; it cannot be built from this.

    Args:
        name: name of its class.
        checksum: checksum of its architecture and compilation.
    """

    name: str
    checksum: str


NetworkSpec = Classic | Compact | Custom
NETWORKS: dict[str, type[NetworkSpec]] = {"classic": Classic, "compact": Compact}


def get_network(name: str) -> type[NetworkSpec]:
    """Return the specification class of a name.

    Raises:
        ModelError: If there is none.
    """
    if name == "custom":
        return Custom
    if name not in NETWORKS:
        raise ModelError(f"Expected the network to be one of {', '.join(NETWORKS)}, got {name!r}.")
    return NETWORKS[name]


def count_parameters(spec: NetworkSpec, classes: tuple[int, ...]) -> int | None:
    """Count the parameters of a network without building it.

    Args:
        spec: the architecture.
        classes: the number of classes of each head.

    Returns:
        The number, as counted by Keras; `None` for a custom network.
    """
    if isinstance(spec, Classic):
        return _count_classic(spec, classes)
    return _count_compact(spec, classes) if isinstance(spec, Compact) else None


def _conv(kernel: int, channels: int, width: int) -> int:
    """Count a convolution without bias and its batch normalization, with four values per channel."""
    return kernel * kernel * channels * width + 4 * width


def _count_classic(spec: Classic, classes: tuple[int, ...]) -> int:
    total, channels = 0, 1
    for width, kernel in zip(spec.widths, spec.kernels, strict=True):
        total += _conv(kernel, channels, width) + _conv(kernel, width, width) + 2 * width  # and their biases
        channels = width
    size = CROP_SIZE // int(2 ** len(spec.widths))
    total += (size * size * channels + 1) * spec.dense + 4 * spec.dense
    return total + sum((spec.dense + 1) * count for count in classes)


def _count_compact(spec: Compact, classes: tuple[int, ...]) -> int:
    total, channels = _conv(5, 1, spec.stem), spec.stem
    for stage, (width, blocks) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
        for block in range(blocks):
            if (stage and not block) or channels != width:
                total += _conv(1, channels, width)  # the shortcut
            total += _conv(3, channels, width) + _conv(3, width, width)
            if spec.squeeze:
                narrow = width // spec.squeeze
                total += (width + 1) * narrow + (narrow + 1) * width
            channels = width
    return total + sum((channels + 1) * count for count in classes)
