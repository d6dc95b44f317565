"""Which image a source is, and the one reader that takes it; nothing is decoded or converted here.

What a file is, is told by its first bytes and never by its name; then the one Pillow reader of that format is
loaded and nothing else is tried. `PIL.Image.open` is passed by: it loads many readers, and its guard against
bombs is a global and a warning. For `mien.images` alone.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mien.byte_sources import HEAD_BYTES, base64_of_image, open_bytes, reason
from mien.errors import DataError, MienError, MissingExtra, NotEnoughMemoryError, TooLargeError
from mien.image_limits import PartsError, check_parts, most_scans
from mien.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_READERS = {
    "JPEG": (rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": (rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    "WebP": (rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": (rb"BM.{13}\0\0\0", "PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": (rb"II[*+]\0|MM\0[*+]", "PIL.TiffImagePlugin", "TiffImageFile"),
    "GIF": (rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile"),
    "AVIF": (rb".{4}ftyp(?:.{4}){0,12}?avi[fs]", "PIL.AvifImagePlugin", "AvifImageFile"),
    "PGM/PPM": (rb"P[1-6](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+\s", "PIL.PpmImagePlugin", "PpmImageFile"),
    "HEIC": (rb".{4}ftyp(?:.{4}){0,12}?(?:hei[cmsx]|hev[cmsx]|mif1)", "pillow_heif", "HeifImageFile"),
}
"""Format -> how it begins, and the class that reads it. The list is closed: nothing else is ever decoded."""

_STRANGERS = {
    rb"\Z": "an empty file. Get it anew",
    rb"version https://git-lfs": "a Git LFS pointer. Run: git lfs pull",
    rb"(?i)\s*<(?:!doctype html|html|head|body)": "a web page. Download the image itself",
    rb"(?i)\s*<(?:[^\0]*<)?svg": "an SVG drawing. Save it as PNG",
    rb"%PDF": "a PDF document. Save its page as PNG",
    rb"8BPS": "a Photoshop document. Save it as PNG",
    rb"P[Ff]\s|v/1\x01|#\?RADIANCE|#\?RGBE": "an image of floating-point values (PFM, OpenEXR or HDR). Save it as PNG",
    rb"P7\s": "a PAM image. Save it as PNG",
    rb"\0\0[\x01\x02]\0[^\0]\0": "an icon or a cursor of Windows. Save it as PNG",
    rb"DDS |\x01\xda[\0\x01][\x01\x02]|Y\xa6j\x95|\x0a[\0-\x05]\x01[\x01\x02\x04\x08]": (
        "a DDS, SGI, Sun raster or PCX image. Save it as PNG"
    ),
    rb".{128}DICM|SIMPLE  =": "a DICOM or FITS image. Save it as PNG",
    rb"FUJIVIDEOCCD-RAW|.{4}ftypcrx|FOVb": "a camera's raw file. Export it as JPEG",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51|\0\0\0\x0cJXL |\xff\x0a": "JPEG 2000 or JPEG XL. Save it as JPEG or PNG",
    rb".{4}(?:ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01\xba|FLV|G.{187}G|0&\xb2u|OggS": (
        "a video. Watch it with mien.watch(recognizer, path)"
    ),
    rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!": "a packed archive. Unpack it",
    rb"\s*data:": "a data URI. Decode what follows its comma: base64.b64decode(uri.partition(b',')[2])",
    rb".[\0\x01][\x01-\x03\x09-\x0b].{13}[\x08\x0f\x10\x18\x20]": "a TGA image. Save it as PNG",
    rb"[\t\n\r -~\x80-\xff]+\Z": "text. Look whether it is the right file",
}
"""How other files begin -> what they are and what to do."""

_warnings_lock = threading.RLock()


@contextmanager
def open_image(source: Any, max_pixels: int) -> Iterator[tuple[str, Image]]:
    """What to call an image, and the image as a PIL image of good size, not decoded yet.

    Whatever fails inside is told as a DataError.
    """
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise DataError(f"Expected max_pixels as a whole number from 1 on, got {quoted(max_pixels)}.")
    pil = sys.modules.get("PIL.Image")  # who has an image has its module; another thread may be importing it
    if isinstance(source, getattr(pil, "Image", ())):
        image = cast("Image", source)
        with _told("the image", image.format or "PIL", max_pixels):
            yield "the image", _checked(image, "the image", max_pixels)
        return
    with open_bytes(source, is_image) as (name, stream):
        head = _head_of(name, stream)
        kind = _format_of(head)
        if kind is None:
            raise DataError(f"{name}: expected an image ({', '.join(_READERS)}), got {_describe(head)}.")
        _check_parts(kind, name, stream)
        reader = _reader(kind, name)
        noisy = kind in {"TIFF", "GIF", "AVIF"} or (kind == "PNG" and b"acTL" in head)
        with _told(name, kind, max_pixels), no_warnings() if noisy else nullcontext():
            yield name, _checked(reader(stream), name, max_pixels)


def _head_of(name: str, stream: BinaryIO) -> bytes:
    try:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
    except OSError as error:  # a dying disk, a share that is gone
        raise DataError(f"{name}: expected an image, but it cannot be read ({reason(error)}).") from error
    return head


def _check_parts(kind: str, name: str, stream: BinaryIO) -> None:
    try:
        check_parts(kind, stream)
    except PartsError as error:
        raise DataError(
            f"{name}: expected a {kind} image of usual parts, got one of {error}. Save it anew as PNG."
        ) from error
    except OSError as error:
        raise DataError(f"{name}: expected an image, but it cannot be read ({reason(error)}).") from error


def is_image(head: bytes) -> bool:
    """Whether some bytes are the beginning of an image that is read here."""
    return _format_of(head) is not None


def _format_of(head: bytes) -> str | None:
    for kind, (start, _, _) in _READERS.items():
        if re.match(start, head, re.DOTALL):
            return kind
    return None


def _describe(head: bytes) -> str:
    if base64_of_image(head, is_image):
        return "base64. Decode it first: base64.b64decode(text)"
    for start, what in _STRANGERS.items():
        if re.match(start, head, re.DOTALL):
            return what
    return f"bytes that begin with {head[:8].hex(' ')}, as none of these does. Save it anew as JPEG or PNG"


def _reader(kind: str, name: str) -> type[ImageFile]:
    try:
        return _import_reader(kind)
    except ImportError as error:
        missing = MissingExtra("pillow-heif", "heif")
        missing.msg = f"{name}: {missing.msg}"
        raise missing from error


@cache
def _import_reader(kind: str) -> type[ImageFile]:
    _, module, name = _READERS[kind]
    reader = getattr(import_module(module), name)
    return _lean(reader) if kind == "JPEG" else reader


def _lean(reader: Any) -> type[ImageFile]:
    """Pillow's reader of JPEG without what it reads of EXIF on its own, and with an end to the scans."""
    from PIL.Image import Exif

    class LeanJpeg(reader):  # type: ignore[misc]  # known only when it runs
        scans = 0
        last = b""

        def getexif(self) -> Exif:
            return Exif()  # the real one only serves the resolution, loads the reader of TIFF, and warns

        def load_read(self, read_bytes: int) -> bytes:
            data: bytes = super().load_read(read_bytes)
            self.scans += (self.last + data).count(b"\xff\xda")  # a marker may lie in two reads
            self.last = data[-1:]
            if self.scans > (
                most := most_scans(self.size[0] * self.size[1])
            ):  # a small file could take hours
                raise OSError(f"more than {most} scans")
            return data

    return LeanJpeg


@contextmanager
def _told(name: str, kind: str, max_pixels: int) -> Iterator[None]:
    """Tell whatever goes wrong in Pillow, of which anything can, in one sentence."""
    try:
        yield
    except MienError:
        raise
    except MemoryError as error:
        raise NotEnoughMemoryError(
            f"{name}: expected enough free memory to decode it, got less. Make it smaller, or close other programs."
        ) from error
    except Exception as error:
        from PIL.Image import DecompressionBombError

        if isinstance(error, DecompressionBombError):  # some readers look at the size before we can
            raise TooLargeError(
                f"{name}: expected at most {max_pixels / 1e6:g} million pixels, got more than its reader takes "
                f"({reason(error)}). Make it smaller."
            ) from error
        raise DataError(
            f"{name}: expected a whole {kind} image, got one cut short, damaged or of a rare kind "
            f"({reason(error)}). Get it anew or save it as PNG."
        ) from error


@contextmanager
def no_warnings() -> Iterator[None]:
    """Keep some readers from warning of odd metadata; one thread at a time, for the filters are the process's."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _checked(image: Image, name: str, max_pixels: int) -> Image:
    width, height = image.size
    if not width or not height:
        raise DataError(f"{name}: expected an image with pixels, got one of {width}x{height}.")
    if width * height > max_pixels:
        raise TooLargeError(
            f"{name}: expected at most {max_pixels / 1e6:g} million pixels, got {width}x{height}. "
            "Make it smaller; in Python max_pixels can be raised for one that you trust."
        )
    if image.mode in {"I", "F"} and image.format != "PPM":  # Pillow brings those of more than 8 bits to 16
        raise DataError(
            f"{name}: expected 8 or 16 bits a channel, got 32, which do not say what white is. "
            "Save it with 8 bits."
        )
    return image
