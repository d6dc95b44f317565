"""From faces in an image to the gray crops that the networks know, and back.

A network judges faces well that lie in the square as those lay that it was trained on. `FER2013_FRAMING` says how
FER2013's lie; `align` finds the turn, scale and shift that lay a detected face like that; `crop_faces` carries them
out. What is found in a crop goes back to the image by `Alignment.to_image`. The choice between this and other
ways is measured in `benchmarks/framing.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.images import CROP_SIZE, require_rgb, to_gray
from mien.recognition.custom_models import checked_detections
from mien.recognition.faces import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Detection, Landmarks, Point

_HALF = 0.5  # OpenCV counts from the middle of the first pixel, we from its corner


@dataclass(frozen=True, slots=True)
class Framing:
    """How a face lies in a crop; lengths are shares of the crop's side.

    Args:
        center: where the middle of the face's box lies, x and y.
        width: of the face's box.
        height: of the face's box.
        most_turn: degrees up to which a face that leans is turned upright; one that leans more keeps the rest.
    """

    centre: Point
    width: float
    height: float
    most_turn: float

    @property
    def size(self) -> float:
        """Geometric mean of width and height: less moved by an open mouth or a turned head than either."""
        return math.sqrt(self.width * self.height)

    def box_in(self, width: int, height: int) -> Box:
        """Where the face lies in an image of this size that is itself such a crop, in its pixels."""
        wide, high = max(1, round(self.width * width)), max(1, round(self.height * height))
        return Box(
            round(self.centre[0] * width - wide / 2), round(self.centre[1] * height - high / 2), wide, high
        )


FER2013_FRAMING = Framing(centre=(0.5, 0.513), width=0.812, height=0.955, most_turn=45.0)
"""Medians of the built-in detector's boxes on FER2013's Training images (`benchmarks/framing.py`); mirrored
faces are as likely, so the middle is at a half."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The way from an image to a crop: turn, scale and shift, never mirror or squeeze.

    Points are continuous: pixel (0, 0) covers the square from (0, 0) to (1, 1), as a `Box` counts.

    Args:
        matrix: the two rows of the affine map from image to crop.
        size: side of the crop in pixels.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    size: int = CROP_SIZE

    @property
    def scale(self) -> float:
        """Pixels of the crop to one of the image."""
        return math.hypot(self.matrix[0][0], self.matrix[1][0])

    def to_crop(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Points (..., 2) of the image as points of the crop."""
        linear, shift = self._parts()
        return np.asarray(points @ linear.T + shift, np.float64)

    def to_image(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Points (..., 2) of the crop as points of the image."""
        linear, shift = self._parts()
        return np.asarray((points - shift) @ np.linalg.inv(linear).T, np.float64)

    def corners(self) -> NDArray[np.float64]:
        """The crop's corners in the image (4, 2): upper left, upper right, lower right, lower left."""
        return self.to_image(self.size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64))

    def inverse(self) -> NDArray[np.float64]:
        """The affine map (2, 3) from crop to image, as `cv2.warpAffine` takes it to lay a heat map there."""
        linear = np.linalg.inv(self._parts()[0])
        origin = self.to_image(np.full(2, _HALF)) - _HALF
        return np.column_stack([linear, origin])

    def _parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        matrix = np.array(self.matrix, np.float64)
        return matrix[:, :2], matrix[:, 2]


def align(detection: Detection, framing: Framing = FER2013_FRAMING, size: int = CROP_SIZE) -> Alignment:
    """The way from the image to the crop of one face.

    Place and size come from the box, the turn from the landmarks; without landmarks the face is not turned.

    Args:
        detection: the face.
        framing: how it shall lie in the crop.
        size: side of the crop in pixels.
    """
    box = detection.box
    scale = size * framing.size / math.sqrt(box.width * box.height)
    lean = math.radians(lean_of(detection.landmarks)) if detection.landmarks else 0.0
    most = math.radians(framing.most_turn)
    turn = -min(max(lean, -most), most)
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    x, y = box.centre
    across = framing.centre[0] * size - (a * x - b * y)
    down = framing.centre[1] * size - (b * x + a * y)
    return Alignment(((a, -b, across), (b, a, down)), size)


def lean_of(landmarks: Landmarks) -> float:
    """Degrees by which a face leans, clockwise as seen, in (-180, 180].

    Two directions that are level in an upright face, along the eyes and along the mouth, and one that is plumb,
    from the eyes to the mouth, are summed as arrows, so that one landmark at fault does not decide alone.
    """
    points = [landmarks.left_eye, landmarks.right_eye, landmarks.left_mouth, landmarks.right_mouth]
    left_eye, right_eye, left_mouth, right_mouth = (complex(*point) for point in points)
    level = (right_eye - left_eye) + (right_mouth - left_mouth)
    plumb = (left_mouth + right_mouth) - (left_eye + right_eye)
    arrow = level + plumb / 1j
    return math.degrees(math.atan2(arrow.imag, arrow.real))


def crop_faces(
    image: NDArray[np.uint8], detections: Sequence[Detection], framing: Framing = FER2013_FRAMING
) -> NDArray[np.uint8]:
    """The faces of an image as the networks take them.

    Only the part of the image that a crop shows is read, so that the cost does not depend on the image's size.
    What lies outside the image is filled with its edge.

    Args:
        image: RGB uint8 (h, w, 3).
        detections: the faces; their boxes may reach beyond the image.
        framing: how a face shall lie in the crop.

    Returns:
        Gray uint8 (n, 48, 48), in the order of the detections; n may be 0.

    Raises:
        DataError: the image has another form, or what should be faces are none.
    """
    require_rgb(image)
    detections = checked_detections(detections, "a detector")
    crops = np.empty((len(detections), CROP_SIZE, CROP_SIZE), np.uint8)
    for crop, detection in zip(crops, detections, strict=True):
        crop[...] = warp(image, align(detection, framing))
    return crops


def warp(image: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.uint8]:
    """One crop, gray uint8 (size, size), of an RGB image uint8 (h, w, 3).

    Interpolation looks at a few pixels only and would turn fine texture into noise. So a face larger than the crop is
    averaged down to less than a factor of two above twice the crop's size, laid straight at twice that size, and
    averaged again: the crop hardly depends on how large the same face is in the image.
    """
    left, top, right, bottom = _extent(alignment, image.shape[0], image.shape[1])
    part = to_gray(image[top:bottom, left:right])
    finer = 2 if alignment.scale < 1 else 1
    shrink = max(1, math.floor(1 / (finer * alignment.scale)))
    high, wide = part.shape
    small = (max(1, round(wide / shrink)), max(1, round(high / shrink)))
    if shrink > 1:
        part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
    first = alignment.to_image(np.full(2, _HALF / finer)) - (left, top)  # the middle of the first pixel
    linear = np.column_stack([alignment.inverse()[:, :2] / finer, first])
    linear *= np.array([[part.shape[1] / wide], [part.shape[0] / high]])
    linear[:, 2] -= _HALF
    side = alignment.size * finer
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = part.astype(np.float32)  # rounded once, at the end
    crop = cv2.warpAffine(fine, linear, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        crop = cv2.resize(crop, (alignment.size, alignment.size), interpolation=cv2.INTER_AREA)
    return np.rint(crop).astype(np.uint8)


def _extent(alignment: Alignment, height: int, width: int) -> tuple[int, int, int, int]:
    """The pixels that a crop needs, at least one: left, top, right, bottom."""
    corners = alignment.corners()
    margin = 1 + 1 / alignment.scale
    low, high = np.floor(corners.min(axis=0) - margin), np.ceil(corners.max(axis=0) + margin)
    left, top = (int(min(max(low[i], 0), side - 1)) for i, side in enumerate((width, height)))
    right, bottom = (int(min(max(high[i], 1), side)) for i, side in enumerate((width, height)))
    return left, top, max(right, left + 1), max(bottom, top + 1)
