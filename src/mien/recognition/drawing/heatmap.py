"""Draw a heat map over a face.

>>> (heat_map,) = recognizer.explain(image, faces[:1])  # doctest: +SKIP
>>> blended = draw_heatmap(image, heat_map.transform, heat_map.heat)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.recognition.drawing.painting import check_image
from mien.recognition.faces import Box
from mien.recognition.values import unit_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOFT_EDGE = 6
"""Width of the fade-out at the edge of a heat map, in pixels of the crop."""


def draw_heatmap(
    image: NDArray[np.uint8],
    transform: NDArray[np.floating],
    heat: NDArray[np.floating],
    *,
    alpha: float = 0.6,
) -> NDArray[np.uint8]:
    """Draw a heat map over a face, which shows the regions that contribute to its expression.

    Args:
        image: RGB uint8 (H, W, 3).
        transform: affine matrix (2, 3) from pixels of the image to pixels of the 48x48 crop of the face, as an array or
            as nested lists.
        heat: float (h, w) over the whole crop, from 0 to 1, of any size; likewise.
        alpha: maximum opacity, in [0, 1]. The opacity decreases with the heat and toward the edge of the crop.

    Returns:
        A new image, RGB uint8 (H, W, 3).

    Raises:
        DataError: If the image, the transform or the heat map has another shape or type, or `alpha` is outside [0, 1].
    """
    check_image(image)
    alpha = unit_float(alpha, "alpha of a heat map")
    heat = _numbers(heat)
    to_crop = _check_transform(_numbers(transform), heat)
    canvas = image.copy()
    area = _crop_area(to_crop, canvas.shape)
    region = canvas[area.y : area.bottom, area.x : area.right]
    if not region.size:
        return canvas
    to_crop[:, 2] += to_crop[:, :2] @ (area.x, area.y)
    values, cover = (
        cv2.warpAffine(
            plane, to_crop, (area.width, area.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        for plane in _heat_planes(heat, alpha)
    )
    tint = cv2.applyColorMap(values, cv2.COLORMAP_INFERNO)[..., ::-1]
    region[:] = np.rint(region + (tint.astype(np.float32) - region) * cover[..., np.newaxis])
    return canvas


def draw_heat(
    image: NDArray[np.uint8],
    transform: NDArray[np.floating],
    heat: NDArray[np.floating],
    *,
    alpha: float = 0.6,
) -> NDArray[np.uint8]:
    """Former name of `draw_heatmap`."""
    return draw_heatmap(image, transform, heat, alpha=alpha)


def _numbers(values: Any) -> NDArray[np.float64]:
    """Convert an array or nested lists, as in the JSON of the service, to an array; an empty one if not numeric."""
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.empty(0)


def _check_transform(transform: NDArray[np.float64], heat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transform after checking that it is invertible."""
    if transform.shape != (2, 3) or heat.ndim != 2 or not heat.size:
        raise DataError.from_parts(
            expected="an affine matrix (2, 3) and a heat map (h, w)",
            received=f"shapes {transform.shape} and {heat.shape}",
        )
    if not np.isfinite(transform).all() or abs(np.linalg.det(transform[:, :2])) < 1e-12:
        raise DataError.from_parts(expected="an invertible affine matrix", received=f"{transform.tolist()}")
    return transform


def _crop_area(to_crop: NDArray[np.float64], shape: tuple[int, ...]) -> Box:
    """Return the rectangle of the image that contains a crop, clipped to the image; it can be empty."""
    back = cv2.invertAffineTransform(to_crop)
    edge = CROP_SIZE - 0.5
    corners = np.array([(-0.5, -0.5, 1), (edge, -0.5, 1), (edge, edge, 1), (-0.5, edge, 1)]) @ back.T
    limit = np.array(shape[1::-1])
    start = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
    end = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limit).astype(int)
    return Box(int(start[0]), int(start[1]), int(end[0] - start[0]), int(end[1] - start[1]))


def _heat_planes(heat: NDArray[np.floating], alpha: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the heat as uint8 and the opacity as float32 over the crop, each (48, 48)."""
    side = (CROP_SIZE, CROP_SIZE)
    smooth = np.clip(
        cv2.resize(np.nan_to_num(heat).astype(np.float32), side, interpolation=cv2.INTER_CUBIC), 0, 1
    )
    ramp = np.clip(np.minimum(np.arange(CROP_SIZE), np.arange(CROP_SIZE)[::-1]) / _SOFT_EDGE, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    cover = alpha * np.outer(ramp, ramp) * (0.25 + 0.75 * smooth)
    return np.asarray(np.rint(255 * smooth), np.uint8), cover.astype(np.float32)
