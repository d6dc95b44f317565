"""What a file is by its content: an image or a video, and of how many frames."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.decoding import is_image, open_image

if TYPE_CHECKING:
    from mien.images import ImageSource

_HEAD_BYTES = 1024
_MANY_PIXELS = 1 << 40  # nothing is decoded here

# MP4 and QuickTime but for sound alone, Matroska and WebM, AVI, MPEG transport streams.
_VIDEOS = re.compile(
    rb".{4}ftyp(?!M4[AB])|\x1aE\xdf\xa3|RIFF....AVI |(?:G.{187}){2}G|.{4}(?:G.{191}){2}G", re.DOTALL
)
_OF_SEVERAL = frozenset({"PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF"})
"""What Pillow calls the formats that can hold several frames or pages."""


def kind_of_content(path: str | Path) -> Literal["image", "video"] | None:
    """What a file is by its first bytes, whatever its name: an image that is read here, a video, or neither.

    What is no regular file, or cannot be read, is neither.
    """
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None
    return kind_of_bytes(head)


def kind_of_bytes(content: bytes) -> Literal["image", "video"] | None:
    """What bytes are, by how they begin: an image that is read here, a video, or neither."""
    head = content[:_HEAD_BYTES]
    if is_image(head):
        return "image"
    return "video" if _VIDEOS.match(head) else None


def count_frames(source: ImageSource) -> int:
    """How many frames or pages a file has; `mien.images.read_image` reads the first.

    Args:
        source: a path, the bytes of a file, or an open file.

    Returns:
        The frames of an animated GIF, WebP, PNG or AVIF, the pages of a TIFF, the images of a HEIC; 1 for others, and
        where the frames after the first are damaged.

    Raises:
        DataError: it is no image.
    """
    with open_image(source, _MANY_PIXELS) as (_, image):
        if image.format not in _OF_SEVERAL:
            return 1
        try:
            return max(int(getattr(image, "n_frames", 1)), 1)
        except Exception:  # noqa: BLE001 - damaged frames raise anything, and the first is good
            return 1
