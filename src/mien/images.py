"""The only place that decodes pictures, converts their colour and resizes them.

Two forms exist in mien: an RGB picture, uint8 (height, width, 3), and a gray crop, uint8 (48, 48).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROP_SIZE = 48
"""Side of a gray crop in pixels: what FER2013 has and the networks take."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def read_image(source: str | Path | bytes) -> NDArray[np.uint8]:
    """Decode a picture from a file or from its bytes.

    Args:
        source: path of a JPEG, PNG, WebP, BMP or TIFF file, or the bytes of one.

    Returns:
        RGB uint8 (height, width, 3), turned upright by its EXIF tag.

    Raises:
        DataError: the file is missing, empty or not a picture.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror}).") from error
    if not data:
        raise DataError(f"{name}: expected a picture, got an empty file.")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DataError(
            f"{name}: expected a picture, got data that cannot be decoded ({error.err})."
        ) from error
    if bgr is None:
        raise DataError(
            f"{name}: expected a JPEG, PNG, WebP, BMP or TIFF picture, got something else or a cut file."
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


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
