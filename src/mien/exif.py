"""EXIF orientation: read it from a PIL image, and apply it to an array of pixels.

The rules are those of `PIL.ImageOps.exif_transpose`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.decoding import no_warnings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Exif, Image

_TAG = 0x0112
_EXIF_FOLDER = 0x8769
_SIZE_TAGS = (0xA002, 0xA003)  # width and height of the pixels as stored in the file
_CARRIERS = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # orientation -> cv2.flip, after a transpose from 5 on


def orientation_of(image: Image) -> int:
    """Return the EXIF orientation that still has to be applied to the pixels of an image.

    Pillow reads it from EXIF or XMP data, and applies it to TIFF files itself. Images that Pillow derives from
    another one keep the EXIF data, whether they were rotated (`rotate`, `transpose`) or not (`convert`, `resize`).
    For orientations that swap width and height, the shape tells the two apart: the orientation is applied only if the
    image still has the shape that the file stores, by the size in the EXIF data or, without one, in landscape format
    as cameras store it.

    Args:
        image: a PIL image.

    Returns:
        The orientation, from 1 (upright) to 8.
    """
    if hasattr(image, "tag_v2") or not (_CARRIERS & image.info.keys() or getattr(image, "_exif", None)):
        return 1
    from PIL.Image import Image as AnyImage

    with no_warnings():
        try:
            exif = AnyImage.getexif(image)
            orientation: Any = exif.get(_TAG)
        except Exception:  # noqa: BLE001 - damaged data raise all kinds of errors
            return 1
        if orientation not in range(2, 9) or (orientation >= 5 and not _has_stored_shape(image, exif)):
            return 1
    return int(orientation)


def turn_upright(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotate and mirror pixels (h, w, 3) by an EXIF orientation (1 to 8)."""
    if orientation >= 5:
        rgb = np.asarray(cv2.transpose(rgb), np.uint8)
    return np.asarray(cv2.flip(rgb, _FLIPS[orientation]), np.uint8) if orientation in _FLIPS else rgb


def _has_stored_shape(image: Image, exif: Exif) -> bool:
    from PIL.ImageFile import ImageFile

    if isinstance(image, ImageFile) or image.width == image.height:
        return True  # as opened from the file, or square
    width, height = _stored_size(exif)
    return bool((image.width > image.height) == (width >= height))


def _stored_size(exif: Exif) -> tuple[Any, Any]:
    """Return width and height from the EXIF data; (0, 0) if missing."""
    try:
        folder = exif.get_ifd(_EXIF_FOLDER)
    except Exception:  # noqa: BLE001 - as above
        return 0, 0
    sizes = [folder.get(tag) for tag in _SIZE_TAGS]
    return (sizes[0], sizes[1]) if all(isinstance(size, int) and size > 0 for size in sizes) else (0, 0)
