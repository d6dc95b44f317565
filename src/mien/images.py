"""The only place that decodes pictures, converts their colour, resizes and writes them.

Two forms exist in mien: an RGB picture, uint8 (height, width, 3), and a gray crop, uint8 (48, 48).

Embedded colour profiles are not applied.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import cv2
import numpy as np

from mien.decoding import open_picture, reason
from mien.errors import DataError
from mien.files import replacing

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from PIL.Image import Image

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any] | Image"
)
"""What `read_image` takes."""

CROP_SIZE = 48
"""Side of a gray crop in pixels: what FER2013 has and the networks take."""

PICTURE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif",
        ".tiff", ".gif", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".pbm", ".pgm", ".pnm", ".ppm",
    }
)  # fmt: skip
"""How the names of pictures end; only for finding them in a folder."""

MAX_PIXELS = 120_000_000
"""More than the 108 million of a phone's largest camera; decoding this many takes about 0.8 GB."""

_STRIP_PIXELS = 1 << 18
_ORIENTATION_TAG = 0x0112
_OVERSHOT = 2.0  # floats up to here were meant to end at 1, and resizing went beyond
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # EXIF orientation -> cv2.flip, after a transpose from 5 on
_ENCODINGS: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0},  # thin coloured lines stay crisp
    ".jpeg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "quality": 92},
}


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a picture, whatever it comes as.

    Files are JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, PBM, PGM, PPM or, with the extra `heif`, HEIC; of several frames
    the first is read. What is transparent is laid on white, of 16 bits a channel the upper 8 are kept. Safe to call from
    several threads.

    Args:
        source: a path; the bytes of a file; a file opened with "rb", read to its end; an array, uint8 or uint16
            of shape (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA; or a PIL image, of which the current
            frame is read.
        max_pixels: a file or PIL image with more is refused, before it is decoded.

    Returns:
        RGB uint8 (height, width, 3), contiguous, turned upright by its EXIF tag. An array that is just so
        already comes back itself.

    Raises:
        DataError: there is no such file, or it is no picture, too large, or damaged; or it is cut short, for
            what is missing could be the face; or the array has another form. Floats are refused, for they do
            not say what white is.
        MissingExtra: the picture is HEIC and pillow-heif is not installed.
    """
    if isinstance(source, np.ndarray):
        return _array_to_rgb(source)
    with open_picture(source, max_pixels) as image:
        image.load()
        return _turn_upright(_to_rgb(image), _orientation(image))


def image_size(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height that `read_image` would give, mostly without decoding.

    A PNG is decoded if no EXIF data stand before its pixels, for they may stand behind. Arguments and errors
    are those of `read_image`.
    """
    if isinstance(source, np.ndarray):
        height, width = _array_to_rgb(source).shape[:2]
        return width, height
    with open_picture(source, max_pixels) as image:
        if image.format == "PNG" and "exif" not in image.info:
            image.load()
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def write_image(path: str | Path, image: NDArray[np.uint8]) -> Path:
    """Write a picture as JPEG, PNG or WebP, told by the suffix; the file is whole or absent.

    Args:
        path: ends in .jpg, .jpeg, .png or .webp; its folder is made if need be.
        image: RGB uint8 (h, w, 3) or gray uint8 (h, w).

    Returns:
        The path.

    Raises:
        DataError: the suffix is another, the picture does not fit the format (WebP ends at 16,383 pixels a
            side), or the file cannot be written.
    """
    from PIL.Image import fromarray

    suffix = Path(path).suffix.lower()
    if suffix not in _ENCODINGS:
        raise DataError(
            f"{path}: expected a name that ends in .jpg, .png or .webp, got {suffix or 'no ending'}."
        )
    rgb = _array_to_rgb(image)
    try:
        with replacing(path) as aside:
            fromarray(rgb).save(aside, **_ENCODINGS[suffix])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be written ({reason(error)}).") from error
    return Path(path)


def to_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB uint8 (h, w, 3) to luma uint8 (h, w) by ITU-R BT.601; a gray picture comes out unchanged."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def to_crop(image: NDArray[np.uint8], size: int = CROP_SIZE) -> NDArray[np.uint8]:
    """A whole picture that shows one face, as the gray crop that networks take.

    The picture is scaled as a whole (area averaging down, bilinear up); one that is not square keeps its
    middle, for squeezing a face changes its expression.

    Args:
        image: gray uint8 (h, w) or RGB uint8 (h, w, 3).
        size: side of the crop in pixels.

    Returns:
        Gray uint8 (size, size).
    """
    gray = to_gray(image) if image.ndim == 3 else image
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    gray = gray[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(gray)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (size, size), interpolation=method), np.uint8)


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none that makes sense.

    Read by hand, for Pillow's `getexif` warns of what is odd elsewhere in the data.
    """
    exif = image.info.get("exif")
    tiff = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}L", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, place)
            if tag == _ORIENTATION_TAG:
                return value if value in range(1, 9) else 1
    except struct.error:  # cut short
        pass
    return 1


def _turn_upright(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation >= 5:
        rgb = np.asarray(cv2.transpose(rgb), np.uint8)
    return np.asarray(cv2.flip(rgb, _FLIPS[orientation]), np.uint8) if orientation in _FLIPS else rgb


def _to_rgb(image: Image) -> NDArray[np.uint8]:
    """RGB uint8 (h, w, 3), strip by strip: half the memory of all at once, and faster for it."""
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        whole = rows >= height
        rgb[top:bottom] = _strip_to_rgb(image if whole else image.crop((0, top, width, bottom)))
    return rgb


def _strip_to_rgb(strip: Image) -> NDArray[np.uint8]:
    """uint8 (h, w, 3), or (h, w, 1) of what is gray."""
    from PIL.Image import new

    if strip.mode == "I" or strip.mode.startswith("I;16"):  # Pillow's convert clips at 255 instead of scaling
        return (np.asarray(strip)[..., None] >> 8).astype(np.uint8)
    if strip.has_transparency_data:
        paper, layer = new("RGB", strip.size, "white"), strip.convert("RGBA")
        paper.paste(layer, mask=layer)
        strip = paper
    if strip.mode == "L":
        return np.asarray(strip)[..., None]
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _array_to_rgb(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An array in any accepted form, as RGB uint8 (h, w, 3), contiguous."""
    channels = array.shape[2] if array.ndim == 3 else 1
    fits = array.ndim in {2, 3} and channels in {1, 3, 4} and array.size
    if not fits or array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise DataError(
            "the array: expected uint8 or uint16 of shape (height, width), (height, width, 3) RGB or "
            f"(height, width, 4) RGBA, got {array.dtype} {array.shape}{_remedy(array, bool(fits))}"
        )
    if array.dtype.itemsize == 2:
        array = (array >> 8).astype(np.uint8)
    array = np.ascontiguousarray(array)
    if channels == 4:
        from PIL.Image import fromarray

        return _to_rgb(fromarray(array))
    return array if channels == 3 else np.asarray(cv2.cvtColor(array, cv2.COLOR_GRAY2RGB), np.uint8)


def _remedy(array: NDArray[Any], fits: bool) -> str:
    """The end of the sentence on an array that is not taken: what is odd about it, and what to do."""
    if not array.size:
        return ", which has no pixels. Was it cut out beyond the edge of its picture?"
    if fits:
        return _remedy_of_values(array)
    if array.ndim == 3 and array.shape[0] in {1, 3, 4}:
        return ". Put the channels last: array.transpose(1, 2, 0)."
    return ". Give one picture at a time." if array.ndim > 3 else ". Bring it into one of these shapes."


def _remedy_of_values(array: NDArray[Any]) -> str:
    kind = array.dtype.kind
    if kind not in "iuf":
        return f". Make numbers of it first: {'255 * ' if kind == 'b' else ''}array.astype('uint8')."
    if not np.isfinite(array).all():
        return " with values that are not finite. Replace them first, with numpy.nan_to_num say."
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        return f" with values from {low:.6g} to {high:.6g}. Scale them into 0 to 255, as uint8, first."
    if kind != "f":
        return ". Change its type first: array.astype('uint8')."
    if high >= _OVERSHOT:
        return ". Round its values first: array.round().astype('uint8')."
    within = "array" if high <= 1 else "array.clip(0, 1)"
    return f". Scale floats in [0, 1] first: (255 * {within}).round().astype('uint8')."
