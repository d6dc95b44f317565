"""Decoding, gray and crops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DataError
from mien.images import read_image, to_crop, to_gray


def test_colour_order_is_rgb(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    red = np.zeros((5, 4, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(path), red)
    image = read_image(path)
    assert image.shape == (5, 4, 3)
    assert image[0, 0].tolist() == [255, 0, 0]
    assert to_gray(image)[0, 0] == round(0.299 * 255)
    np.testing.assert_array_equal(read_image(path.read_bytes()), image)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "got an empty file"),
        (b"not a picture", "expected a JPEG"),
        (b"\x89PNG\r\n\x1a\n1234", "expected a JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"face\.jpg: .*{sentence}"):
        read_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nobody\.jpg: cannot be read"):
        read_image(tmp_path / "nobody.jpg")


@given(gray=st.integers(0, 255), height=st.integers(1, 130), width=st.integers(1, 130), colour=st.booleans())
def test_a_crop_of_one_gray_is_that_gray(gray: int, height: int, width: int, colour: bool) -> None:
    image = np.full((height, width, 3) if colour else (height, width), gray, np.uint8)
    crop = to_crop(image)
    assert crop.shape == (48, 48)
    assert (crop == gray).all()


def test_a_crop_of_the_right_size_is_unchanged_and_a_wide_one_keeps_its_middle() -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(to_crop(face), face)
    wide = np.pad(face, ((0, 0), (10, 11)))
    np.testing.assert_array_equal(to_crop(wide), face)
