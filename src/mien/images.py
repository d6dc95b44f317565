"""Read, convert, resize and write images.

mien uses two formats: RGB images, uint8 (height, width, 3), and gray face crops, uint8 (48, 48). Embedded color profiles
are not applied.

>>> image = np.full((4, 6, 3), 255, np.uint8)
>>> to_gray(image).shape
(4, 6)
>>> to_crop(image).shape
(48, 48)
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import cv2
import numpy as np

from mien.array_remedies import form_of
from mien.bit_depth import deep_color_file, require_deep_color
from mien.byte_sources import reason
from mien.decoding import open_image
from mien.errors import DataError
from mien.exif import orientation_of, turn_upright
from mien.files import path_on_disk, write_bytes
from mien.quoting import quoted, quoted_path
from mien.rgb import array_to_rgb, load_with_key_color, to_rgb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any] | Image"
)
"""Types that `read_image` accepts."""

CROP_SIZE = 48
"""Side length of a face crop in pixels, as in FER2013."""

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif",
        ".tiff", ".gif", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".pbm", ".pgm", ".pnm", ".ppm",
    }
)  # fmt: skip
"""Suffixes of image files, used to find them in a folder. The format of a file is detected from its content."""

MAX_PIXELS = 120_000_000
"""Default maximum number of pixels. The largest phone cameras have 108 million; decoding takes about 0.8 GB."""

_MAX_CROP_SIZE = 1 << 14
_ENCODINGS: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0},  # keeps thin colored lines sharp
    ".jpeg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "quality": 92},
}


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image to an RGB array.

    Supported formats are JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, PBM, PGM, PPM and, with the extra `heif`, HEIC. The
    first frame or page of a file is read. Transparent pixels are composited over white. With 16 bits per channel the
    upper 8 bits are kept (white is 65535); images that use 12 bits or fewer raise an error, because they would turn
    out black. This function is thread-safe.

    Args:
        source: a path; the bytes of a file; a file opened with "rb", read from its current position or, if no image
            starts there, from its start; an array, uint8 or uint16 of shape (h, w), (h, w, 1), (h, w, 3) in RGB order
            or (h, w, 4) in RGBA order (OpenCV reads BGR: pass `array[..., ::-1]`); or a PIL image, whose current
            frame is read.
        max_pixels: maximum number of pixels of a file or PIL image, checked before decoding.

    Returns:
        RGB uint8 (height, width, 3), C-contiguous, with the EXIF orientation applied as by
        `PIL.ImageOps.exif_transpose`. A PIL image that was already rotated (`rotate` keeps the tag) is not rotated
        again. A C-contiguous RGB uint8 array is returned as it is, without a copy.

    Raises:
        DataError: If there is no such file; if it is not an image, is too large, damaged or truncated (the missing part
            could show a face); or if the array has another shape or type. Float arrays are rejected, because they do not
            define white.
        MissingExtra: If the image is HEIC and pillow-heif is not installed.
    """
    if isinstance(source, np.ndarray):
        return array_to_rgb(source)
    with open_image(source, max_pixels) as (name, image):
        deep = deep_color_file(image)
        load_with_key_color(image)
        if deep is not None:
            require_deep_color(image, name, deep)
        return turn_upright(to_rgb(image, name), orientation_of(image))


def image_size(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return width and height of the result of `read_image`, in most cases without decoding the image.

    A PNG without EXIF data before its pixels is decoded, because they may follow. Arguments and errors are those of
    `read_image`.
    """
    if isinstance(source, np.ndarray):
        height, width = array_to_rgb(source).shape[:2]
        return width, height
    with open_image(source, max_pixels) as (_, image):
        if image.format == "PNG" and "exif" not in image.info:
            image.load()
        width, height = image.size
        return (height, width) if orientation_of(image) >= 5 else (width, height)


def write_image(path: str | Path, image: NDArray[np.uint8]) -> Path:
    """Write an image as JPEG, PNG or WebP, depending on the suffix. The file is written atomically.

    Args:
        path: a path that ends in .jpg, .jpeg, .png or .webp; its folder is created if necessary.
        image: RGB uint8 (h, w, 3) or gray uint8 (h, w).

    Returns:
        The path.

    Raises:
        DataError: If the path has another suffix, the format cannot hold the image (WebP is limited to 16,383 pixels per
            side), or the file cannot be written.
    """
    path = path_to_write(path, "an image")
    suffix = path.suffix.lower()
    if suffix not in _ENCODINGS:
        raise DataError.from_parts(
            quoted_path(str(path)),
            expected="a name that ends in .jpg, .png or .webp",
            received=quoted_path(suffix) or "no suffix",
        )
    if not isinstance(image, np.ndarray):
        raise DataError.from_parts(expected="an image as an array", received=type(image).__name__)
    try:
        return write_bytes(path, _encoded(array_to_rgb(image), suffix))
    except (OSError, ValueError) as error:
        raise DataError(f"{quoted_path(str(path))}: cannot be written ({reason(error)}).") from error


def encode_image(image: NDArray[np.uint8], suffix: str = ".jpg") -> bytes:
    """Encode an image as JPEG, PNG or WebP in memory.

    Args:
        image: RGB uint8 (h, w, 3) or gray uint8 (h, w).
        suffix: .jpg, .jpeg, .png or .webp.

    Raises:
        DataError: If the suffix is not supported, or the format cannot hold the image.
    """
    if not isinstance(suffix, str) or suffix not in _ENCODINGS:
        raise DataError.from_parts(
            expected=f"one of the formats {', '.join(_ENCODINGS)}", received=quoted(suffix)
        )
    try:
        return _encoded(array_to_rgb(image), suffix)
    except (OSError, ValueError) as error:
        raise DataError(f"The image cannot be encoded as {suffix[1:]} ({reason(error)}).") from error


def _encoded(rgb: NDArray[np.uint8], suffix: str) -> bytes:
    """Encode in memory: Pillow does not notice a full disk when it writes to a file."""
    from PIL.Image import fromarray

    file = io.BytesIO()
    fromarray(rgb).save(file, **_ENCODINGS[suffix])
    return file.getvalue()


def path_to_write(path: Any, what: str) -> Path:
    """Check the path of a file to write.

    Args:
        path: a string or path-like object.
        what: what will be written, for error messages, such as "an image".

    Raises:
        DataError: If it is not a path, or a URL.
    """
    text = ""
    if isinstance(path, str | os.PathLike):
        with suppress(Exception):  # foreign path-like objects can raise anything
            text = os.fsdecode(path)
    if text:
        return path_on_disk(text)
    raise DataError.from_parts(expected=f"the path of {what} to write", received=quoted(path))


def to_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert RGB uint8 (h, w, 3) to luma uint8 (h, w) by ITU-R BT.601; pixels with equal channels keep their value.

    Raises:
        DataError: If the image has another shape or type.
    """
    return np.asarray(cv2.cvtColor(require_rgb(rgb), cv2.COLOR_RGB2GRAY), np.uint8)


def require_rgb(image: Any) -> NDArray[np.uint8]:
    """Return the image if it is RGB uint8 (h, w, 3) with at least one pixel, as `read_image` returns it.

    Raises:
        DataError: If it has another shape or type.
    """
    expected, remedy = "an RGB image as uint8 (h, w, 3)", "Read it with mien.images.read_image."
    if not isinstance(image, np.ndarray):
        raise DataError.from_parts(expected=expected, received=type(image).__name__, remedy=remedy)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError.from_parts(expected=expected, received=form_of(image), remedy=remedy)
    return image


def to_crop(image: NDArray[np.uint8], size: int = CROP_SIZE) -> NDArray[np.uint8]:
    """Convert an image that shows one face to a gray crop, the input of the networks.

    The image is resized (area averaging to shrink, bilinear to enlarge). If it is not square, its center square is used,
    because stretching a face changes its expression.

    Args:
        image: gray uint8 (h, w) or RGB uint8 (h, w, 3).
        size: side length of the crop in pixels, from 1 to 16,384.

    Returns:
        Gray uint8 (size, size).

    Raises:
        DataError: If the image has another shape or type, or the size is out of range.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MAX_CROP_SIZE:
        raise DataError.from_parts(
            expected=f"the side length of a crop in pixels, from 1 to {_MAX_CROP_SIZE}", received=quoted(size)
        )
    is_gray = isinstance(image, np.ndarray) and image.ndim == 2 and image.dtype == np.uint8 and image.size
    gray = image if is_gray else to_gray(image)
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    gray = gray[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(gray)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (size, size), interpolation=method), np.uint8)
