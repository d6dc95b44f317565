"""What to do about an array that is no image: its type, its shape or its values are other than expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.decoding import is_image
from mien.quoting import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OVERSHOT = 2.0  # floats up to here were meant to end at 1, and resizing went beyond


def form_of(array: NDArray[Any]) -> str:
    """Type and shape of an array, as a message shows them."""
    return f"{str(array.dtype)[:40]} {quoted(array.shape)}"


def remedy_for(array: NDArray[Any], fits: bool) -> str:
    """The end of the sentence on an array that is not taken: what is odd about it, and what to do."""
    if not array.size:
        return ", which has no pixels. Was it cut out beyond the edge of its image?"
    if fits:
        return _remedy_of_values(array)
    if array.ndim == 1 and array.dtype == np.uint8 and is_image(array[:1024].tobytes()):
        return ", the bytes of an image file. Pass them as bytes: array.tobytes()."
    if array.ndim == 3 and array.shape[0] in {1, 3, 4}:
        return ". Put the channels last: array.transpose(1, 2, 0)."
    return (
        ". Give one image at a time; several go to recognizer.many(images)."
        if array.ndim > 3
        else ". Bring it into one of these shapes."
    )


def _remedy_of_values(array: NDArray[Any]) -> str:
    kind = array.dtype.kind
    if kind not in "iuf":
        return _remedy_of_kind(kind)
    if not np.isfinite(array).all():
        return " with values that are not finite. Replace them first, with numpy.nan_to_num say."
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        return f" with values from {low:.6g} to {high:.6g}. Scale them into 0 to 255, as uint8, first."
    if kind != "f":
        scale = "255 * " if high == 1 else ""
        return f". Change its type first: {scale}array.astype('uint8')."
    if high >= _OVERSHOT:
        return ". Round its values first: array.round().astype('uint8')."
    within = "array" if high <= 1 else "array.clip(0, 1)"
    return f". Scale floats in [0, 1] first: (255 * {within}).round().astype('uint8')."


def _remedy_of_kind(kind: str) -> str:
    if kind in "bO":
        return f". Make numbers of it first: {'255 * ' if kind == 'b' else ''}array.astype('uint8')."
    return ", which are no numbers. Give numbers from 0 to 255, as uint8."
