"""Lay a heat map over a face in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.recognition.drawing.painting import check_image
from mien.recognition.faces import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOFT_EDGE = 6
"""Pixels of the crop over which a heat map fades out at its edge."""


def draw_heat(
    image: NDArray[np.uint8],
    transform: NDArray[np.floating],
    heat: NDArray[np.floating],
    *,
    alpha: float = 0.6,
) -> NDArray[np.uint8]:
    """Lay a heat map over a face: what in it spoke for its expression.

    Args:
        image: RGB uint8 (H, W, 3).
        transform: affine (2, 3) from pixels of the image to pixels of the face's crop of 48x48.
        heat: (h, w) over the whole crop, from 0 (cold) to 1 (hot); any h and w.
        alpha: opacity where it is hottest; it fades with the heat and towards the crop's edge. In [0, 1].

    Returns:
        A new image, RGB uint8 (H, W, 3).

    Raises:
        DataError: the image, the transform or the map has another shape or type.
    """
    check_image(image)
    to_crop = _checked(transform, heat)
    canvas = image.copy()
    area = _crop_area(to_crop, canvas.shape)
    region = canvas[area.y : area.bottom, area.x : area.right]
    if not region.size:
        return canvas
    to_crop[:, 2] += to_crop[:, :2] @ (area.x, area.y)
    warm, cover = (
        cv2.warpAffine(
            plane, to_crop, (area.width, area.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        for plane in _heat_planes(heat, alpha)
    )
    tint = cv2.applyColorMap(warm, cv2.COLORMAP_INFERNO)[..., ::-1]
    region[:] = np.rint(region + (tint.astype(np.float32) - region) * cover[..., np.newaxis])
    return canvas


def _checked(transform: NDArray[np.floating], heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """A copy of a transform that can be inverted."""
    if transform.shape != (2, 3) or heat.ndim != 2 or not heat.size:
        raise DataError(
            f"Expected an affine of shape (2, 3) and a heat map (h, w), got {transform.shape} and {heat.shape}."
        )
    to_crop = np.array(transform, np.float64)
    if not np.isfinite(to_crop).all() or abs(np.linalg.det(to_crop[:, :2])) < 1e-12:
        raise DataError(f"Expected an affine that can be inverted, got {to_crop.tolist()}.")
    return to_crop


def _crop_area(to_crop: NDArray[np.float64], shape: tuple[int, ...]) -> Box:
    """The rectangle of the image that holds all of a crop, cut at the image's edge; may be empty."""
    back = cv2.invertAffineTransform(to_crop)
    edge = CROP_SIZE - 0.5
    corners = np.array([(-0.5, -0.5, 1), (edge, -0.5, 1), (edge, edge, 1), (-0.5, edge, 1)]) @ back.T
    limit = np.array(shape[1::-1])
    start = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
    end = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limit).astype(int)
    return Box(int(start[0]), int(start[1]), int(end[0] - start[0]), int(end[1] - start[1]))


def _heat_planes(heat: NDArray[np.floating], alpha: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Heat, uint8, and opacity, float32, over the crop: each (48, 48)."""
    side = (CROP_SIZE, CROP_SIZE)
    smooth = np.clip(
        cv2.resize(np.nan_to_num(heat).astype(np.float32), side, interpolation=cv2.INTER_CUBIC), 0, 1
    )
    ramp = np.clip(np.minimum(np.arange(CROP_SIZE), np.arange(CROP_SIZE)[::-1]) / _SOFT_EDGE, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    cover = alpha * np.outer(ramp, ramp) * (0.25 + 0.75 * smooth)
    return np.asarray(np.rint(255 * smooth), np.uint8), cover.astype(np.float32)
