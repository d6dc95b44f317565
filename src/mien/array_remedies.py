"""Error message parts for arrays that cannot be used as an image: dtype and shape, and the remedy.

`mien.images` uses these to complete the message "the array: expected ..., got ...".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.decoding import is_image
from mien.quoting import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_UNIT_RANGE = 2.0  # floats up to this were meant to be in [0, 1]; interpolation overshoots


def form_of(array: NDArray[Any]) -> str:
    """Return the dtype and shape of an array, as shown in error messages."""
    return f"{str(array.dtype)[:40]} {quoted(array.shape)}"


def remedy_for(array: NDArray[Any], fits: bool) -> str:
    """Return the end of the error message for an array that is not a valid image: what is wrong and what to do.

    Args:
        array: the rejected array.
        fits: whether its shape is valid.
    """
    if not array.size:
        return ", which has no pixels. Was it cropped outside its image?"
    if fits:
        return _remedy_of_values(array)
    if array.ndim == 1 and array.dtype == np.uint8 and is_image(array[:1024].tobytes()):
        return ", the bytes of an image file. Pass them as bytes: array.tobytes()."
    if array.ndim == 3 and array.shape[0] in {1, 3, 4}:
        return ". Put the channels last: array.transpose(1, 2, 0)."
    return (
        ". Pass one image at a time, or several to recognizer.predict_batch(images)."
        if array.ndim > 3
        else ". Convert it to one of these shapes."
    )


def _remedy_of_values(array: NDArray[Any]) -> str:
    kind = array.dtype.kind
    if kind not in "iuf":
        return _remedy_of_kind(kind)
    if not np.isfinite(array).all():
        return " with values that are not finite. Replace them first, for example with numpy.nan_to_num."
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        return f" with values from {low:.6g} to {high:.6g}. Scale them to 0 to 255, as uint8, first."
    if kind != "f":
        scale = "255 * " if high == 1 else ""
        return f". Convert it first: {scale}array.astype('uint8')."
    if high >= _MAX_UNIT_RANGE:
        return ". Round its values first: array.round().astype('uint8')."
    within = "array" if high <= 1 else "array.clip(0, 1)"
    return f". Scale floats in [0, 1] first: (255 * {within}).round().astype('uint8')."


def _remedy_of_kind(kind: str) -> str:
    if kind in "bO":
        return f". Convert it first: {'255 * ' if kind == 'b' else ''}array.astype('uint8')."
    return ", which are not numbers. Pass numbers from 0 to 255, as uint8."
