"""The input of a network (layout, size and channels), and the conversion of face crops to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import ModelError
from mien.images import CROP_SIZE
from mien.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        assumed: whether the network takes any height or width and none is told, so that the size of the crops is
            assumed.
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

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image: (height, width, channels) or (channels, height, width)."""
        sides = (self.height, self.width)
        return (self.channels, *sides) if self.channels_first else (*sides, self.channels)

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


_LARGEST_VALUE = 1e6
"""Maximum of a pixel range, and of a pixel scale."""


def check_pixel_range(given: Any) -> tuple[float, float] | None:
    """Validate the input values of black and white pixels.

    Raises:
        ModelError: If they are not two increasing numbers.
    """
    if given is None:
        return None
    expected = "the pixel range as two increasing numbers, such as (-1, 1)"
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:  # the last: memoryview
        raise ModelError.from_parts(expected=expected, received=quoted(given)) from error
    if not -_LARGEST_VALUE <= low < high <= _LARGEST_VALUE:
        raise ModelError.from_parts(expected=expected, received=quoted(given))
    return low, high


def check_pixel_scale(given: Any, pixel_range: tuple[float, float] | None) -> float | None:
    """Validate the factor of pixel values from 0 to 255, which is given in place of a pixel range.

    Raises:
        ModelError: If it is not a finite number over 0, or a pixel range is given as well.
    """
    if given is None:
        return None
    is_number = isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)
    if not is_number or not 0 < given <= _LARGEST_VALUE:
        raise ModelError(
            f"Expected `pixel_scale` to be a number over 0, got {quoted(given)}. "
            "Give what pixels from 0 to 255 are multiplied by, for example 1, or leave it out."
        )
    if pixel_range is not None:
        raise ModelError("Expected `pixel_scale` or `pixel_range`, got both. Leave one of them out.")
    return float(given)


def check_input_shape(given: Any) -> tuple[int, int, int] | None:
    """Validate the shape of the images that a network takes: (height, width, channels) or (channels, height, width).

    Raises:
        ModelError: If it is not three such integers, with 1 or 3 channels and sides from 8 to 1024 pixels.
    """
    if given is None:
        return None
    expected = (
        "the input shape as height, width and channels, such as (64, 64, 1), or as channels, height and width, such as "
        "(3, 224, 224), with 1 or 3 channels and sides from 8 to 1024 pixels"
    )
    try:
        shape = tuple(int(side) for side in given)
        whole = not isinstance(given, str) and all(float(side) == int(side) for side in given)
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:  # the last: memoryview
        raise ModelError.from_parts(expected=expected, received=quoted(given)) from error
    if not whole or len(shape) != 3 or image_input((None, *shape)) is None:
        raise ModelError.from_parts(expected=expected, received=quoted(given))
    return shape[0], shape[1], shape[2]


def with_input_shape(
    name: str, shape: Sequence[int | None], given: tuple[int, int, int]
) -> tuple[int | None, ...]:
    """Return the shape of an input with its variable dimensions set to those of `given`.

    Args:
        name: name of the model for error messages.
        shape: the shape of the input, `None` for a variable dimension.
        given: shape of an image, without the batch.

    Raises:
        ModelError: If a fixed dimension differs.
    """
    sides = tuple(shape[1:])
    if len(sides) != 3 or any(side not in {None, wanted} for side, wanted in zip(sides, given, strict=True)):
        raise ModelError.from_parts(
            name,
            expected=f"an input of shape {('n', *given)}, as `input_shape` says",
            received=f"{str(tuple('n' if side is None else side for side in shape))[:80]}",
            remedy="Leave `input_shape` out if the file fixes the shape.",
        )
    return (shape[0], *given)


def read_input(
    name: str,
    shape: list[Any],
    input_shape: tuple[int, int, int] | None = None,
    spec: InputSpec | None = None,
) -> NetworkInput:
    """Interpret the shape of an input.

    Args:
        name: name of the model for error messages.
        shape: the shape from ONNX Runtime: integers, or names or `None` for variable dimensions.
        input_shape: the shape of an image, which sets the variable dimensions.
        spec: the input as a model card describes it, which sets variable dimensions that `input_shape` does not.

    Raises:
        ModelError: If it is not an input for images, or a fixed dimension differs from `input_shape`.
    """
    free = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if input_shape is not None:
        free = list(with_input_shape(name, free, input_shape))
    found = image_input(tuple(free), spec)
    if found is not None:
        return found
    variable = len(free) == 4 and (
        image_input((*free[:3], free[3] or 1)) or image_input((free[0], free[1] or 1, *free[2:]))
    )
    raise ModelError.from_parts(
        name,
        expected="one input of shape (n, height, width, channels) or (n, channels, height, width), with 1 "
        "or 3 channels",
        received=f"{str(shape)[:80]}",
        remedy="Give its shape, such as `input_shape=(64, 64, 1)` or `input_shape=(3, 224, 224)`."
        if variable
        else REMAKE,
    )


def image_input(free: tuple[int | None, ...], spec: InputSpec | None = None) -> NetworkInput | None:
    """Interpret a shape.

    Args:
        free: the shape, `None` for variable dimensions.
        spec: the input as a model card describes it, which sets a variable height or width; else it is 48 pixels.

    Returns:
        The input; `None` if the shape is not that of images.
    """
    height_told, width_told = (spec.height, spec.width) if spec else (CROP_SIZE, CROP_SIZE)
    if len(free) == 4:
        batch = free[0] or 0
        for channels, sides, first in ((free[3], free[1:3], False), (free[1], free[2:4], True)):
            height, width = sides[0] or height_told, sides[1] or width_told
            if channels in {1, 3} and max(height, width) <= _LARGEST and min(height, width) >= 8:
                return NetworkInput(
                    height, width, channels, first, batch, assumed=spec is None and None in sides
                )
    return None
