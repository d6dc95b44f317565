"""Detect whether a file is an image or a video by its content, and count its frames.

>>> kind_of_bytes(b"GIF89a")
'image'
"""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.decoding import is_image, open_image

if TYPE_CHECKING:
    from mien.images import ImageSource

_HEAD_BYTES = 1024
_JPEG = b"\xff\xd8\xff"
_MANY_PIXELS = 1 << 40  # nothing is decoded here

# MP4 and QuickTime (except audio-only files), Matroska and WebM, AVI, MPEG transport streams.
_VIDEOS = re.compile(
    rb".{4}ftyp(?!M4[AB])|\x1aE\xdf\xa3|RIFF....AVI |(?:G.{187}){2}G|.{4}(?:G.{191}){2}G", re.DOTALL
)
_MULTI_FRAME = frozenset({"PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF"})
"""Pillow's names of the formats that can hold several frames or pages."""


def kind_of_content(path: str | Path) -> Literal["image", "video"] | None:
    """Return whether a file is an image in a supported format or a video, judging by its first bytes.

    The file name does not matter.

    Returns:
        "image", "video", or `None` for other files and for anything that is not a readable regular file.
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
    """Return whether bytes start like an image in a supported format or like a video; `None` for neither."""
    head = content[:_HEAD_BYTES]
    if is_image(head):
        return "image"
    return "video" if _VIDEOS.match(head) else None


def has_several_frames(source: bytes) -> bool:
    """Return whether an image has more frames or pages than the first one; damaged ones do not count."""
    if source.startswith(_JPEG):
        return False
    with suppress(Exception), open_image(source, _MANY_PIXELS) as (_, image):
        return image.format in _MULTI_FRAME and (
            bool(getattr(image, "is_animated", False)) or int(getattr(image, "n_frames", 1)) > 1
        )
    return False


def count_frames(source: ImageSource) -> int:
    """Count the frames or pages of an image file. `mien.images.read_image` reads the first.

    Args:
        source: a path, the bytes of a file, or an open file.

    Returns:
        The number of frames of an animated GIF, WebP, PNG or AVIF, pages of a TIFF, or images of a HEIC; 1 for other
        formats, and if the frames after the first are damaged.

    Raises:
        DataError: If the source is not an image.
    """
    with open_image(source, _MANY_PIXELS) as (_, image):
        if image.format not in _MULTI_FRAME:
            return 1
        try:
            return max(int(getattr(image, "n_frames", 1)), 1)
        except Exception:  # noqa: BLE001 - damaged frames raise all kinds of errors
            return 1
