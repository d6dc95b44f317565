"""Networks as data: a frozen specification of widths and depths, from which `mien.training.networks` builds.

Compact(stem=16, widths=(16, 32), blocks=(1, 1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mien.errors import ModelError

Precision = Literal["float32", "bfloat16"]


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


@dataclass(frozen=True)
class Custom:
    """A network of the user's own, which was passed as a `keras.Model`: described here, not built from this.

    Args:
        name: name of its class.
        checksum: of its architecture and of how it was compiled.
    """

    name: str
    checksum: str


NetworkSpec = Classic | Compact | Custom
NETWORKS: dict[str, type[NetworkSpec]] = {"classic": Classic, "compact": Compact}


def get_network(name: str) -> type[NetworkSpec]:
    """The specification class of that name.

    Raises:
        ModelError: there is none.
    """
    if name == "custom":
        return Custom
    if name not in NETWORKS:
        raise ModelError(f"Expected the network to be one of {', '.join(NETWORKS)}, got {name!r}.")
    return NETWORKS[name]
