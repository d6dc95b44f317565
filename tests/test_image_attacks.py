"""Denial-of-service images: many tiny parts are counted and rejected before anything is decoded."""

from __future__ import annotations

import io
import random
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from mien.content import count_frames
from mien.decoding import _import_reader
from mien.errors import DataError
from mien.image_limits import most_scans
from mien.images import image_size, read_image

_SECONDS = 1.0


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """A small image as a file."""
    file = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert(mode).save(file, kind, **options)
    return file.getvalue()


def segment(code: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, code]) + struct.pack(">H", 2 + len(content)) + content


def jpeg_with(parts: bytes) -> bytes:
    """A JPEG with extra data before its tables."""
    data = encoded("JPEG")
    return data[:2] + parts + data[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(parts: bytes) -> bytes:
    """A PNG with extra data after its header."""
    data = encoded("PNG")
    return data[:33] + parts + data[33:]


def gif_with(parts: bytes) -> bytes:
    """A GIF with extra data before its frame."""
    data = encoded("GIF", "P")
    start = data.index(b",", 13 + 3 * (2 << (data[10] & 7)))
    return data[:start] + parts + data[start:]


def run_length_bmp(width: int, height: int, compression: int = 1) -> bytes:
    """A run-length encoded BMP whose lines end immediately."""
    pixels = b"\0\0" * height + b"\0\1"
    bits = 8 if compression == 1 else 4
    colors = bytes(4 << bits)
    start = 54 + len(colors)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return head + info + colors + pixels


def block(*pieces: bytes) -> bytes:
    """A GIF comment that consists of these pieces."""
    return b"!\xfe" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


_PROFILE = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1_000_000)))

ATTACKS = {
    "tiny EXIF segments": jpeg_with(segment(0xE1, b"Exif\0\0x") * 200_000),
    "long EXIF segments": jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 100),
    "empty comments": jpeg_with(segment(0xFE, b"") * 500_000),
    "empty application segments": jpeg_with(segment(0xEF, b"") * 500_000),
    "tiny segments after fill bytes": jpeg_with((b"\xff\xff" + segment(0xFE, b"")) * 100_000),
    "fill bytes": jpeg_with(b"\xff" * 4_000_000),
    "bytes between segments": jpeg_with(segment(0xFE, b"") + b"\0" * 4_000_000),
    "restart markers": jpeg_with(b"\xff\xd0" * 1_000_000),
    "PNG color profiles": png_with(_PROFILE * 2000),
    "empty PNG chunks": png_with(chunk(b"IDAT", b"") * 300_000),
    "empty PNG text chunks": png_with(chunk(b"tEXt", b"a\0") * 300_000),
    "empty WebP chunks": encoded("WEBP") + b"JUNK\0\0\0\0" * 300_000,
    "a long GIF comment": gif_with(block(*[bytes(255)] * 40_000)),
    "a GIF comment in tiny pieces": gif_with(block(*[b"x"] * 1_000_000)),
    "empty GIF comments": gif_with(block() * 1_000_000),
    "bytes between GIF blocks": gif_with(b"\1" * 2_000_000),
    "8-bit run-length encoding": run_length_bmp(7000, 7000),
    "4-bit run-length encoding": run_length_bmp(7000, 7000, 2),
    "top-down run-length encoding": run_length_bmp(7000, -7000),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_images_with_many_tiny_parts_are_rejected_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(ATTACKS[name])
    for read in (read_image, image_size, count_frames):
        for source in (path, ATTACKS[name]):
            began = time.monotonic()
            with pytest.raises(
                DataError, match=r"with a usual number of parts, got one with .*\. Save it again"
            ):
                read(source)
            assert time.monotonic() - began < _SECONDS


def progressive(scans: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


class TestScans:
    def test_scans_are_counted_for_any_read_size(self) -> None:
        data = progressive(150)
        reader = _import_reader("JPEG")
        for step in (1, 2, 3, 7, 64, 65_536):
            image = reader(io.BytesIO(data))
            image.decodermaxblock = step
            with pytest.raises(OSError, match="more than 100 scans"):
                image.load()

    def test_larger_images_may_have_fewer_scans(self) -> None:
        assert most_scans(1) == most_scans(10_000_000) == 100
        assert most_scans(40_000_000) == 25
        assert most_scans(10**12) == 20
        assert read_image(progressive(15, (1000, 1000))).shape == (1000, 1000, 3)


class TestGoodImages:
    @pytest.mark.parametrize("compression", [1, 2])
    def test_a_small_run_length_bmp_is_read(self, compression: int) -> None:
        lines = (b"\xc8\x01\0\0" * 200) + b"\0\1"  # 200 pixels of the second color, and the end of the line
        data = run_length_bmp(200, 200, compression).removesuffix(b"\0\0" * 200 + b"\0\1") + lines
        assert read_image(data).shape == (200, 200, 3)

    def test_metadata_of_normal_size_are_accepted(self) -> None:
        profile = b"".join(
            segment(0xE2, b"ICC_PROFILE\0" + bytes([i, 255]) + bytes(2000)) for i in range(1, 256)
        )
        metadata = b"".join(
            segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000)) for _ in range(50)
        )
        padded = b"\xff" * 500 + segment(0xFE, b"a comment")
        assert read_image(jpeg_with(profile + metadata + padded)).shape == (48, 64, 3)
        assert read_image(png_with(chunk(b"tEXt", b"a\0b") * 5000)).shape == (48, 64, 3)
        assert read_image(gif_with(block(b"a comment", b"of two pieces"))).shape == (48, 64, 3)

    def test_an_animation_of_many_frames_is_read(self) -> None:
        frames = [Image.new("L", (8, 8), i % 200) for i in range(1500)]
        file = io.BytesIO()
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
        assert count_frames(file.getvalue()) == 1500

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
    def test_damaged_images_are_read_or_rejected_quickly(self, kind: str) -> None:
        data, chance = encoded(kind), random.Random(0)  # noqa: S311 - to try, not to hide
        for _ in range(60):
            mutated = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            began = time.monotonic()
            with suppress(DataError):
                read_image(bytes(mutated[: chance.randint(1, len(mutated))]), max_pixels=1_000_000)
            assert time.monotonic() - began < _SECONDS
