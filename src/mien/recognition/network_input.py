"""What an ONNX network takes, read off its input, and crops turned into that: layout, size, channels and range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import ModelError
from mien.images import CROP_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.card import InputSpec

_LARGEST = 1024
"""Pixels a side; larger inputs are of other networks."""

REMAKE = (
    "Make it anew where it was made, with gray or RGB crops of one size and a free batch size going in and float32 "
    "probabilities coming out."
)


@dataclass(frozen=True)
class NetworkInput:
    """The form of a network's input.

    Args:
        height: rows of pixels.
        width: columns of pixels.
        channels: 1 for gray, 3 for RGB.
        channels_first: whether it is (n, channels, height, width).
        batch: how many images go in at once; 0 for any number.
    """

    height: int = CROP_SIZE
    width: int = CROP_SIZE
    channels: int = 1
    channels_first: bool = False
    batch: int = 0

    @property
    def color(self) -> str:
        """`gray` or `rgb`, as a model card has it."""
        return "rgb" if self.channels == 3 else "gray"

    def prepare(self, crops: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
        """Crops as the network takes them.

        Args:
            crops: gray uint8 (n, 48, 48).
            spec: its range of pixel values.

        Returns:
            float32 (n, height, width, channels) or (n, channels, height, width).
        """
        if crops.shape[1:] != (self.height, self.width):
            shrinks = self.height * self.width < CROP_SIZE * CROP_SIZE
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            crops = np.stack(
                [cv2.resize(crop, (self.width, self.height), interpolation=method) for crop in crops]
            )
        pixels = crops.astype(np.float32)
        if (spec.low, spec.high) != (0, 255):
            pixels = np.asarray(spec.low + pixels * np.float32((spec.high - spec.low) / 255), np.float32)
        axis = 1 if self.channels_first else 3
        pixels = np.expand_dims(pixels, axis)
        return np.repeat(pixels, self.channels, axis=axis) if self.channels > 1 else pixels


def read_input(name: str, shape: list[Any]) -> NetworkInput:
    """The form of an input of this shape.

    Args:
        name: the model, for messages.
        shape: as ONNX Runtime gives it: whole numbers, names or `None` for what is free.

    Raises:
        ModelError: it is no input for images.
    """
    free = [side if isinstance(side, int) else None for side in shape]
    if len(free) == 4:
        batch = free[0] or 0
        for channels, sides, first in ((free[3], free[1:3], False), (free[1], free[2:4], True)):
            height, width = (side or CROP_SIZE for side in sides)
            if channels in {1, 3} and max(height, width) <= _LARGEST and min(height, width) >= 8:
                return NetworkInput(height, width, channels, first, batch)
    raise ModelError(
        f"{name}: expected one input of shape (n, height, width, channels) or (n, channels, height, width), with 1 or 3 "
        f"channels, got {str(shape)[:80]}. {REMAKE}"
    )
