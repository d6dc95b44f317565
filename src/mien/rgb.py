"""Convert decoded images and arrays of any accepted mode, shape and bit depth to RGB, uint8 (height, width, 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.array_remedies import form_of, remedy_for
from mien.bit_depth import bits_of_gray, require_full_range
from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_STRIP_PIXELS = 1 << 18
_WHITE = np.uint8(255)
_LEVELS = {"L;2": 4, "L;4": 16}  # number of gray levels by Pillow's name of the pixel format


def load_with_key_color(image: Image) -> None:
    """Load a PIL image, and scale the transparent color of a PNG with 2, 4 or 16 bits per channel to 8 bits.

    Pillow keeps this color as it is in the file, but decodes the pixels to 8 bits. Of 16 bits, the upper 8 are compared.
    """
    key = _key_color_of(image)
    image.load()
    if key is not None:
        image.info["transparency"] = key


def _key_color_of(image: Image) -> int | tuple[int, ...] | None:
    """Return the transparent color in 8 bits of an image that is not loaded; `None` if Pillow has it right."""
    tiles: Any = getattr(image, "tile", None)
    key: Any = image.info.get("transparency")
    if image.format != "PNG" or not tiles or key is None:
        return None
    stored = tiles[0][3]  # Pillow's name of the pixel format in the file
    if stored in _LEVELS and isinstance(key, int):
        return int(key % _LEVELS[stored] * (255 // (_LEVELS[stored] - 1)))
    if stored == "RGB;16B" and isinstance(key, tuple):
        return tuple(value >> 8 for value in key)
    return None


def to_rgb(image: Image, name: str) -> NDArray[np.uint8]:
    """Convert to RGB uint8 (h, w, 3) in strips, which halves the peak memory and is faster.

    Args:
        image: a loaded PIL image.
        name: name used in error messages.
    """
    width, height = image.size
    bits = {"I": 16}.get(image.mode, 8)  # mode "I" is a PGM file, scaled to 16 bits by Pillow
    if image.mode.startswith("I;16"):
        bits = bits_of_gray(image, name)
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        whole = rows >= height
        strip = image if whole else image.crop((0, top, width, bottom))
        rgb[top:bottom] = _strip_to_rgb(strip, bits)
    return rgb


def _strip_to_rgb(strip: Image, bits: int) -> NDArray[np.uint8]:
    """Convert a strip to uint8 (h, w, 3), or (h, w, 1) if it is gray, from values with this many bits."""
    from PIL.Image import new

    if strip.mode == "I" or strip.mode.startswith("I;16"):  # Pillow's convert clips at 255 instead of scaling
        values = np.asarray(strip)[..., None]
        gray = (values >> (bits - 8)).astype(np.uint8)
        clear = strip.info.get("transparency")
        return np.where(values == clear, _WHITE, gray) if isinstance(clear, int) else gray
    if strip.has_transparency_data:
        paper, layer = new("RGB", strip.size, "white"), strip.convert("RGBA")
        paper.paste(layer, mask=layer)
        strip = paper
    if strip.mode == "L":
        return np.asarray(strip)[..., None]
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def array_to_rgb(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert an array of any accepted shape and type to RGB uint8 (h, w, 3), C-contiguous."""
    array = array if type(array) is np.ndarray else np.asarray(array)  # subclasses may override operators
    channels = array.shape[2] if array.ndim == 3 else 1
    fits = array.ndim in {2, 3} and channels in {1, 3, 4} and array.size
    if not fits or array.dtype.kind != "u" or array.dtype.itemsize > 2:
        expected = (
            "uint8 or uint16 of shape (height, width), (height, width, 3) RGB or (height, width, 4) RGBA"
        )
        received, _, remedy = f"{form_of(array)}{remedy_for(array, bool(fits))}".partition(". ")
        raise DataError(
            f"the array: expected {expected}, got {received}. {remedy}",
            expected=expected,
            received=received,
            remedy=remedy,
        )
    if array.dtype.itemsize == 2:
        require_full_range(array, "the array")
        array = (array >> 8).astype(np.uint8)
    array = np.ascontiguousarray(array)
    if channels == 4:
        from PIL.Image import fromarray

        return to_rgb(fromarray(array), "the array")
    return array if channels == 3 else np.asarray(cv2.cvtColor(array, cv2.COLOR_GRAY2RGB), np.uint8)
