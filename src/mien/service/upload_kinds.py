"""Detect the kind of an uploaded file by its first bytes, regardless of its name and declared type."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mien.service.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

RECOGNIZE, RECOGNIZE_VIDEO = "/v1/recognize", "/v1/recognize/video"
"""The routes for images and for videos."""

_HEIC = rb".{4}ftyp(?:.{4}){0,12}?(?:hei[cmsx]|hev[cmsx]|mif1|msf1)"
_AVIF = rb".{4}ftyp(?:.{4}){0,12}?avi[fs]"

IMAGES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF....WEBP",
    "BMP": rb"BM.{13}\0\0\0",
    "GIF": rb"GIF8[79]a",
}
"""Allowlist of image formats that are always accepted, with patterns of their first bytes."""

_IN_CHILD = {"TIFF": rb"II[*+]\0|MM\0[*+]", "AVIF": _AVIF, "HEIC": _HEIC}
"""Formats whose decoders are too large to be trusted in the server process."""

VIDEOS = {
    "MP4 or QuickTime": rb".{4}ftyp",
    "WebM or Matroska": rb"\x1aE\xdf\xa3",
    "AVI": rb"RIFF....AVI ",
}
"""Accepted video formats, with patterns of their first bytes. None of them is a playlist of other files."""

_OTHER_IMAGES = {
    "an AVIF image": _AVIF,  # first, because it may also list HEIC brands
    "a HEIC image": _HEIC,
    "a TIFF image": rb"II[*+]\0|MM\0[*+]",
    "a Netpbm image (PBM, PGM, PPM, PAM)": rb"P[1-7][\s#]",
    "a JPEG 2000 image": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "a JPEG XL image": rb"\0\0\0\x0cJXL |\xff\x0a",
    "an icon (ICO)": rb"\0\0\x01\0[\x01-\x20]\0",
    "a Photoshop document": rb"8BPS",
    "an SVG drawing": rb"(?i)\s*<(?:[^\0]*<)?svg",
    "a PDF document": rb"%PDF",
}
_OTHER_VIDEOS = {
    "an MPEG video": rb"\0\0\x01[\xba\xb3]|G.{187}G",
    "a Flash video": rb"FLV\x01",
    "an Ogg file": rb"OggS",
    "a Windows Media file": rb"0&\xb2u\x8ef\xcf\x11",
    "a QuickTime video without a file type": rb".{4}(?:moov|mdat|wide|free)",
}
_OTHERS = {
    "a Git LFS pointer": (rb"version https://git-lfs", "Fetch the file itself (git lfs pull) and send that."),
    "a web page": (rb"(?i)\s*<(?:!doctype html|html|head|body)", "Download the file itself and send that."),
    "an archive": (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "Unpack it and send the files in it."),
    "JSON": (rb"\s*[\[{]\s*[\"{\[]", "Send the bytes of the file, not JSON."),
    "base64 text": (
        rb"\s*(?:data:[^,]{0,99},|/9j/|iVBORw0KGg|R0lGOD|UklGR|Qk[0-3]|AAAA\w{6,8}Z0eX)",
        "Decode the base64 and send the bytes.",
    ),
}
"""Other known kinds, with patterns of their first bytes and remedies."""

_CONVERT_IMAGE = "Convert it to JPEG or PNG."
_CONVERT_VIDEO = "Convert it to MP4 (ffmpeg -i IN -c:v libx264 OUT.mp4)."


def accepted_images(*, in_child: bool) -> dict[str, bytes]:
    """Return the accepted image formats, with patterns of their first bytes.

    Args:
        in_child: whether images are decoded in child processes; TIFF, AVIF and HEIC are decoded only there.
    """
    if not in_child:
        return IMAGES
    from PIL import features

    missing = {"AVIF"} if not features.check("avif") else set()
    missing |= {"HEIC"} if find_spec("pillow_heif") is None else set()
    return IMAGES | {kind: begin for kind, begin in _IN_CHILD.items() if kind not in missing}


def expect_image(data: bytes, accepted: Mapping[str, bytes] = IMAGES) -> None:
    """Check that a file is an image of an accepted format.

    Args:
        data: bytes of the file.
        accepted: accepted formats, with patterns of their first bytes.

    Raises:
        Refusal: the file is of another kind, which is named if known.
    """
    if _find(accepted, data):
        return
    wanted = f"an image ({', '.join(accepted)}), recognized by its content"
    if other := _find(_OTHER_IMAGES, data):
        raise _unsupported(wanted, other, _CONVERT_IMAGE)
    if video := _find(VIDEOS, data) or _find(_OTHER_VIDEOS, data):
        what = f"a video ({video})" if video in VIDEOS else video
        raise _unsupported(wanted, what, f"Send videos to {RECOGNIZE_VIDEO}.")
    raise _unsupported(wanted, *_describe(data, _CONVERT_IMAGE))


def expect_video(data: bytes) -> None:
    """Check that a file is a video of an accepted format.

    Raises:
        Refusal: the file is of another kind, which is named if known.
    """
    other = _find(_OTHER_IMAGES, data)  # HEIC and AVIF begin like MP4
    if not other and _find(VIDEOS, data):
        return
    wanted = f"a video ({', '.join(VIDEOS)}), recognized by its content"
    if image := _find(IMAGES, data):
        raise _unsupported(wanted, f"an image ({image})", f"Send images to {RECOGNIZE}.")
    if other:
        raise _unsupported(wanted, other, f"{_CONVERT_IMAGE} Send images to {RECOGNIZE}.")
    if video := _find(_OTHER_VIDEOS, data):
        raise _unsupported(wanted, video, _CONVERT_VIDEO)
    raise _unsupported(wanted, *_describe(data, _CONVERT_VIDEO))


def _find(kinds: Mapping[str, bytes], data: bytes) -> str | None:
    return next((kind for kind, begin in kinds.items() if re.match(begin, data[:1024], re.DOTALL)), None)


def _describe(data: bytes, convert: str) -> tuple[str, str]:
    """Return a description of unsupported bytes, and a remedy."""
    if not data:
        return "an empty file", "Check the file; it has no bytes."
    if other := _find({kind: begin for kind, (begin, _) in _OTHERS.items()}, data):
        return other, _OTHERS[other][1]
    return f"bytes that begin with {data[:8].hex(' ')}", convert


def _unsupported(expected: str, received: str, remedy: str) -> Refusal:
    return Refusal(415, expected=expected, received=received, remedy=remedy, reason="kind")
