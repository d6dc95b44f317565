"""Augmentation: the effect and range of each transformation, and reproducibility from a generator."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.training.augmentation import NO_AUGMENTATION, Augmentation

SHARES = ("downscale", "blur", "noise", "jpeg", "random_erasing")


def make_images(n: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth random images, so that interpolation changes them little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 8, 8), dtype=np.uint8)
    return np.stack([cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC) for image in coarse])


def changed(augmentation: Augmentation, images: np.ndarray, seed: int = 0) -> np.ndarray:
    return augmentation.apply(images, np.random.default_rng(seed))


def test_disabled_augmentation_changes_nothing() -> None:
    images = make_images()
    np.testing.assert_array_equal(changed(NO_AUGMENTATION, images), images)


@given(
    st.builds(
        Augmentation,
        flip=st.booleans(),
        shift=st.floats(0, 1),
        rotation=st.floats(0, 180),
        zoom=st.floats(0, 0.9),
        shear=st.floats(0, 1),
        brightness=st.floats(0, 1),
        contrast=st.floats(0, 1),
        gamma=st.floats(0, 3),
        **{name: st.floats(0, 1) for name in SHARES},
    ),
    st.integers(0, 5),
    st.integers(0, 2**31 - 1),
)
def test_augmentation_keeps_shape_and_type_and_is_reproducible(
    augmentation: Augmentation, n: int, seed: int
) -> None:
    images = make_images(5)[:n]
    before = images.copy()
    first = changed(augmentation, images, seed)
    assert first.shape == (n, 48, 48)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(changed(augmentation, images, seed), first)
    np.testing.assert_array_equal(images, before)


def test_half_of_the_images_are_mirrored_exactly() -> None:
    images = make_images(200)
    flipped = changed(replace(NO_AUGMENTATION, flip=True), images)
    same = (flipped == images).all(axis=(1, 2))
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2))
    assert (same | mirrored).all()
    assert 70 < mirrored.sum() < 130


def center_of_mass(image: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[:48, :48]
    return np.array([(image * columns).sum(), (image * rows).sum()]) / image.sum()


def test_rotation_zoom_and_shift_move_a_spot_within_their_limits() -> None:
    spot = np.zeros((1, 48, 48), np.uint8)
    cv2.circle(spot[0], (34, 24), 2, 255, -1)  # 10.5 pixels right of the middle
    images = np.repeat(spot, 300, axis=0)
    middle = np.array([23.5, 23.5])
    turned = changed(replace(NO_AUGMENTATION, rotation=20.0), images)
    arms = np.array([center_of_mass(image) - middle for image in turned])
    degrees = np.degrees(np.arctan2(arms[:, 1] - 0.5 / 10.5, arms[:, 0]))
    assert 18 < np.abs(degrees).max() < 23
    np.testing.assert_allclose(np.hypot(*arms.T), 10.5, atol=0.3)
    zoomed = changed(replace(NO_AUGMENTATION, zoom=0.25), images)
    lengths = np.array([np.hypot(*(center_of_mass(image) - middle)) for image in zoomed])
    assert lengths.max() == pytest.approx(10.5 * 1.25, abs=0.4)
    assert lengths.min() == pytest.approx(10.5 / 1.25, abs=0.4)
    shifted = changed(replace(NO_AUGMENTATION, shift=0.1), images)
    moves = np.array([center_of_mass(image) - center_of_mass(spot[0]) for image in shifted])
    assert np.abs(moves).max() == pytest.approx(4.8, abs=0.3)


def test_brightness_contrast_and_gamma_map_gray_levels() -> None:
    ramp = np.repeat(np.arange(48, dtype=np.uint8)[None] * 5, 48, axis=0)[None]
    lit = changed(
        Augmentation(flip=False, shift=0, rotation=0, zoom=0, gamma=0.5), np.repeat(ramp, 50, axis=0)
    )
    assert (np.diff(lit.astype(int), axis=2) >= 0).all()
    assert (lit == lit[:, :1]).all()
    assert len({image.tobytes() for image in lit}) > 40


@pytest.mark.parametrize("name", SHARES)
def test_share_options_change_that_share_of_the_images(name: str) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (400, 48, 48), dtype=np.uint8)
    for share in (0.0, 0.3, 1.0):
        result = changed(replace(NO_AUGMENTATION, **{name: share}), noisy)
        part = (result != noisy).any(axis=(1, 2)).mean()
        assert abs(part - share) < 0.07


def test_random_erasing_overwrites_one_rectangle_of_bounded_area() -> None:
    images = np.full((300, 48, 48), 7, np.uint8)
    for image in changed(replace(NO_AUGMENTATION, random_erasing=1.0), images):
        rows, columns = np.nonzero(image != 7)
        if len(rows):
            area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / 48**2
            assert 0.01 < area < 0.27


def test_blur_and_downscale_remove_detail() -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (50, 48, 48), dtype=np.uint8)
    for name in ("blur", "downscale"):
        assert changed(replace(NO_AUGMENTATION, **{name: 1.0}), noisy).std() < 0.9 * noisy.std()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shift": -0.1}, "shift from 0 to 1"),
        ({"rotation": 181}, "rotation from 0 to 180"),
        ({"jpeg": 2}, "jpeg from 0 to 1"),
    ],
)
def test_out_of_range_values_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Augmentation(**options)
