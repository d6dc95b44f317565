"""The only place that decodes images, converts their color, resizes and writes them.

Two forms exist in mien: an RGB image, uint8 (height, width, 3), and a gray crop, uint8 (48, 48).

Embedded color profiles are not applied.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import cv2
import numpy as np

from mien.array_remedies import form_of, remedy_for
from mien.bit_depth import bits_of_gray, deep_color_file, require_deep_color, require_full_range
from mien.byte_sources import reason
from mien.decoding import open_image
from mien.errors import DataError
from mien.exif import orientation_of, turn_upright
from mien.files import replacing
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any] | Image"
)
"""What `read_image` takes."""

CROP_SIZE = 48
"""Side of a gray crop in pixels: what FER2013 has and the networks take."""

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif",
        ".tiff", ".gif", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".pbm", ".pgm", ".pnm", ".ppm",
    }
)  # fmt: skip
"""How the names of images end; only for finding them in a folder."""

MAX_PIXELS = 120_000_000
"""More than the 108 million of a phone's largest camera; decoding this many takes about 0.8 GB."""

_STRIP_PIXELS = 1 << 18
_MOST_SIDE = 1 << 14
_ENCODINGS: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0},  # thin colored lines stay crisp
    ".jpeg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "quality": 92},
}


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image, whatever it comes as.

    Files are JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, PBM, PGM, PPM or, with the extra `heif`, HEIC; of several frames
    the first is read. What is transparent is laid on white. Of 16 bits a channel the upper 8 are kept, so white is
    65535; values that use 12 bits or fewer are refused, for they would be black. Safe to call from several threads.

    Args:
        source: a path; the bytes of a file; a file opened with "rb", read from where it stands or, if no image
            begins there, from its beginning; an array, uint8 or uint16 of shape (h, w), (h, w, 1), (h, w, 3) RGB
            or (h, w, 4) RGBA (OpenCV reads BGR: pass `array[..., ::-1]`); or a PIL image, of which the current
            frame is read.
        max_pixels: a file or PIL image with more is refused, before it is decoded.

    Returns:
        RGB uint8 (height, width, 3), contiguous, turned upright by its EXIF tag as `PIL.ImageOps.exif_transpose`
        does. A PIL image that was turned already (`rotate` keeps the tag) is not turned again. An array that is just so
        already comes back itself.

    Raises:
        DataError: there is no such file, or it is no image, too large, or damaged; or it is cut short, for
            what is missing could be the face; or the array has another form. Floats are refused, for they do
            not say what white is.
        MissingExtra: the image is HEIC and pillow-heif is not installed.
    """
    if isinstance(source, np.ndarray):
        return _array_to_rgb(source)
    with open_image(source, max_pixels) as (name, image):
        deep = deep_color_file(image)
        image.load()
        if deep is not None:
            require_deep_color(image, name, deep)
        return turn_upright(_to_rgb(image, name), orientation_of(image))


def image_size(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height that `read_image` would give, mostly without decoding.

    A PNG is decoded if no EXIF data stand before its pixels, for they may stand behind. Arguments and errors
    are those of `read_image`.
    """
    if isinstance(source, np.ndarray):
        height, width = _array_to_rgb(source).shape[:2]
        return width, height
    with open_image(source, max_pixels) as (_, image):
        if image.format == "PNG" and "exif" not in image.info:
            image.load()
        width, height = image.size
        return (height, width) if orientation_of(image) >= 5 else (width, height)


def write_image(path: str | Path, image: NDArray[np.uint8]) -> Path:
    """Write an image as JPEG, PNG or WebP, told by the suffix; the file is whole or absent.

    Args:
        path: ends in .jpg, .jpeg, .png or .webp; its folder is made if need be.
        image: RGB uint8 (h, w, 3) or gray uint8 (h, w).

    Returns:
        The path.

    Raises:
        DataError: the suffix is another, the image does not fit the format (WebP ends at 16,383 pixels a
            side), or the file cannot be written.
    """
    from PIL.Image import fromarray

    path = path_to_write(path, "an image")
    suffix = path.suffix.lower()
    if suffix not in _ENCODINGS:
        raise DataError(
            f"{quoted_path(str(path))}: expected a name that ends in .jpg, .png or .webp, "
            f"got {quoted_path(suffix) or 'no ending'}."
        )
    if not isinstance(image, np.ndarray):
        raise DataError(f"Expected an image to write as an array, got {type(image).__name__}.")
    rgb = _array_to_rgb(image)
    try:
        with replacing(path) as aside:
            fromarray(rgb).save(aside, **_ENCODINGS[suffix])
    except (OSError, ValueError) as error:
        raise DataError(f"{quoted_path(str(path))}: cannot be written ({reason(error)}).") from error
    return path


def path_to_write(path: Any, what: str) -> Path:
    """The path of a file to write.

    Raises:
        DataError: it is no path.
    """
    if isinstance(path, str | os.PathLike):
        with suppress(Exception):  # a path that cannot say where it leads
            text = os.fsdecode(path)
            if text and "://" not in text:
                return Path(text)
    raise DataError(f"Expected the path of {what} to write, got {quoted(path)}.")


def to_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB uint8 (h, w, 3) to luma uint8 (h, w) by ITU-R BT.601; equal channels come out unchanged.

    Raises:
        DataError: it has another form.
    """
    return np.asarray(cv2.cvtColor(require_rgb(rgb), cv2.COLOR_RGB2GRAY), np.uint8)


def require_rgb(image: Any) -> NDArray[np.uint8]:
    """The same image, made sure to be RGB uint8 (h, w, 3) with pixels, as `read_image` gives it.

    Raises:
        DataError: it has another form.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"Expected an RGB image as uint8 (h, w, 3), got {type(image).__name__}. "
            "Get one with mien.images.read_image."
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"Expected an RGB image as uint8 (h, w, 3), got {form_of(image)}.")
    return image


def to_crop(image: NDArray[np.uint8], size: int = CROP_SIZE) -> NDArray[np.uint8]:
    """A whole image that shows one face, as the gray crop that networks take.

    The image is scaled as a whole (area averaging down, bilinear up); one that is not square keeps its
    middle, for squeezing a face changes its expression.

    Args:
        image: gray uint8 (h, w) or RGB uint8 (h, w, 3).
        size: side of the crop in pixels.

    Returns:
        Gray uint8 (size, size).

    Raises:
        DataError: the image has another form, or the size is no whole number in reason.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MOST_SIDE:
        raise DataError(f"Expected the side of a crop in pixels, from 1 to {_MOST_SIDE}, got {quoted(size)}.")
    flat = isinstance(image, np.ndarray) and image.ndim == 2 and image.dtype == np.uint8 and image.size
    gray = image if flat else to_gray(image)
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    gray = gray[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(gray)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (size, size), interpolation=method), np.uint8)


def _to_rgb(image: Image, name: str) -> NDArray[np.uint8]:
    """RGB uint8 (h, w, 3), strip by strip: half the memory of all at once, and faster for it."""
    width, height = image.size
    bits = {"I": 16}.get(image.mode, 8)  # of a PGM file, brought to 16 by Pillow
    if image.mode.startswith("I;16"):
        bits = bits_of_gray(image, name)
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        whole = rows >= height
        rgb[top:bottom] = _strip_to_rgb(image if whole else image.crop((0, top, width, bottom)), bits)
    return rgb


def _strip_to_rgb(strip: Image, bits: int) -> NDArray[np.uint8]:
    """uint8 (h, w, 3), or (h, w, 1) of what is gray, of which so many bits are used."""
    from PIL.Image import new

    if strip.mode == "I" or strip.mode.startswith("I;16"):  # Pillow's convert clips at 255 instead of scaling
        return (np.asarray(strip)[..., None] >> (bits - 8)).astype(np.uint8)
    if strip.has_transparency_data:
        paper, layer = new("RGB", strip.size, "white"), strip.convert("RGBA")
        paper.paste(layer, mask=layer)
        strip = paper
    if strip.mode == "L":
        return np.asarray(strip)[..., None]
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _array_to_rgb(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An array in any accepted form, as RGB uint8 (h, w, 3), contiguous."""
    array = array if type(array) is np.ndarray else np.asarray(array)  # a subclass may compute otherwise
    channels = array.shape[2] if array.ndim == 3 else 1
    fits = array.ndim in {2, 3} and channels in {1, 3, 4} and array.size
    if not fits or array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise DataError(
            "the array: expected uint8 or uint16 of shape (height, width), (height, width, 3) RGB or "
            f"(height, width, 4) RGBA, got {form_of(array)}{remedy_for(array, bool(fits))}"
        )
    if array.dtype.itemsize == 2:
        require_full_range(array, "the array")
        array = (array >> 8).astype(np.uint8)
    array = np.ascontiguousarray(array)
    if channels == 4:
        from PIL.Image import fromarray

        return _to_rgb(fromarray(array), "the array")
    return array if channels == 3 else np.asarray(cv2.cvtColor(array, cv2.COLOR_GRAY2RGB), np.uint8)
