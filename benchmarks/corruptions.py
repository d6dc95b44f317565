"""Corruptions of 48x48 face crops by cameras, compression, motion and framing, in three strengths.

Strength 1 is common, 2 is bad, and 3 is at the limit of what a person can recognize; after Hendrycks and Dietterich
2019, https://arxiv.org/abs/1903.12261, with corruptions of face crops added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRENGTHS = (1, 2, 3)
_SIDE = 48
_MIDDLE = (_SIDE - 1) / 2

Corruption = Callable[["NDArray[np.uint8]", int, np.random.Generator], "NDArray[np.uint8]"]
"""A function of one crop, uint8 (48, 48), a strength and a random generator that returns the corrupted crop."""


def _of(strength: int, *values: float) -> float:
    return values[strength - 1]


def _noise(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    return _pixels(crop + rng.normal(0, _of(strength, 6, 14, 26), crop.shape))


def _blur(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), _of(strength, 0.7, 1.2, 2.0)), np.uint8)


def _motion(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    length = int(_of(strength, 3, 5, 9))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), rng.uniform(0, 180), 1)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    blurred = cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8)


def _resolution(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    side = int(_of(strength, 28, 20, 14))
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _jpeg(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(_of(strength, 35, 18, 8))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _dark(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    dim = 255 * (crop / 255) ** _of(strength, 1.6, 2.4, 3.6)
    return _pixels(dim + rng.normal(0, 2, crop.shape))


def _bright(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    return _pixels(crop.astype(np.float64) + _of(strength, 40, 75, 110))


def _contrast(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    mean = crop.mean()
    return _pixels(mean + (crop - mean) * _of(strength, 0.6, 0.35, 0.2))


def _warp(
    crop: NDArray[np.uint8], linear: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.uint8]:
    centre = np.full(2, _MIDDLE)
    matrix = np.column_stack([linear, centre - linear @ centre + shift])
    return np.asarray(cv2.warpAffine(crop, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _rotate(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    angle = np.deg2rad(_of(strength, 10, 20, 32)) * rng.choice([-1, 1])
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _warp(crop, linear, np.zeros(2))


def _shift(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    way = rng.uniform(0, 2 * np.pi)
    return _warp(crop, np.eye(2), _of(strength, 3, 6, 10) * np.array([np.cos(way), np.sin(way)]))


def _loose(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    return _warp(crop, np.eye(2) / _of(strength, 1.15, 1.3, 1.5), np.zeros(2))


def _tight(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    del rng
    return _warp(crop, np.eye(2) * _of(strength, 1.15, 1.3, 1.5), np.zeros(2))


def _hidden(crop: NDArray[np.uint8], strength: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    side = int(_of(strength, 12, 18, 24))
    top, left = rng.integers(0, _SIDE - side + 1, 2)
    crop = crop.copy()
    crop[top : top + side, left : left + side] = rng.integers(0, 256)
    return crop


CORRUPTIONS: dict[str, Corruption] = {
    "noise": _noise,
    "blur": _blur,
    "motion blur": _motion,
    "low resolution": _resolution,
    "JPEG": _jpeg,
    "dark": _dark,
    "bright": _bright,
    "low contrast": _contrast,
    "rotated": _rotate,
    "shifted": _shift,
    "loose framing": _loose,
    "tight framing": _tight,
    "half occluded": _hidden,
}


def corrupt(crops: NDArray[np.uint8], name: str, strength: int) -> NDArray[np.uint8]:
    """Return corrupted copies of crops; the same name and strength always give the same copies.

    Args:
        crops: gray uint8 (n, 48, 48).
        name: one of `CORRUPTIONS`.
        strength: 1, 2 or 3.
    """
    rng = np.random.default_rng([list(CORRUPTIONS).index(name), strength])
    return np.stack([CORRUPTIONS[name](crop, strength, rng) for crop in crops])


def _pixels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
