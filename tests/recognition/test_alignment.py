"""Face alignment: crops and the transforms between image and crop."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import DataError
from mien.recognition.alignment import FER2013_FRAMING, Alignment, align, crop_faces, roll_angle, warp
from mien.recognition.faces import Box, Detection, Landmarks

UPRIGHT = np.array([[-20, -15], [20, -15], [0, 5], [-15, 25], [15, 25]], float)
"""Five points about the middle of a face 100 pixels high."""

boxes = st.builds(
    Box,
    st.integers(-3000, 3000),
    st.integers(-3000, 3000),
    st.integers(1, 2000),
    st.integers(1, 2000),
)
angles = st.floats(-179, 179)


def to_landmarks(points: NDArray[np.float64]) -> Landmarks:
    return Landmarks(*((float(x), float(y)) for x, y in points))


def turn(points: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Rotate points clockwise, as seen in an image whose y axis points down."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[c, s], [-s, c]])


def face(box: Box, roll: float = 0.0) -> Detection:
    size = box.height / 100
    return Detection(box, 0.9, to_landmarks(turn(UPRIGHT, roll) * size + box.center))


def textured(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth colored image, in which a shift by half a pixel changes little."""
    rough = np.random.default_rng(seed).integers(
        0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8
    )
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.slow
@given(box=boxes, roll=angles, points=st.lists(st.tuples(*[st.floats(-4000, 4000)] * 2), min_size=1))
@settings(deadline=None)
def test_to_crop_and_to_image_are_inverse(box: Box, roll: float, points: list[tuple[float, float]]) -> None:
    alignment = align(face(box, roll))
    there = alignment.to_crop(np.array(points))
    np.testing.assert_allclose(alignment.to_image(there), points, atol=1e-6)


@given(box=boxes, roll=st.floats(-44, 44))
@settings(deadline=None)
def test_the_position_of_the_face_in_the_crop_matches_the_framing(box: Box, roll: float) -> None:
    detection = face(box, roll)
    alignment = align(detection)
    np.testing.assert_allclose(
        alignment.to_crop(np.array(box.center)), np.multiply(FER2013_FRAMING.center, 48)
    )
    area = box.area * alignment.scale**2
    assert area == pytest.approx(FER2013_FRAMING.width * FER2013_FRAMING.height * 48**2)
    assert detection.landmarks is not None
    eyes = alignment.to_crop(np.array([detection.landmarks.left_eye, detection.landmarks.right_eye]))
    assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-6)
    assert eyes[0, 0] < eyes[1, 0]


@given(roll=st.floats(-179, 179))
@settings(deadline=None)
def test_the_roll_angle_is_clockwise(roll: float) -> None:
    assert roll_angle(to_landmarks(turn(UPRIGHT, roll))) == pytest.approx(roll)


@given(roll=st.floats(46, 179), sign=st.sampled_from([-1, 1]))
@settings(deadline=None)
def test_rotation_is_limited_to_the_maximum_roll_angle_of_the_framing(roll: float, sign: int) -> None:
    a, _, _ = align(face(Box(0, 0, 80, 100), sign * roll)).matrix[0]
    b = align(face(Box(0, 0, 80, 100), sign * roll)).matrix[1][0]
    assert math.degrees(math.atan2(-b, a)) == pytest.approx(sign * FER2013_FRAMING.max_roll_angle)


def test_faces_without_landmarks_are_not_rotated() -> None:
    alignment = align(Detection(Box(10, 20, 80, 100)))
    assert alignment.matrix[1][0] == 0
    assert alignment.matrix[0][0] == alignment.scale > 0


@given(box=boxes, roll=angles, factor=st.integers(2, 5), shift=st.tuples(*[st.integers(-500, 500)] * 2))
@settings(deadline=None)
def test_scaled_and_shifted_image_gives_the_same_crop(
    box: Box, roll: float, factor: int, shift: tuple[int, int]
) -> None:
    larger = Box(
        box.x * factor + shift[0], box.y * factor + shift[1], box.width * factor, box.height * factor
    )
    points = np.array([[0, 0], [100, 0], [0, 100]], float)
    np.testing.assert_allclose(
        align(face(larger, roll)).to_crop(points * factor + shift),
        align(face(box, roll)).to_crop(points),
        atol=1e-6,
    )


@given(
    box=boxes,
    roll=angles,
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    n=st.integers(0, 3),
)
@settings(deadline=None)
def test_any_box_gives_a_crop(box: Box, roll: float, height: int, width: int, n: int) -> None:
    image = np.full((height, width, 3), (10, 200, 90), np.uint8)
    crops = crop_faces(image, [face(box, roll)] * n)
    assert crops.shape == (n, 48, 48)
    assert crops.dtype == np.uint8
    luma = round(0.299 * 10 + 0.587 * 200 + 0.114 * 90)
    assert (np.abs(crops.astype(int) - luma) <= 1).all()


@pytest.mark.parametrize("where", [(-500, -500), (900, 900), (-500, 10), (10, 900)])
def test_pixels_outside_the_image_repeat_its_edge(where: tuple[int, int]) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :40] = 255
    crop = crop_faces(image, [Detection(Box(*where, 20, 20))])[0]
    nearest = 255 if where[0] < 40 else 0
    assert (crop == nearest).all()


@pytest.mark.parametrize("size", [10**4, 10**9])
def test_box_far_larger_than_the_image_gives_a_valid_crop(size: int) -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    crop = crop_faces(image, [Detection(Box(-size, -size, 2 * size, 2 * size))])[0]
    assert (crop == 200).all()


@pytest.mark.parametrize("wrong", [None, [Box(1, 2, 3, 4)], [(1, 2, 3, 4)], "face", 5])
def test_invalid_detections_are_rejected(wrong: Any) -> None:
    with pytest.raises(DataError, match="Expected a list of"):
        crop_faces(np.zeros((9, 9, 3), np.uint8), wrong)


@given(x=st.integers(-40, 160), y=st.integers(-40, 160), side=st.integers(20, 120), roll=st.floats(-40, 40))
@settings(deadline=None, max_examples=40)
def test_a_mirrored_image_gives_the_mirrored_crop(x: int, y: int, side: int, roll: float) -> None:
    image = textured(200, 220)
    detection = face(Box(x, y, side, side), roll)
    assert detection.landmarks is not None
    flip = np.array([-1.0, 1.0])
    points = np.array(list(detection.landmarks.to_dict().values())) * flip + (220, 0)
    box = Box(220 - x - side, y, side, side)
    mirrored = Detection(box, 0.9, to_landmarks(points[[1, 0, 2, 4, 3]]))
    one = crop_faces(image, [detection])[0].astype(int)
    other = crop_faces(np.ascontiguousarray(image[:, ::-1]), [mirrored])[0].astype(int)
    assert np.abs(one - other[:, ::-1]).mean() < 3


@given(roll=st.floats(-40, 40), side=st.integers(30, 300), down=st.booleans())
@settings(deadline=None, max_examples=30)
def test_the_crop_matches_its_alignment(roll: float, side: int, down: bool) -> None:
    """Averaging leaves a ramp unchanged, so a shift of the crop by half a pixel would be visible.

    The ramp is dithered: otherwise whole rows would be rounded in the same direction, which looks like a shift.
    """
    place = np.arange(400)
    ramp = 0.52 * place[None, :] + 0.107 * place[:, None]
    dithered = np.floor((ramp.T if down else ramp) + np.random.default_rng(0).random(ramp.shape))
    image = np.repeat(dithered.astype(np.uint8)[..., None], 3, axis=2)
    alignment = align(face(Box(200 - side // 2, 200 - side // 2, side, side), roll))
    inner = np.stack(np.meshgrid(np.arange(48), np.arange(48)), axis=-1)
    there = alignment.to_image(inner + 0.5)
    inside = ((there > 8) & (there < 392)).all(axis=-1)
    along, across = there[..., int(down)] - 0.5, there[..., 1 - int(down)] - 0.5
    error = (warp(image, alignment) - 0.52 * along - 0.107 * across)[inside]
    assert abs(error.mean()) < 0.15
    assert np.abs(error).max() < 1.5


def test_warp_with_identity_alignment_returns_the_image_unchanged() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    image = np.repeat(gray[..., None], 3, axis=2)
    crop = warp(image, Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))))
    np.testing.assert_array_equal(crop, gray)
    whole = Detection(FER2013_FRAMING.box_in(480, 480))
    corners = align(whole).corners()
    np.testing.assert_allclose(corners, [[0, 0], [480, 0], [480, 480], [0, 480]], atol=3)


def test_downscaled_checkerboard_becomes_gray_without_aliasing() -> None:
    board = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = np.repeat(board[..., None], 3, axis=2)
    for side in (700, 760, 811, 1003):
        crop = crop_faces(image, [Detection(Box(100, 100, side, side))])[0]
        assert np.abs(crop.astype(float) - 127.5).max() < 20


def test_inverse_alignment_maps_a_heat_map_back_onto_the_face() -> None:
    detection = face(Box(120, 80, 60, 80), 20)
    alignment = align(detection)
    heat = np.zeros((48, 48), np.float32)
    point = alignment.to_crop(np.array([150.0, 100.0]))
    heat[int(point[1]), int(point[0])] = 1
    laid = cv2.warpAffine(heat, alignment.inverse(), (400, 300), flags=cv2.INTER_NEAREST)
    rows, columns = np.nonzero(laid)
    assert abs(columns.mean() + 0.5 - 150) <= 1 / alignment.scale
    assert abs(rows.mean() + 0.5 - 100) <= 1 / alignment.scale


def test_framing_can_be_replaced() -> None:
    wide = replace(FER2013_FRAMING, width=0.4, height=0.4)
    box = Box(100, 100, 50, 50)
    assert align(Detection(box), wide).scale == pytest.approx(48 * 0.4 / 50)


@pytest.mark.parametrize(
    "image",
    [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)],
)
def test_images_that_are_not_rgb_are_rejected(image: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match="Expected an RGB image"):
        crop_faces(image, [])
