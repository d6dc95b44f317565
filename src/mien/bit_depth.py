"""Of 16 bits a channel, whether they are used: cameras and scanners also put 8, 10 or 12 bits into 16.

White is 65535. Taken at that, values of fewer bits are black, and a face in them is not found; so they are refused
rather than guessed at. A TIFF file that says how many bits it has is taken at its word, and so is a PGM or PPM file
that says which value is white; Pillow scales the values of those.
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

_LEAST = 1 << 12
"""An image of which no value reaches this has 12 bits or fewer."""

_COLOR = frozenset({"RGB", "RGBA", "RGBX", "LA"})  # in which more is lighter
_BITS_PER_SAMPLE = 258  # a TIFF tag


def require_full_range(pixels: NDArray[np.uint16], name: str) -> None:
    """Refuse values of 12 bits or fewer in 16; all of them 0 are black by any count.

    Args:
        pixels: uint16 (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), where the last channel is alpha.
        name: what to call it in an error.

    Raises:
        DataError: no value, or no alpha, uses the upper four bits.
    """
    alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    for part in (pixels[..., :3], pixels[..., 3:]) if alpha else (pixels,):
        most = int(part.max())
        if 0 < most < _LEAST:
            raise _narrow(name, most, by_array=name == "the array")


def bits_of_gray(image: Image, name: str) -> int:
    """How many bits the values of a gray image of 16 bits use: what the file says, or 16.

    Args:
        image: of Pillow's, loaded, with a mode that begins with `I;16`.
        name: what to call it in an error.

    Raises:
        DataError: it does not say, and no value uses the upper four bits.
    """
    tags: Any = getattr(image, "tag_v2", {})
    said: Any = tags.get(_BITS_PER_SAMPLE)
    if isinstance(said, tuple) and said and said[0] in range(9, 16):
        return int(said[0])
    extrema: Any = image.getextrema() if image.mode == "I;16" else (0, np.asarray(image).max())
    most = int(extrema[1])
    if 0 < most < _LEAST:
        raise _narrow(name, most, by_array=False)
    return 16


def deep_color_file(image: Image) -> Any:
    """The open file of an image that stores 16 bits for each of several channels; `None` for others.

    It is a PNG or TIFF file, or a PPM or PGM file with white at 65535. Pillow keeps the upper 8 bits of color, and lets
    go of the file when the image is loaded.
    """
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return None
    if image.format == "PPM":
        form = tiles[0][3]  # its mode, with the value of white where Pillow scales
        deep = form == "I;16B" or (isinstance(form, tuple) and 65535 in form)
    else:
        deep = image.format in {"PNG", "TIFF"} and image.mode in _COLOR and ";16" in str(tiles[0])
    return getattr(image, "fp", None) if deep else None


def require_deep_color(image: Image, name: str, file: Any) -> None:
    """Refuse an image with 16 bits a channel that uses 12 or fewer.

    Args:
        image: loaded.
        name: what to call it in an error.
        file: what `deep_color_file` gave before that.

    Raises:
        DataError: no value, or no alpha, uses the upper four bits.
    """
    extrema: Any = image.getextrema()
    if image.mode == "I":
        if 0 < extrema[1] < _LEAST:
            raise _narrow(name, extrema[1], by_array=False)
        return
    highest = [band[1] for band in extrema]
    color, alpha = (highest[:-1], highest[-1]) if image.mode.endswith("A") else (highest, 255)
    if min(max(color), alpha) >= _LEAST >> 8:
        return
    pixels = _all_bits(image, file)
    if pixels is not None:
        require_full_range(pixels, name)
        return
    most = min(value for value in (max(color), alpha, 255) if value) << 8  # as much as is known of it
    if most < _LEAST:
        raise _narrow(name, most, by_array=False)


def _all_bits(image: Image, file: Any) -> NDArray[np.uint16] | None:
    """The image decoded again with all its bits; `None` where its file is not at hand any more."""
    try:
        if file.closed:  # by Pillow, which opened it
            data = Path(image.filename).read_bytes()  # type: ignore[attr-defined]  # of an image from a file
        else:
            file.seek(0)
            data = file.read()
        data += b"\n"  # the last number of a plain PPM file may end with the file, where OpenCV misses it
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except Exception:  # noqa: BLE001 - whatever is wrong with somebody's file
        return None
    return np.asarray(pixels) if pixels is not None and pixels.dtype == np.uint16 else None


def _narrow(name: str, most: int, *, by_array: bool) -> DataError:
    bits = next(bits for bits in (8, 10, 12) if most < 1 << bits)
    if by_array:
        scaled = "array" if bits == 8 else f"(array >> {bits - 8})"
        remedy = f"If they are of {bits} bits, scale them first: {scaled}.astype('uint8')."
    else:
        remedy = "Scale them to the full range and save it again, best with 8 bits."
    return DataError(
        f"{name}: expected values of 16 bits, where white is 65535, got none above {most}, "
        f"as {bits} bits in 16 have; they would be taken for black. {remedy}"
    )
