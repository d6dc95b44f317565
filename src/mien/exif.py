"""Which way up an image is: what `PIL.ImageOps.exif_transpose` goes by, and how to turn pixels by it."""

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
_SIZE_TAGS = (0xA002, 0xA003)  # width and height of the pixels as the file stores them
_CARRIERS = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # orientation -> cv2.flip, after a transpose from 5 on


def orientation_of(image: Image) -> int:
    """By which EXIF orientation, 1 to 8, the pixels of an image have yet to be turned; 1 where they are upright.

    It is read by Pillow from EXIF or XMP data. Pillow turns TIFF by itself. An image that Pillow made of another one
    keeps the data, whether it was turned (`rotate`, `transpose`) or not (`convert`, `resize`). Where the orientation
    exchanges width and height, the shape tells the two apart: it is turned only if it still has the shape in which the
    file stores it, by the size in the EXIF data or, without one, wider than high as cameras store it.

    Args:
        image: an image of Pillow's.
    """
    if hasattr(image, "tag_v2") or not (_CARRIERS & image.info.keys() or getattr(image, "_exif", None)):
        return 1
    from PIL.Image import Image as AnyImage

    with no_warnings():
        try:
            exif = AnyImage.getexif(image)
            orientation: Any = exif.get(_TAG)
        except Exception:  # noqa: BLE001 - nonsense in the data, of which anything can come
            return 1
        if orientation not in range(2, 9) or (orientation >= 5 and not _lies_as_stored(image, exif)):
            return 1
    return int(orientation)


def turn_upright(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels (h, w, 3) turned and mirrored as an EXIF orientation says."""
    if orientation >= 5:
        rgb = np.asarray(cv2.transpose(rgb), np.uint8)
    return np.asarray(cv2.flip(rgb, _FLIPS[orientation]), np.uint8) if orientation in _FLIPS else rgb


def _lies_as_stored(image: Image, exif: Exif) -> bool:
    from PIL.ImageFile import ImageFile

    if isinstance(image, ImageFile) or image.width == image.height:
        return True  # just as it was opened, or there is no telling
    width, height = _stored_size(exif)
    return bool((image.width > image.height) == (width >= height))


def _stored_size(exif: Exif) -> tuple[Any, Any]:
    """Width and height in the EXIF data; (0, 0) where they are not told."""
    try:
        folder = exif.get_ifd(_EXIF_FOLDER)
    except Exception:  # noqa: BLE001 - as above
        return 0, 0
    sizes = [folder.get(tag) for tag in _SIZE_TAGS]
    return (sizes[0], sizes[1]) if all(isinstance(size, int) and size > 0 for size in sizes) else (0, 0)
