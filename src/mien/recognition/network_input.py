"""The input of an ONNX network (layout, size and channels), and the conversion of face crops to it."""

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
"""Maximum width and height in pixels; larger inputs belong to other kinds of networks."""

REMAKE = (
    "Export it again where it was made, with gray or RGB crops of one size and a variable batch size as input, and "
    "float32 probabilities as output."
)


@dataclass(frozen=True)
class NetworkInput:
    """The input of a network.

    Args:
        height: height in pixels.
        width: width in pixels.
        channels: 1 for gray, 3 for RGB.
        channels_first: whether the layout is (n, channels, height, width).
        batch: fixed batch size; 0 if it is variable.
        assumed: whether the network takes any height or width, so that the size of the crops is assumed.
    """

    height: int = CROP_SIZE
    width: int = CROP_SIZE
    channels: int = 1
    channels_first: bool = False
    batch: int = 0
    assumed: bool = False

    @property
    def color(self) -> str:
        """`gray` or `rgb`, as in a model card."""
        return "rgb" if self.channels == 3 else "gray"

    def prepare(self, crops: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
        """Convert face crops to the input of the network.

        Args:
            crops: gray uint8 (n, 48, 48).
            spec: the range of pixel values.

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
    """Interpret the shape of an input.

    Args:
        name: name of the model for error messages.
        shape: the shape from ONNX Runtime: integers, or names or `None` for variable dimensions.

    Raises:
        ModelError: If it is not an input for images.
    """
    free = [side if isinstance(side, int) else None for side in shape]
    if len(free) == 4:
        batch = free[0] or 0
        for channels, sides, first in ((free[3], free[1:3], False), (free[1], free[2:4], True)):
            height, width = (side or CROP_SIZE for side in sides)
            if channels in {1, 3} and max(height, width) <= _LARGEST and min(height, width) >= 8:
                return NetworkInput(height, width, channels, first, batch, assumed=None in sides)
    raise ModelError.from_parts(
        name,
        expected="one input of shape (n, height, width, channels) or (n, channels, height, width), with 1 "
        "or 3 channels",
        received=f"{str(shape)[:80]}",
        remedy=f"{REMAKE}",
    )
