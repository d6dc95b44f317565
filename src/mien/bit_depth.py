"""Checks of the bit depth of images with 16 bits per channel.

Cameras and scanners also store 8, 10 or 12 bits in 16-bit channels. White is 65535, so such an image would be read as
almost black and no face would be found in it. These images are rejected instead of guessing their range. A TIFF file
that states its bits per sample is trusted, and so is a PGM or PPM file that states its white value (Pillow rescales
those).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_MIN_MAXIMUM = 1 << 12
"""An image whose maximum is below this uses 12 bits or fewer."""

_COLOR = frozenset({"RGB", "RGBA", "RGBX", "LA"})  # modes in which higher values are brighter
_BITS_PER_SAMPLE = 258  # a TIFF tag


def require_full_range(pixels: NDArray[np.uint16], name: str) -> None:
    """Raise an error if 16-bit pixels use 12 bits or fewer. All-zero images pass: they are black at any depth.

    Args:
        pixels: uint16 (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), where the last channel is alpha.
        name: name used in error messages.

    Raises:
        DataError: If no color value, or no alpha value, uses the upper four bits.
    """
    alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    for part in (pixels[..., :3], pixels[..., 3:]) if alpha else (pixels,):
        most = int(part.max())
        if 0 < most < _MIN_MAXIMUM:
            raise _narrow(name, most, by_array=name == "the array")


def bits_of_gray(image: Image, name: str) -> int:
    """Return how many bits the values of a 16-bit gray image use: what the file states, else 16.

    Args:
        image: a loaded PIL image whose mode starts with `I;16`.
        name: name used in error messages.

    Raises:
        DataError: If the file states no bit depth and no value uses the upper four bits.
    """
    tags: Any = getattr(image, "tag_v2", {})
    stated: Any = tags.get(_BITS_PER_SAMPLE)
    if isinstance(stated, tuple) and stated and stated[0] in range(9, 16):
        return int(stated[0])
    extrema: Any = image.getextrema() if image.mode == "I;16" else (0, np.asarray(image).max())
    most = int(extrema[1])
    if 0 < most < _MIN_MAXIMUM:
        raise _narrow(name, most, by_array=False)
    return 16


def deep_color_file(image: Image) -> Any:
    """Return the open file of an image with 16 bits per channel and several channels; `None` for other images.

    Such files are PNG and TIFF, and PPM and PGM with white at 65535. Pillow keeps only the upper 8 bits of color, and
    closes the file when the image is loaded.
    """
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return None
    if image.format == "PPM":
        arguments = tiles[0][3]  # the raw mode, with the white value if Pillow rescales
        deep = arguments == "I;16B" or (isinstance(arguments, tuple) and 65535 in arguments)
    else:
        deep = image.format in {"PNG", "TIFF"} and image.mode in _COLOR and ";16" in str(tiles[0])
    return getattr(image, "fp", None) if deep else None


def require_deep_color(image: Image, name: str, file: Any) -> None:
    """Raise an error if an image with 16 bits per channel uses 12 bits or fewer.

    Args:
        image: a loaded PIL image.
        name: name used in error messages.
        file: the result of `deep_color_file`, called before the image was loaded.

    Raises:
        DataError: If no color value, or no alpha value, uses the upper four bits.
    """
    extrema: Any = image.getextrema()
    if image.mode == "I":
        if 0 < extrema[1] < _MIN_MAXIMUM:
            raise _narrow(name, extrema[1], by_array=False)
        return
    highest = [band[1] for band in extrema]
    color, alpha = (highest[:-1], highest[-1]) if image.mode.endswith("A") else (highest, 255)
    if min(max(color), alpha) >= _MIN_MAXIMUM >> 8:
        return
    pixels = _all_bits(image, file)
    if pixels is not None:
        require_full_range(pixels, name)
        return
    most = min(value for value in (max(color), alpha, 255) if value) << 8  # only the upper 8 bits are known
    if most < _MIN_MAXIMUM:
        raise _narrow(name, most, by_array=False)


def _all_bits(image: Image, file: Any) -> NDArray[np.uint16] | None:
    """Decode the image again with all its bits; `None` if its file is no longer available."""
    try:
        if file.closed:  # by Pillow, which opened it
            data = Path(image.filename).read_bytes()  # type: ignore[attr-defined]  # set for images from a file
        else:
            file.seek(0)
            data = file.read()
        data += b"\n"  # OpenCV misses the last number of a plain PPM file without a newline at the end
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except Exception:  # noqa: BLE001 - any error in a foreign file
        return None
    return np.asarray(pixels) if pixels is not None and pixels.dtype == np.uint16 else None


def _narrow(name: str, most: int, *, by_array: bool) -> DataError:
    bits = next(bits for bits in (8, 10, 12) if most < 1 << bits)
    if by_array:
        scaled = "array" if bits == 8 else f"(array >> {bits - 8})"
        remedy = f"If the values have {bits} bits, scale them first: {scaled}.astype('uint8')."
    else:
        remedy = "Scale the values to the full range and save the file again, preferably with 8 bits."
    return DataError.from_parts(
        name,
        expected="16-bit values, where white is 65535",
        received=f"none above {most}, as {bits} bits in 16 have; the image would be read as black",
        remedy=remedy,
    )
