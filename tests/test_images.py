"""Reading images, compared with known values, NumPy and OpenCV; rejected inputs; writing; gray values and crops."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
import subprocess
import sys
import tempfile
import textwrap
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from mien.errors import DataError
from mien.images import IMAGE_SUFFIXES, image_size, read_image, to_crop, to_gray, write_image
from mien.installation import install_command

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIC")
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
}
RNG = np.random.default_rng(0)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIC":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.from_pillow(image).save(buffer, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_opencv(suffix: str, bgr: NDArray[Any]) -> bytes:
    good, data = cv2.imencode(suffix, bgr)
    assert good
    return bytes(data.tobytes())


def draw(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    """An asymmetric image of soft colors."""
    coarse = np.random.default_rng(7).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height)), np.uint8)


def palette_image(*colors: tuple[int, int, int], index: int) -> Image.Image:
    image = Image.new("P", (9, 7), index)
    image.putpalette([value for color in colors for value in color])
    return image


def exif(orientation: int, order: str = ">", before: int = 3) -> bytes:
    """Hand-made EXIF data: `before` other entries, then the orientation."""
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}L", 8)
    entries = [struct.pack(f"{order}HHLL", 0x00F0 + i, 4, 1, i) for i in range(before)]
    entries.append(struct.pack(f"{order}HHLHH", 0x0112, 3, 1, orientation, 0))
    return b"Exif\0\0" + head + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


# ---------------------------------------------------------------------------------------------- color


def cmyk_to_rgb(*ink: int) -> list[float]:
    *colors, black = ink
    return [(255 - color) * (255 - black) / 255 for color in colors]


def ycck_jpeg(*ink: int) -> bytes:
    """A JPEG as Photoshop writes it: inks as YCbCr, black inverted, marked with Adobe's transform 2."""
    *colors, black = ink
    ycc = Image.new("RGB", (16, 16), tuple(colors)).convert("YCbCr").getpixel((0, 0))
    stored = (*ycc, 255 - black)  # type: ignore[misc]  # Pillow inverts on the way out
    data = encode(Image.new("CMYK", (16, 16), tuple(255 - v for v in stored)), "JPEG", quality=100)
    place = data.index(b"Adobe") + 11
    assert data[place] == 0
    return data[:place] + b"\x02" + data[place + 1 :]


def lab_to_rgb(lightness: int, a: int, b: int) -> NDArray[np.float64]:
    """CIE L*a*b* of 8 bits (D50) to sRGB by the formulas, brucelindbloom.com."""
    y = (lightness * 100 / 255 + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    to_linear = [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
                 [0.0719453, -0.2289914, 1.4052427]]  # fmt: skip
    linear = to_linear @ xyz
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def lab_image(lightness: int, a: int, b: int) -> Image.Image:
    return Image.merge("LAB", [Image.new("L", (8, 8), v) for v in (lightness, a + 128, b + 128)])


GRAY_16 = np.full((7, 9), 0x8040, np.uint16)
BGR_16 = np.full((7, 9, 3), (0x1180, 0x22FF, 0xFE99), np.uint16)
BGRA_8 = np.full((7, 9, 4), (0, 0, 200, 128), np.uint8)
INK = (200, 30, 60, 40)

COLORS: dict[str, tuple[Callable[[], bytes], Any]] = {
    "png": (lambda: by_opencv(".png", np.full((7, 9, 3), (30, 20, 10), np.uint8)), (10, 20, 30)),
    "bmp": (lambda: by_opencv(".bmp", np.full((7, 9, 3), (30, 20, 10), np.uint8)), (10, 20, 30)),
    "tiff": (lambda: by_opencv(".tiff", np.full((7, 9, 3), (30, 20, 10), np.uint8)), (10, 20, 30)),
    "png gray": (lambda: by_opencv(".png", np.full((7, 9), 77, np.uint8)), 77),
    "jpeg gray": (lambda: by_opencv(".jpg", np.full((16, 16), 77, np.uint8)), 77),
    "png 16 gray": (lambda: by_opencv(".png", GRAY_16), 0x80),
    "png 16 rgb": (lambda: by_opencv(".png", BGR_16), (0xFE, 0x22, 0x11)),
    "tiff 16 gray": (lambda: by_opencv(".tiff", GRAY_16), 0x80),
    "tiff 16 rgb": (lambda: by_opencv(".tiff", BGR_16), (0xFE, 0x22, 0x11)),
    "tiff 16 raw": (lambda: encode(Image.fromarray(GRAY_16), "TIFF"), 0x80),
    "tiff 16 big end": (lambda: encode(Image.frombytes("I;16B", (2, 1), b"\x80\x40\x80\x40"), "TIFF"), 0x80),
    "png 1 bit": (lambda: encode(Image.new("1", (9, 7), 1), "PNG"), 255),
    "tiff fax": (lambda: encode(Image.new("1", (9, 7), 1), "TIFF", compression="group4"), 255),
    "png palette": (lambda: encode(palette_image((9, 9, 9), (10, 20, 30), index=1), "PNG"), (10, 20, 30)),
    "gif palette": (lambda: encode(palette_image((9, 9, 9), (10, 20, 30), index=1), "GIF"), (10, 20, 30)),
    "png palette clear": (
        lambda: encode(palette_image((0, 0, 0), (10, 20, 30), index=1), "PNG", transparency=1), 255),
    "gif palette clear": (
        lambda: encode(palette_image((0, 0, 0), (10, 20, 30), index=1), "GIF", transparency=1), 255),
    "png palette half": (
        lambda: encode(palette_image((0, 0, 0), (10, 20, 30), index=1), "PNG", transparency=b"\0\x80"),
        [255 + (v - 255) * 128 / 255 for v in (10, 20, 30)]),
    "png key color": (lambda: encode(Image.new("RGB", (9, 7), (1, 2, 3)), "PNG", transparency=(1, 2, 3)), 255),
    "png alpha": (lambda: by_opencv(".png", BGRA_8), [255 + (v - 255) * 128 / 255 for v in (200, 0, 0)]),
    "webp alpha": (lambda: encode(Image.new("RGBA", (9, 7), (200, 0, 0, 0)), "WEBP", lossless=True), 255),
    "tiff alpha": (lambda: by_opencv(".tiff", BGRA_8), [255 + (v - 255) * 128 / 255 for v in (200, 0, 0)]),
    "png gray alpha": (lambda: encode(Image.new("LA", (9, 7), (100, 51)), "PNG"), 255 - 155 * 51 / 255),
    "jpeg cmyk": (lambda: encode(Image.new("CMYK", (16, 16), INK), "JPEG", quality=100), cmyk_to_rgb(*INK)),
    "jpeg ycck": (lambda: ycck_jpeg(*INK), cmyk_to_rgb(*INK)),
    "tiff cmyk": (lambda: encode(Image.new("CMYK", (9, 7), INK), "TIFF"), cmyk_to_rgb(*INK)),
    "tiff lab": (lambda: encode(lab_image(128, 7, -47), "TIFF"), lab_to_rgb(128, 7, -47)),
    "tiff ycbcr": (
        lambda: encode(Image.new("RGB", (16, 16), (10, 200, 90)), "TIFF", compression="jpeg", quality=100),
        (10, 200, 90)),
    "avif": (lambda: encode(Image.new("RGB", (16, 16), (10, 200, 90)), "AVIF", quality=100), (10, 200, 90)),
    "heic": (lambda: encode(Image.new("RGB", (16, 16), (10, 200, 90)), "HEIC", quality=100), (10, 200, 90)),
}  # fmt: skip


@pytest.mark.parametrize("name", COLORS)
def test_colors_are_decoded_in_every_format(name: str) -> None:
    make, expected = COLORS[name]
    image = read_image(make())
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image.ndim == 3
    assert image.shape[2] == 3
    near = 3 if name in {"jpeg cmyk", "jpeg ycck", "tiff ycbcr", "avif", "heic"} else 1
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=near)


def keyed_png(depth: int, values: Any, key: Any) -> bytes:
    """A PNG of one row, gray or RGB, with a transparent color."""
    row = np.asarray(values)
    bits = "".join(f"{value:0{depth}b}" for value in row.ravel())
    pixels = bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(
                b"IHDR", struct.pack(">IIBBBBB", len(row), 1, depth, 0 if row.ndim == 1 else 2, 0, 0, 0)
            ),
            png_chunk(b"tRNS", np.asarray(key, ">u2").tobytes()),
            png_chunk(b"IDAT", zlib.compress(b"\0" + pixels)),
            png_chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize(
    ("depth", "values", "key", "expected"),
    [
        (1, [0, 1], 0, [255, 255]),
        (2, [0, 1, 2, 3], 1, [0, 255, 170, 255]),
        (4, [0, 3, 15, 4], 3, [0, 255, 255, 68]),
        (8, [0, 3, 200, 4], 3, [0, 255, 200, 4]),
        (16, [0, 60_000, 60_001], 60_000, [0, 255, 234]),
        (16, [0, 60_000, 30_000], 0, [255, 234, 117]),
        (8, [(3, 3, 3), (3, 3, 4)], (3, 3, 3), [(255,) * 3, (3, 3, 4)]),
        (16, [(60_000, 0, 9), (0, 0, 60_000)], (60_000, 0, 9), [(255,) * 3, (0, 0, 234)]),
        (16, [(65_535, 0, 0), (0, 0, 60_000)], (65_535, 0, 0), [(255,) * 3, (0, 0, 234)]),
    ],
)
def test_a_transparent_color_of_any_bit_depth_becomes_white(
    depth: int, values: Any, key: Any, expected: Any
) -> None:
    rows = np.array(expected, np.uint8)
    rows = rows[:, None].repeat(3, axis=1) if rows.ndim == 1 else rows
    file = keyed_png(depth, values, key)
    np.testing.assert_array_equal(read_image(file)[0], rows)
    image = Image.open(io.BytesIO(file))
    for _ in range(2):  # the second time, it is loaded already
        np.testing.assert_array_equal(read_image(image)[0], rows)


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300_000), (300_000, 1), (700, 650), (513, 512)])
def test_lossless_images_are_read_pixel_for_pixel_in_any_shape(kind: str, shape: tuple[int, int]) -> None:
    if kind == "WEBP" and max(shape) > 16383:
        shape = (16383 if shape[0] > 1 else 1, 16383 if shape[1] > 1 else 1)
    rows = (np.arange(shape[0] * shape[1] * 3, dtype=np.uint32) * 2654435761 >> 11).astype(np.uint8)
    image = rows.reshape(*shape, 3)
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(image), kind, **LOSSLESS[kind])), image)


def test_jpeg_matches_opencv() -> None:
    data = encode(Image.fromarray(draw(600, 900)), "JPEG", quality=90)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert theirs is not None
    assert np.abs(read_image(data).astype(int) - theirs).max() <= 2


# ---------------------------------------------------------------------------------------------- EXIF

UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.swapaxes(stored[::-1, ::-1], 0, 1),
    8: lambda stored: np.rot90(stored, 1),
}
"""The transform that the EXIF specification defines for each orientation, from stored to upright pixels."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_exif_orientation_is_applied(kind: str, order: str, orientation: int) -> None:
    options: dict[str, Any] = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}} | LOSSLESS
    data = encode(
        Image.fromarray(draw()),
        kind,
        exif=exif(orientation, order, 0 if kind == "TIFF" else 3),
        **options[kind],
    )
    image = read_image(data)
    expected = UPRIGHT[orientation](draw())
    assert image.shape == expected.shape
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - expected).mean() < (0.01 if kind in LOSSLESS else 6)
    assert image_size(data) == (image.shape[1], image.shape[0])
    np.testing.assert_array_equal(read_image(Image.open(io.BytesIO(data))), image)


def test_heic_image_is_rotated_only_once() -> None:
    upright = read_image(encode(Image.fromarray(draw(64, 96)), "HEIC", quality=95, exif=exif(6)))
    assert upright.shape == (96, 64, 3)
    assert np.abs(upright.astype(int) - np.rot90(draw(64, 96), -1)).mean() < 6


def test_png_orientation_after_the_pixels_is_applied() -> None:
    data = encode(Image.fromarray(draw()), "PNG")
    end = data.index(b"IEND") - 4
    data = data[:end] + png_chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")) + data[end:]
    np.testing.assert_array_equal(read_image(data), np.rot90(draw(), -1))
    assert image_size(data) == (24, 40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=60), st.integers(0, 57).map(lambda cut: exif(6)[:cut])))
@example(exif(0))
@example(exif(9))
def test_invalid_exif_data_is_ignored(data: bytes) -> None:
    plain = read_image(encode(Image.fromarray(draw()), "JPEG"))
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(draw()), "JPEG", exif=data)), plain)


# ---------------------------------------------------------------------------------------------- sources


def test_images_are_read_from_paths_bytes_files_arrays_and_pillow_images(tmp_path: Path) -> None:
    path = tmp_path / "an image.that lies about itself.gif"
    data = by_opencv(".png", draw()[..., ::-1])
    path.write_bytes(data)
    unbuffered = io.BytesIO(b"head" + data)
    unbuffered.seek(4)
    with path.open("rb") as file:
        for source in (
            path,
            str(path),
            data,
            bytearray(data),
            memoryview(data),
            memoryview(data[::-1])[::-1],
            file,
            unbuffered,
        ):
            np.testing.assert_array_equal(read_image(source), draw())
    for source in (path, data, draw(), Image.fromarray(draw())):
        assert image_size(source) == (40, 24)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_first_frame_of_an_animation_or_current_frame_of_a_pillow_image_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    with Image.open(io.BytesIO(data)) as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
        np.testing.assert_allclose(read_image(data), np.full((10, 20, 3), (255, 0, 0)), atol=3)
        animation.seek(2)
        np.testing.assert_allclose(read_image(animation), np.full((10, 20, 3), (0, 0, 255)), atol=3)


def test_the_given_image_is_not_modified() -> None:
    image = Image.new("RGBA", (6, 4), (1, 2, 3, 4))
    image.info["exif"] = exif(6)
    assert read_image(image).shape == (6, 4, 3)
    assert (image.mode, image.size, image.info["exif"], image.getpixel((0, 0))) == (
        "RGBA",
        (6, 4),
        exif(6),
        (1, 2, 3, 4),
    )


ARRAYS = st.one_of(
    hnp.arrays(dtype, st.one_of(
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4])),
    ))
    for dtype in (np.uint8, "<u2", ">u2")
)  # fmt: skip


@given(array=ARRAYS, turned=st.booleans())
def test_arrays_are_converted_to_rgb(array: NDArray[Any], turned: bool) -> None:
    array = array[::-1, ::-1] if turned else array
    if array.dtype.itemsize == 2:
        array[0, 0] |= 0x8000  # arrays that use at most 12 bits are rejected
    image = read_image(array)
    assert (image.dtype, image.shape) == (np.uint8, (*array.shape[:2], 3))
    assert image.flags.c_contiguous
    values = array.astype(float) if array.dtype == np.uint8 else np.floor(array.astype(float) / 256)
    values = values[..., None] if array.ndim == 2 else values
    if values.shape[2] == 4:
        alpha = values[..., 3:] / 255
        values = values[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(
        image, np.broadcast_to(values, image.shape), atol=1 if array.shape[2:] == (4,) else 0
    )


def test_a_contiguous_rgb_array_is_not_copied() -> None:
    array = draw()
    assert read_image(array) is array


@pytest.mark.parametrize(
    ("array", "remedy"),
    [
        (
            np.zeros((4, 4, 3), np.float32),
            "(4, 4, 3). Scale floats in [0, 1] first: (255 * array).round().astype(",
        ),
        (np.ones((4, 4)), "(4, 4). Scale floats in [0, 1] first: (255 * array).round().astype("),
        (np.full((4, 4), 1.001), "(4, 4). Scale floats in [0, 1] first: (255 * array.clip(0, 1)).round()"),
        (np.full((4, 4, 3), 254.6), "(4, 4, 3). Round its values first: array.round().astype('uint8')."),
        (np.full((4, 4, 3), 255), "(4, 4, 3). Convert it first: array.astype('uint8')."),
        (np.ones((4, 4), int), "(4, 4). Convert it first: 255 * array.astype('uint8')."),
        (np.zeros((4, 4, 3), np.uint32), "(4, 4, 3). Convert it first: array.astype('uint8')."),
        (np.arange(-1, 3).reshape(2, 2), "(2, 2) with values from -1 to 2. Scale them to 0 to 255"),
        (np.array([[0.5, 255.5]]), "(1, 2) with values from 0.5 to 255.5. Scale them to 0 to 255"),
        (np.array([[0.5, np.nan]]), "(1, 2) with values that are not finite. Replace them"),
        (np.array([[0.5, np.inf]]), "(1, 2) with values that are not finite. Replace them"),
        (np.zeros((4, 4), bool), "(4, 4). Convert it first: 255 * array.astype('uint8')."),
        (np.full((4, 4), None), "(4, 4). Convert it first: array.astype('uint8')."),
        (np.zeros((5, 4, 2), np.uint8), "(5, 4, 2). Convert it to one of these shapes."),
        (np.zeros((3, 40, 40), np.uint8), "(3, 40, 40). Put the channels last: array.transpose(1, 2, 0)."),
        (
            np.zeros((1, 4, 4, 3), np.uint8),
            "(1, 4, 4, 3). Pass one image at a time, or several to recognizer.predict_batch(images).",
        ),
        (np.zeros(9, np.uint8), "(9,). Convert it to one of these shapes."),
        (np.zeros((0, 4, 3), np.uint8), "uint8 (0, 4, 3), which has no pixels. Was it cropped outside"),
        (np.zeros((0, 4), np.float64), "float64 (0, 4), which has no pixels. Was it cropped outside"),
        (np.array(None), "(). Convert it to one of these shapes."),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else "",
)
def test_the_error_for_other_arrays_says_how_to_convert_them(array: NDArray[Any], remedy: str) -> None:
    with pytest.raises(DataError, match=r"the array: expected uint8 or uint16 .*, got ") as caught:
        read_image(array)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_per_channel_are_rejected(mode: str) -> None:
    for source in (Image.new(mode, (3, 3)), encode(Image.new(mode, (3, 3)), "TIFF")):
        with pytest.raises(DataError, match="expected 8 or 16 bits per channel, got 32"):
            read_image(source)


def odd_tiff() -> bytes:
    data = encode(Image.fromarray(draw()), "TIFF", tiffinfo={65_000: "said of it, at length"})
    entry = struct.pack("<HHL", 65_000, 2, 22)
    assert data.count(entry) == 1
    return data.replace(entry, struct.pack("<HHL", 65_000, 2, 2**31))


def odd_png() -> bytes:
    data = encode(Image.fromarray(draw()), "PNG")
    return data[:33] + png_chunk(b"acTL", bytes(8)) + data[33:]  # an animation of no frames


def odd_avif() -> bytes:
    data = encode(Image.fromarray(draw()), "AVIF", quality=100, exif=exif(1))
    head = b"MM\0*" + struct.pack(">L", 8)
    assert data.count(head) == 1
    place = data.index(head) + len(head)
    return data[:place] + b"\0\x09" + data[place + 2 :]  # claims nine entries; there are three


@pytest.mark.parametrize("make", [odd_tiff, odd_png, odd_avif])
def test_malformed_metadata_gives_no_warning(make: Callable[[], bytes]) -> None:
    with pytest.warns(UserWarning, match="EXIF|APNG|Tag data|Truncated"), Image.open(io.BytesIO(make())):
        pass  # Pillow itself warns
    assert np.abs(read_image(make()).astype(int) - draw()).mean() < 3


def test_threads_read_images_and_keep_the_warning_filters() -> None:
    files = [encode(Image.fromarray(draw()), kind) for kind in FORMATS[:7]] * 30
    once = [read_image(data) for data in files[:7]]
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        for i, image in enumerate(pool.map(read_image, files)):
            np.testing.assert_array_equal(image, once[i % 7])
    assert list(warnings.filters) == filters


@pytest.mark.slow
def test_import_does_not_load_pillow_and_missing_heif_support_names_the_extra() -> None:
    script = """
        import sys, numpy as np, mien.images as images
        assert not [name for name in sys.modules if name.startswith(("PIL", "pillow_heif"))]
        images.read_image(np.zeros((4, 4), np.uint8))
        images.read_image(open(sys.argv[1], "rb"))
        loaded = {name for name in sys.modules if name.endswith("ImagePlugin")}
        assert loaded == {"PIL.JpegImagePlugin", "PIL.TiffImagePlugin"}, loaded  # which reads EXIF
        sys.modules["pillow_heif"] = None
        from mien.errors import MissingExtra
        try:
            images.read_image(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic")
        except MissingExtra as error:
            print(error)
    """
    photo = encode(Image.fromarray(draw()), "JPEG", exif=exif(6))
    start = photo.index(
        b"\xff\xe0"
    )  # a phone writes no JFIF segment, so Pillow looks for the resolution in EXIF
    photo = photo[:start] + photo[start + 18 :]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script).replace("sys.argv[1]", "0")],
        input=photo, capture_output=True, check=False,
    )  # fmt: skip
    assert result.stderr == b""
    assert b"needs pillow-heif" in result.stdout
    assert install_command("heif").encode() in result.stdout


# ---------------------------------------------------------------------------------------------- rejected inputs


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "got an empty file"),
        (b"not an image", "got text"),
        ("kein Bild, große Güte".encode(), "got text"),
        (b"BMW is a make of motor cars, not a bitmap", "got text"),
        (b"\n<!DOCTYPE html>\n<html><svg></svg></html>", "got a web page"),
        (b"<HTML><HEAD>", "got a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "got a Git LFS pointer. Run: git lfs pull"),
        (b"<?xml version='1.0'?>\n<!-- <x> -->\n<svg xmlns='http://www.w3.org/2000/svg'>", "got an SVG drawing"),
        (b"<svg width='3'>", "got an SVG drawing"),
        (b"%PDF-1.7\n%\xe2\xe3", "got a PDF document"),
        (b"8BPS\0\x01", "got a Photoshop document"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "got a video"),
        (b"\x1aE\xdf\xa3\x01\0", "got a video"),
        (b"RIFF\x10\0\0\0AVI LIST", "got a video"),
        (b"PK\x03\x04\x14\0", "got an archive. Unpack it."),
        (b"\xff\x0a\x01\0", "JPEG XL"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", "bytes that start with 00 01 02 03 04 05 06 07."),
        (b"\x89PNG\r\n\x1a\n1234", "expected a complete PNG image"),
        (b"\xff\xd8\xff\xe0", "expected a complete JPEG image"),
        (b"GIF89a", "expected a complete GIF image"),
        (b"II*\0", "expected a complete TIFF image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "got text"),
    ],
)  # fmt: skip
def test_files_that_are_not_images_are_rejected(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"face\.jpg: expected an? ") as caught:
        read_image(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"the image: expected an? "):
        image_size(content)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_image_is_rejected(kind: str) -> None:
    data = encode(Image.fromarray(RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8)), kind)
    with pytest.raises(
        DataError, match=r"expected a complete .* image, got one that is truncated.* Get the file again"
    ):
        read_image(data[: len(data) * 2 // 3])


def test_error_for_an_unreadable_path_names_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nobody\.jpg: expected an image, but there is no such file\. Check the path"
    ):
        read_image(tmp_path / "nobody.jpg")
    with pytest.raises(DataError, match=r"https://example\.org/a\.jpg: .* Download it first"):
        read_image("https://example.org/a.jpg")
    with pytest.raises(DataError, match="expected an image, got a folder"):
        read_image(tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.jpg", tmp_path / ("long" * 100), "nul\0byte"):
        with pytest.raises(DataError, match=r"expected an image, but it cannot be opened \(.+\)"):
            read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipe_is_rejected_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg: expected an image, got a pipe"):
        read_image(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_without_read_permission_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch(mode=0)
    with pytest.raises(DataError, match="Permission denied"):
        read_image(tmp_path / "a.jpg")


def test_other_objects_are_rejected(tmp_path: Path) -> None:
    for source in (None, 7, [[1, 2]]):
        with pytest.raises(DataError, match=r"Expected an image as a path, .* got (NoneType|int|list)\."):
            read_image(source)  # type: ignore[arg-type]
    path = tmp_path / "a.txt"
    path.write_text("text")
    with (
        path.open() as file,
        pytest.raises(DataError, match=r"a\.txt: expected bytes, got str\. Open .*'rb'"),
    ):
        read_image(file)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"a\.txt: cannot be read \(.*closed"):
        read_image(file)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- bombs


@pytest.mark.parametrize("kind", FORMATS)
def test_image_with_too_many_pixels_is_rejected(kind: str) -> None:
    data = encode(Image.fromarray(draw(32, 48)), kind)
    assert read_image(data, max_pixels=32 * 48).shape == (32, 48, 3)
    with pytest.raises(
        DataError, match=r"expected at most 0\.001535 million pixels, got 48x32\. Make it smaller"
    ):
        read_image(data, max_pixels=32 * 48 - 1)
    with pytest.raises(DataError, match="expected at most 1e-06 million pixels"):
        image_size(Image.fromarray(draw()), max_pixels=1)


def test_decompression_bomb_is_rejected_before_decoding() -> None:
    header = struct.pack(">LLBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)  # all 312 MB of rows would compress to 300 kB
    data = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", pixels)
        + png_chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match=r"expected at most 120 million pixels, got 50000x50000"):
        read_image(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_pillow_pixel_limit_gives_no_warning(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("RGB", (800, 800), "teal"), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400_000)
    assert read_image(data).shape == (800, 800, 3)


def test_jpeg_with_too_many_scans_is_rejected() -> None:
    data = encode(Image.fromarray(draw()), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert read_image(data[:-2] + 50 * last + data[-2:]).shape == (24, 40, 3)
    with pytest.raises(DataError, match="more than 100 scans"):
        read_image(data[:-2] + 5000 * last + data[-2:])


# ---------------------------------------------------------------------------------------------- mutations


@cache
def samples() -> tuple[bytes, ...]:
    """One small file for each code path of the decoders."""
    image = Image.fromarray(draw())
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime")]
    return (
        encode(image, "JPEG", exif=exif(6)),
        encode(image, "JPEG", progressive=True),
        encode(image.convert("CMYK"), "JPEG"),
        encode(image, "PNG"),
        encode(image.convert("P"), "PNG", transparency=b"\0\x80"),
        encode(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        encode(Image.fromarray(GRAY_16), "PNG"),
        encode(image, "WEBP", exif=exif(3)),
        encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        encode(image, "BMP"),
        encode(image.convert("P"), "BMP"),
        encode(image, "TIFF"),
        encode(image, "TIFF", compression="tiff_lzw", exif=exif(8, before=0)),
        encode(image, "TIFF", compression="jpeg"),
        encode(image.convert("P"), "GIF", transparency=3),
        encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encode(image, "AVIF", exif=exif(6)),
    )


def read_or_refuse(data: bytes) -> None:
    try:
        image = read_image(data, max_pixels=1_000_000)
    except DataError as error:
        sentence = str(error)
    else:
        sentence = ""
        assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
        assert image.flags.c_contiguous
    assert "\n" not in sentence
    assert len(sentence) < 400


def mutate(data: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(damaged)) * rng.choice([1, 0.1]))
        match rng.integers(4):
            case 0:
                damaged[place] = rng.integers(256)
            case 1:
                damaged[place : place + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"]
                )
            case 2:
                damaged[place:place] = rng.bytes(int(rng.integers(1, 40)))
            case _:
                del damaged[place : place + int(rng.choice([1, 5, len(damaged)]))]
        if not damaged:
            break
    return bytes(damaged)


@settings(max_examples=300, deadline=None)
@given(which=st.integers(0, 16), seed=st.integers(0, 2**32))
def test_damaged_files_are_read_or_rejected_with_a_one_line_error(which: int, seed: int) -> None:
    read_or_refuse(mutate(samples()[which], seed))


@pytest.mark.slow
def test_ten_thousand_damaged_files_raise_only_expected_errors() -> None:
    for seed in range(10_000):
        read_or_refuse(mutate(samples()[seed % len(samples())], seed))


@settings(max_examples=100)
@given(start=st.sampled_from([sample[:12] for sample in samples()] + [b""]), rest=st.binary(max_size=200))
def test_random_bytes_are_read_or_rejected_with_a_one_line_error(start: bytes, rest: bytes) -> None:
    read_or_refuse(start + rest)


# ---------------------------------------------------------------------------------------------- writing


def test_written_images_can_be_read_back(tmp_path: Path) -> None:
    for name in ("a.png", "deep/er/b.PNG"):
        np.testing.assert_array_equal(read_image(write_image(tmp_path / name, draw())), draw())
    for name in ("c.jpg", "d.JPEG", "e.webp"):
        written = read_image(write_image(tmp_path / name, draw(240, 400)))
        assert np.abs(written.astype(int) - draw(240, 400)).mean() < 3
    starts = {path.name: path.read_bytes()[:4] for path in tmp_path.iterdir() if path.is_file()}
    assert starts == {
        "a.png": b"\x89PNG",
        "c.jpg": b"\xff\xd8\xff\xe0",
        "d.JPEG": b"\xff\xd8\xff\xe0",
        "e.webp": b"RIFF",
    }
    gray = draw()[..., 0]
    np.testing.assert_array_equal(read_image(write_image(tmp_path / "gray.png", gray))[..., 1], gray)


def test_thin_red_lines_stay_red_in_a_jpeg(tmp_path: Path) -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    image[:, 31] = (255, 0, 0)
    line = read_image(write_image(tmp_path / "line.jpg", image))[:, 31]
    assert np.abs(line.astype(int) - (255, 0, 0)).mean() < 15


def test_failed_write_raises_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    for name in ("a.tiff", "a", "a.jpg.txt"):
        with pytest.raises(DataError, match=r"expected a name that ends in \.jpg, \.png or \.webp, got"):
            write_image(tmp_path / name, draw())
    old = write_image(tmp_path / "old.webp", draw())
    before = old.read_bytes()
    with pytest.raises(DataError, match=r"old\.webp: cannot be written"):
        write_image(old, np.zeros((1, 20_000, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["old.webp"]
    assert old.read_bytes() == before
    with pytest.raises(DataError, match=r"a\.png: cannot be written \(.*directory|exists"):
        write_image(old / "a.png", draw())
    with pytest.raises(DataError, match="the array: expected uint8"):
        write_image(old, np.zeros((3, 3, 3)))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- crops


def test_gray_uses_bt_601_luma() -> None:
    red = np.zeros((5, 4, 3), np.uint8)
    red[..., 0] = 255
    assert to_gray(red)[0, 0] == round(0.299 * 255)
    assert all(suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)


@given(gray=st.integers(0, 255), height=st.integers(1, 130), width=st.integers(1, 130), color=st.booleans())
def test_crop_of_a_uniform_image_is_uniform(gray: int, height: int, width: int, color: bool) -> None:
    image = np.full((height, width, 3) if color else (height, width), gray, np.uint8)
    crop = to_crop(image)
    assert crop.shape == (48, 48)
    assert (crop == gray).all()


def test_crop_keeps_an_image_of_its_size_and_the_center_of_a_wide_one() -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(to_crop(face), face)
    wide = np.pad(face, ((0, 0), (10, 11)))
    np.testing.assert_array_equal(to_crop(wide), face)


# ---------------------------------------------------------------------------------------------- EXIF by Pillow


def marked(orientation: int, kind: str, **size: int) -> bytes:
    """A drawn image, stored so that the orientation turns it upright, with the tag written by Pillow."""
    stored = {3: 2, 6: 1, 8: 3}.get(orientation, 0)
    tags = Image.Exif()
    tags[0x0112] = orientation
    if size:
        tags.get_ifd(0x8769).update({0xA002: size["width"], 0xA003: size["height"]})
    options: dict[str, Any] = {
        "JPEG": {"quality": 95},
        "HEIC": {"quality": 95},
        "AVIF": {"quality": 95},
    } | LOSSLESS
    return encode(Image.fromarray(np.rot90(draw(60, 40), stored)), kind, exif=tags.tobytes(), **options[kind])


def near(image: NDArray[np.uint8], expected: NDArray[np.uint8]) -> bool:
    return image.shape == expected.shape and bool(np.abs(image.astype(int) - expected).mean() < 8)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_pil_images_are_rotated_only_once(kind: str, orientation: int) -> None:
    data = marked(orientation, kind)
    if kind == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = Image.open(io.BytesIO(data))
    for source in (data, image, image.convert("RGB"), image.copy(), ImageOps.exif_transpose(image)):
        assert near(read_image(source), draw(60, 40))
        assert image_size(source) == (40, 60)


@pytest.mark.parametrize("orientation", [6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pillow_image_rotated_by_the_caller_is_not_rotated_again(kind: str, orientation: int) -> None:
    image = Image.open(io.BytesIO(marked(orientation, kind)))
    turned = image.rotate(-90 if orientation == 6 else 90, expand=True)
    assert turned.getexif()[0x0112] == orientation  # Pillow keeps the tag
    for source in (turned, turned.resize((20, 30)), turned.convert("L").convert("RGB")):
        assert image_size(source) == source.size
        assert read_image(source).shape == (source.height, source.width, 3)
    assert near(read_image(turned), draw(60, 40))
    assert read_image(image.resize((30, 20))).shape == (30, 20, 3)  # smaller and not rotated


def test_exif_image_size_shows_whether_an_image_was_already_rotated() -> None:
    stored_high = np.rot90(draw(40, 60), 1)  # stored 60 high and 40 wide; upright it is wide
    tags = Image.Exif()
    tags[0x0112] = 6
    tags.get_ifd(0x8769).update({0xA002: 40, 0xA003: 60})
    image = Image.open(
        io.BytesIO(encode(Image.fromarray(stored_high), "JPEG", quality=95, exif=tags.tobytes()))
    )
    assert near(read_image(image.convert("RGB")), draw(40, 60))
    assert near(read_image(image.rotate(-90, expand=True)), draw(40, 60))


def test_orientation_from_xmp_or_pillow_metadata_is_applied() -> None:
    stored = Image.fromarray(np.rot90(draw(60, 40)))
    xmp = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    for data in (encode(stored, "JPEG", quality=95, xmp=xmp), encode(stored, "WEBP", lossless=True, xmp=xmp)):
        assert near(read_image(data), draw(60, 40))
        assert image_size(data) == (40, 60)
    profile = exif(6).hex()  # as ImageMagick writes it into a PNG
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(profile) // 2:8}\n{profile}\n")
    assert near(read_image(encode(stored, "PNG", pnginfo=text)), draw(60, 40))
    set_by_hand = Image.open(io.BytesIO(encode(stored, "JPEG", quality=95)))
    set_by_hand.getexif()[0x0112] = 6
    assert near(read_image(set_by_hand), draw(60, 40))


# ---------------------------------------------------------------------------------------------- unused bits


@pytest.mark.parametrize(("bits", "remedy"), [(8, "array"), (10, "(array >> 2)"), (12, "(array >> 4)")])
@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 1), (9, 9, 3), (9, 9, 4)])
def test_uint16_arrays_with_unused_high_bits_are_rejected(
    bits: int, remedy: str, shape: tuple[int, ...]
) -> None:
    array = np.full(shape, (1 << bits) - 1, np.uint16)
    sentence = (
        rf"none above {(1 << bits) - 1}, as {bits} bits in 16 .* {re.escape(remedy)}\.astype\('uint8'\)\.$"
    )
    with pytest.raises(DataError, match=sentence):
        read_image(array)
    scaled = eval(remedy, {"array": array}).astype("uint8")  # noqa: S307 - the remedy, as a reader would try it
    assert (read_image(scaled) == 255).all()
    assert (read_image((array.astype(np.uint32) << (16 - bits)).astype(np.uint16)) >= 254).all()


def test_black_16_bit_images_are_accepted() -> None:
    assert not read_image(np.zeros((9, 9, 3), np.uint16)).any()
    for name in ("gray", "color"):
        black = np.zeros((9, 9) if name == "gray" else (9, 9, 3), np.uint16)
        assert not read_image(by_opencv(".png", black)).any()


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_files_with_unused_high_bits_are_rejected(
    suffix: str, channels: int, bits: int, tmp_path: Path
) -> None:
    values = np.full((9, 9, channels), (1 << bits) - 1, np.uint16)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(by_opencv(suffix, values))
    for data in (path, path.read_bytes(), Image.open(path), Image.open(io.BytesIO(path.read_bytes()))):
        with pytest.raises(DataError, match=rf"none above {(1 << bits) - 1}, as {bits} bits in 16 have"):
            read_image(data)
    full = by_opencv(suffix, np.full((9, 9, channels), 0xFFFF, np.uint16))
    assert (read_image(full) == 255).all()


def test_tiff_declared_as_12_bit_is_scaled() -> None:
    white = b"\xff\xff\xff" * 4  # eight values of twelve bits
    entries = [
        (256, 4),
        (257, 2),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 2),
        (279, len(white)),
    ]
    folder = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHLL", tag, 4, 1, v) for tag, v in entries
    )
    data = b"II*\0" + struct.pack("<L", 8 + len(white)) + white + folder + bytes(4)
    assert (read_image(data) == 255).all()


# ---------------------------------------------------------------------------------------------- odd sources


def test_file_is_read_from_the_start_if_no_image_is_at_its_position(tmp_path: Path) -> None:
    data = by_opencv(".png", draw()[..., ::-1])
    path = tmp_path / "a.png"
    path.write_bytes(data)
    buffer = io.BytesIO()
    Image.fromarray(draw()).save(buffer, "PNG")  # leaves the file position at the end
    begun = io.BytesIO(data)
    begun.read(8)  # like a program that inspects the first bytes
    with path.open("rb") as file, tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(data)
        for source in (buffer, begun, file, spooled):
            for _ in range(2):
                np.testing.assert_array_equal(read_image(source), draw())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="got text"):
        read_image(io.BytesIO(b"some text"))


def test_path_like_objects_are_accepted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", draw())
    with os.scandir(tmp_path) as entries:
        (entry,) = entries

    class ByteCompatible:
        def __fspath__(self) -> bytes:
            return os.fsencode(tmp_path / "a.png")

    class Hidden:
        def __fspath__(self) -> str:
            return str(tmp_path / "a.png")

        def __str__(self) -> str:
            return "something else"

    for source in (entry, ByteCompatible(), Hidden(), np.str_(tmp_path / "a.png")):
        np.testing.assert_array_equal(read_image(source), draw())  # type: ignore[arg-type]


TEXT = base64.b64encode(by_opencv(".jpg", RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8))).decode()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (TEXT, r"got base64 of [\d,]+ characters\. Decode it: base64\.b64decode\(text\)\.$"),
        (TEXT.replace("+", "-").replace("/", "_"), "got base64 of"),
        ("\n".join(textwrap.wrap(TEXT, 76)), "got base64 of"),
        (TEXT.encode(), r"got base64\. Decode it first"),
        ("data:image/jpeg;base64," + TEXT, r"got a data URI\. Decode the part after the comma"),
        (b"data:image/jpeg;base64," + TEXT.encode(), "got a data URI"),
        ("https://example.org/a.jpg?" + "a" * 9000, r"there is no such file\. Download it first"),
        ("s3://bucket/a.jpg", "Download it first"),
        ("file:///home/me/my%20face.jpg", "Give the path without file: /home/me/my face.jpg$"),
        ("~/face.jpg", r"os\.path\.expanduser\(path\): .*[^~]/face\.jpg$"),
        ("photos/*.jpg", r"glob\.glob\(pattern\)"),
        ("", "got an empty path"),
        (b"photo.jpg", "got text"),
        (None, r"cv2\.imread returns None"),
        ((True, draw()), r"Pass the second item of capture\.read\(\) in RGB: frame\[\.\.\., ::-1\]"),
        ([draw()], r"or several to recognizer\.predict_batch\(images\)"),
        (["a.jpg"], r"or several to recognizer\.predict_batch\(images\)"),
        (iter([draw()]), r"or several to recognizer\.predict_batch\(images\)"),
        ({"image": draw()}, "Pass the image that it contains"),
        ([[1, 2], [3, 4]], r"numpy\.array\(rows, 'uint8'\)"),
        (0, r"mien\.watch\(number, recognizer\)"),
        (cv2.VideoCapture(), r"ok, frame = capture\.read\(\)"),
        (io.StringIO("text"), r"expected bytes, got str\. Open the file with mode 'rb'"),
        (np.frombuffer(by_opencv(".png", draw()), np.uint8), r"array\.tobytes\(\)"),
        (np.zeros((2, 2), "datetime64[s]"), "not numbers"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_the_error_for_another_object_says_what_to_pass_instead(source: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        read_image(source)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "start", [b"\0\0\0\x20ftypisom\0\0\2\0", b"\x1aE\xdf\xa3\x01\0", b"OggS\0\2", b"G" + bytes(187) + b"G"]
)
def test_the_error_for_a_video_names_watch(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(start + bytes(2000))
    with pytest.raises(
        DataError, match=r"clip\.mp4: .*got a video\. Process it with mien\.watch\(path, recognizer\)"
    ):
        read_image(path)


def test_array_subclasses_are_read_as_plain_arrays() -> None:
    class Subclass(np.ndarray[Any, Any]):
        pass

    for array in (draw().view(Subclass), np.ma.masked_array(draw()), np.broadcast_to(draw(), draw().shape)):
        image = read_image(array)
        assert type(image) is np.ndarray
        np.testing.assert_array_equal(image, draw())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        *[(path, "Expected the path of an image to write, got") for path in (None, 5, "", b"a.png")],
        *[
            (path, "expected a path on this machine to write to, got a URL")
            for path in ("https://a.org/a.png", Path("s3://b/a.png"), "file:///a.png")
        ],
    ],
)
def test_write_image_rejects_values_that_are_not_paths(
    path: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        write_image(path, draw())
    assert not list(tmp_path.iterdir())
