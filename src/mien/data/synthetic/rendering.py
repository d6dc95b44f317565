"""Render shapes as a gray image with pose, light, background, blur and grain.

The polygons are painted with antialiasing at `OVERSAMPLING` times the size and reduced by area averaging.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import cos, sin
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.data.synthetic.head import circle
from mien.data.synthetic.person import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.synthetic.head import Shape

    Floats = NDArray[np.float64]

OVERSAMPLING = 4
_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates


@dataclass(frozen=True, slots=True)
class Scene:
    """Pose of the head, light, background and camera.

    Angles are in radians, lengths are fractions of the image side, tones range from 0 to 255.
    """

    yaw: float  # above 0, the face is turned to the right of the image
    pitch: float  # above 0, it looks down
    roll: float  # above 0, it is rotated clockwise
    scale: float  # half the width of the head
    x: float  # center of the face
    y: float
    light_x: float  # direction of the light: -1 is the left or the top, 1 the right or the bottom
    light_y: float
    contrast: float  # factor around the middle gray
    exposure: float  # added to the tones
    background: float  # tone
    backdrop: float  # tone of the round shape behind the head
    backdrop_x: float
    backdrop_y: float
    backdrop_radius: float
    blur: float  # sigma in pixels of the image
    grain: float  # standard deviation in tones


_RANGES = {
    "scale": (0.335, 0.41), "light_x": (-1, 1), "light_y": (-0.9, 0.3), "contrast": (0.72, 1.1),
    "background": (25, 235), "backdrop_x": (0, 1), "backdrop_y": (0, 1), "backdrop_radius": (0.25, 0.6),
    "blur": (0.0, 0.7), "grain": (1.5, 7.0),
}  # fmt: skip


def sample_scene(rng: np.random.Generator) -> Scene:
    """Sample pose, light, background and camera."""
    drawn = within(_RANGES, rng)
    # Values are clipped to 2.5 standard deviations, so that no face extends beyond the image.
    yaw, pitch, roll, x, y, exposure, shade = np.clip(rng.standard_normal(7), -2.5, 2.5).tolist()
    return Scene(
        **drawn,
        yaw=0.19 * yaw,
        pitch=0.09 * pitch,
        roll=0.10 * roll,
        x=0.5 + 0.027 * x,
        y=0.49 + 0.027 * y,
        exposure=8 + 12 * exposure,
        backdrop=drawn["background"] + 35 * shade,
    )


def render(shapes: Sequence[Shape], scene: Scene, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Render shapes, painted in their order.

    Args:
        shapes: polygons in face units.
        scene: pose, light and camera.
        size: side of the image in pixels.
        rng: random generator for the grain.

    Returns:
        Gray uint8 (size, size).
    """
    canvas = _backdrop(scene, size * OVERSAMPLING)
    _paint(canvas, shapes, scene)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    if scene.blur > 0.25:  # below that the kernel is a single pixel
        small = cv2.GaussianBlur(small, (0, 0), scene.blur).astype(np.float32, copy=False)
    lit = _light(small, scene)
    lit += np.float32(scene.grain) * rng.standard_normal((size, size), dtype=np.float32)
    return np.minimum(np.maximum(lit, 0), 255).astype(np.uint8)


def project(points: Floats, scene: Scene) -> Floats:
    """Project points from face units (k, 2) to fractions of the image side (k, 2), with the face on a dome.

    A point at height z of the dome moves by 0.75 z sin(angle), and its own offset is multiplied by
    1 - z (1 - cos(angle)): the far side is foreshortened, and the outline of the head, where z is 0, does not move.
    """
    x, y = np.ascontiguousarray(points.T)  # arithmetic on strided columns is slower
    z = np.sqrt(np.maximum(1.0 - (x / 1.08) ** 2 - (y / 1.4) ** 2, 0.0))
    turned_x = x + z * (0.75 * sin(scene.yaw) - (1 - cos(scene.yaw)) * x)
    turned_y = y + z * (0.75 * sin(scene.pitch) - (1 - cos(scene.pitch)) * y)
    along, askew = scene.scale * cos(scene.roll), scene.scale * sin(scene.roll)
    placed = np.empty_like(points)
    placed[:, 0] = turned_x * along - turned_y * askew + scene.x
    placed[:, 1] = turned_x * askew + turned_y * along + scene.y
    return placed


def _paint(canvas: NDArray[np.uint8], shapes: Sequence[Shape], scene: Scene) -> None:
    together = np.concatenate([shape.points for shape in shapes])  # one projection for all is much faster
    pixels = _to_fixed_point(project(together, scene), len(canvas))
    start = 0
    for points, tone in shapes:
        stop = start + len(points)
        cv2.fillPoly(canvas, [pixels[start:stop]], (tone,), cv2.LINE_AA, _SHIFT)
        start = stop


def _to_fixed_point(shares: Floats, side: int) -> NDArray[np.int32]:
    return (shares * (side << _SHIFT)).astype(np.int32)


def _backdrop(scene: Scene, side: int) -> NDArray[np.uint8]:
    canvas = np.full((side, side), round(scene.background), np.uint8)
    shape = circle(scene.backdrop_x, scene.backdrop_y, scene.backdrop_radius)
    tone = min(max(scene.backdrop, 0.0), 255.0)
    cv2.fillPoly(canvas, [_to_fixed_point(shape, side)], (tone,), cv2.LINE_AA, _SHIFT)
    return canvas


def _light(image: NDArray[np.float32], scene: Scene) -> NDArray[np.float32]:
    """Apply light that decreases across the image, then contrast and exposure."""
    line = _line(len(image))
    fall = 1 + np.float32(0.22 * scene.light_x) * line + np.float32(0.16 * scene.light_y) * line[:, None]
    contrast = np.float32(scene.contrast)
    return np.asarray(image * (fall * contrast) + np.float32(128 + scene.exposure - 128 * scene.contrast))


@cache
def _line(size: int) -> NDArray[np.float32]:
    return np.linspace(-1, 1, size, dtype=np.float32)
