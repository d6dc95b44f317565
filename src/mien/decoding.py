"""Detect the format of an image and open it with the matching Pillow plugin, without decoding pixels.

The format is detected from the first bytes, never from the file name, and only the Pillow plugin of that format is
loaded. `PIL.Image.open` is not used, because it loads many plugins and its protection against decompression bombs is
a global setting that only warns. Used only by `mien.images` and `mien.content`.
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
"""Format -> pattern of the first bytes, module and class of the plugin. Other formats are never decoded."""

_OTHER_FORMATS = {
    rb"\Z": "an empty file. Get the file again",
    rb"version https://git-lfs": "a Git LFS pointer. Run: git lfs pull",
    rb"(?i)\s*<(?:!doctype html|html|head|body)": "a web page. Download the image itself",
    rb"(?i)\s*<(?:[^\0]*<)?svg": "an SVG drawing. Export it as PNG",
    rb"%PDF": "a PDF document. Export the page as PNG",
    rb"8BPS": "a Photoshop document. Save it as PNG",
    rb"P[Ff]\s|v/1\x01|#\?RADIANCE|#\?RGBE": "an image of floating-point values (PFM, OpenEXR or HDR). Save it as PNG",
    rb"P7\s": "a PAM image. Save it as PNG",
    rb"\0\0[\x01\x02]\0[^\0]\0": "a Windows icon or cursor. Save it as PNG",
    rb"DDS |\x01\xda[\0\x01][\x01\x02]|Y\xa6j\x95|\x0a[\0-\x05]\x01[\x01\x02\x04\x08]": (
        "a DDS, SGI, Sun raster or PCX image. Save it as PNG"
    ),
    rb".{128}DICM|SIMPLE  =": "a DICOM or FITS image. Save it as PNG",
    rb"FUJIFILMCCD-RAW|.{4}ftypcrx|FOVb": "a camera raw file. Export it as JPEG",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51|\0\0\0\x0cJXL |\xff\x0a": "JPEG 2000 or JPEG XL. Save it as JPEG or PNG",
    rb".{4}(?:ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01\xba|FLV|G.{187}G|0&\xb2u|OggS": (
        "a video. Process it with mien.watch(path, recognizer)"
    ),
    rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!": "an archive. Unpack it",
    rb"\s*data:": "a data URI. Decode the part after the comma: base64.b64decode(uri.partition(b',')[2])",
    rb".[\0\x01][\x01-\x03\x09-\x0b].{13}[\x08\x0f\x10\x18\x20]": "a TGA image. Save it as PNG",
    rb"[\t\n\r -~\x80-\xff]+\Z": "text. Check that it is the right file",
}
"""Pattern of the first bytes of other files -> what they are, and what to do about it."""

_warnings_lock = threading.RLock()


@contextmanager
def open_image(source: Any, max_pixels: int) -> Iterator[tuple[str, Image]]:
    """Open an image without decoding it, and check its size.

    Any exception that Pillow raises inside the `with` block is converted to a DataError.

    Args:
        source: a path, bytes, a file opened with "rb" or a PIL image.
        max_pixels: maximum number of pixels.

    Yields:
        The name of the image, as used in error messages, and the PIL image.

    Raises:
        DataError: If it is not an image in a supported format, or is damaged.
        TooLargeError: If it has more than `max_pixels` pixels.
        NotEnoughMemoryError: If there is not enough memory to decode it.
        MissingExtra: If the image is HEIC and pillow-heif is not installed.
    """
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise DataError.from_parts(
            expected="max_pixels as an integer of at least 1", received=quoted(max_pixels)
        )
    pil = sys.modules.get("PIL.Image")  # imported if the caller has a PIL image
    if isinstance(source, getattr(pil, "Image", ())):
        image = cast("Image", source)
        with _convert_errors("the image", image.format or "PIL", max_pixels):
            yield "the image", _check_size(image, "the image", max_pixels)
        return
    with open_bytes(source, is_image) as (name, stream):
        head = _head_of(name, stream)
        kind = _format_of(head)
        if kind is None:
            received, _, remedy = _describe(head).partition(". ")
            raise DataError.from_parts(
                name, expected=f"an image ({', '.join(_READERS)})", received=received, remedy=f"{remedy}."
            )
        _check_parts(kind, name, stream)
        reader = _reader(kind, name)
        warns = kind in {"TIFF", "GIF", "AVIF"} or (kind == "PNG" and b"acTL" in head)
        with _convert_errors(name, kind, max_pixels), no_warnings() if warns else nullcontext():
            yield name, _check_size(reader(stream), name, max_pixels)


def _head_of(name: str, stream: BinaryIO) -> bytes:
    try:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
    except OSError as error:  # for example, a failing disk or a lost network share
        raise _cannot_read(name, error) from error
    return head


def _cannot_read(name: str, error: OSError) -> DataError:
    return DataError(
        f"{name}: expected an image, but it cannot be read ({reason(error)}).",
        expected="an image",
        received=f"a file that cannot be read ({reason(error)})",
    )


def _check_parts(kind: str, name: str, stream: BinaryIO) -> None:
    try:
        check_parts(kind, stream)
    except PartsError as error:
        raise DataError.from_parts(
            name,
            expected=f"a {kind} image with a usual number of parts",
            received=f"one with {error}",
            remedy="Save it again as PNG.",
        ) from error
    except OSError as error:
        raise _cannot_read(name, error) from error


def is_image(head: bytes) -> bool:
    """Return whether bytes start like an image in a supported format."""
    return _format_of(head) is not None


def _format_of(head: bytes) -> str | None:
    for kind, (start, _, _) in _READERS.items():
        if re.match(start, head, re.DOTALL):
            return kind
    return None


def _describe(head: bytes) -> str:
    if base64_of_image(head, is_image):
        return "base64. Decode it first: base64.b64decode(text)"
    for start, what in _OTHER_FORMATS.items():
        if re.match(start, head, re.DOTALL):
            return what
    return f"bytes that start with {head[:8].hex(' ')}. Save the image again as JPEG or PNG"


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
    return _limited_jpeg(reader) if kind == "JPEG" else reader


def _limited_jpeg(reader: Any) -> type[ImageFile]:
    """Return Pillow's JPEG plugin without its own EXIF parsing and with a maximum number of scans."""
    from PIL.Image import Exif

    class LimitedJpeg(reader):  # type: ignore[misc]  # the base class is known only at run time
        scans = 0
        last = b""

        def getexif(self) -> Exif:
            return Exif()  # Pillow needs it for the resolution only; it would load the TIFF plugin and warn

        def load_read(self, read_bytes: int) -> bytes:
            data: bytes = super().load_read(read_bytes)
            self.scans += (self.last + data).count(b"\xff\xda")  # a marker may span two reads
            self.last = data[-1:]
            # Decoding a small file with many scans could take hours.
            if self.scans > (most := most_scans(self.size[0] * self.size[1])):
                raise OSError(f"more than {most} scans")
            return data

    return LimitedJpeg


@contextmanager
def _convert_errors(name: str, kind: str, max_pixels: int) -> Iterator[None]:
    """Convert every exception of Pillow to a DataError with a one-line message."""
    try:
        yield
    except MienError:
        raise
    except MemoryError as error:
        raise NotEnoughMemoryError.from_parts(
            name,
            expected="enough free memory to decode it",
            received="less",
            remedy="Make it smaller, or close other programs.",
        ) from error
    except Exception as error:
        from PIL.Image import DecompressionBombError

        if isinstance(error, DecompressionBombError):  # some plugins check the size first
            raise TooLargeError.from_parts(
                name,
                expected=f"at most {max_pixels / 1e6:g} million pixels",
                received=f"more than Pillow decodes ({reason(error)})",
                remedy="Make it smaller.",
            ) from error
        raise DataError.from_parts(
            name,
            expected=f"a complete {kind} image",
            received=f"one that is truncated, damaged or of an unsupported variant ({reason(error)})",
            remedy="Get the file again, or save it as PNG.",
        ) from error


@contextmanager
def no_warnings() -> Iterator[None]:
    """Suppress warnings about unusual metadata. One thread at a time: warning filters are global to the process."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_size(image: Image, name: str, max_pixels: int) -> Image:
    width, height = image.size
    if not width or not height:
        raise DataError.from_parts(
            name, expected="an image with pixels", received=f"one of {width}x{height} pixels"
        )
    if width * height > max_pixels:
        raise TooLargeError.from_parts(
            name,
            expected=f"at most {max_pixels / 1e6:g} million pixels",
            received=f"{width}x{height}",
            remedy="Make it smaller. In Python, raise max_pixels for an image that you trust.",
        )
    if image.mode in {"I", "F"} and image.format != "PPM":  # Pillow scales PPM with more than 8 bits to 16
        raise DataError.from_parts(
            name,
            expected="8 or 16 bits per channel",
            received="32, which do not define white",
            remedy="Save it with 8 bits per channel.",
        )
    return image
