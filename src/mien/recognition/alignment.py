"""Align detected faces and crop them to the gray input of the networks.

A network works best with faces in the same position and size as in its training data. `FER2013_FRAMING` describes the
position of the faces in FER2013; `align` computes the rotation, scale and translation that bring a detected face to that
position, and `crop_faces` applies them. `Alignment.to_image` maps points of the crop back to the image.
`benchmarks/framing.py` compares this method with others.

>>> from mien.recognition.detection import CenterFace
>>> crops = crop_faces(image, CenterFace().detect(image))  # doctest: +SKIP
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.images import CROP_SIZE, require_rgb, to_gray
from mien.recognition.custom_models import validate_detections
from mien.recognition.faces import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Detection, Landmarks, Point

_HALF = 0.5  # the origin is the center of the first pixel in OpenCV, and its corner here


@dataclass(frozen=True, slots=True)
class Framing:
    """Position and size of a face in its crop, as fractions of the side length of the crop.

    Args:
        center: x and y of the center of the bounding box.
        width: width of the bounding box.
        height: height of the bounding box.
        max_roll_angle: maximum rotation in degrees that makes a tilted face upright.
    """

    center: Point
    width: float
    height: float
    max_roll_angle: float

    @property
    def size(self) -> float:
        """Geometric mean of width and height: less affected by an open mouth or a turned head than either of them."""
        return math.sqrt(self.width * self.height)

    def box_in(self, width: int, height: int) -> Box:
        """Return the box of the face in an image of this size that is itself such a crop, in pixels."""
        wide, high = max(1, round(self.width * width)), max(1, round(self.height * height))
        return Box(
            round(self.center[0] * width - wide / 2), round(self.center[1] * height - high / 2), wide, high
        )


FER2013_FRAMING = Framing(center=(0.5, 0.513), width=0.812, height=0.955, max_roll_angle=45.0)
"""Medians of the boxes of the built-in detector on the Training images of FER2013 (`benchmarks/framing.py`). The center
is at one half horizontally, because mirrored faces are equally likely."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """A similarity transform from an image to a crop: rotation, scale and translation.

    Points are continuous: pixel (0, 0) covers the square from (0, 0) to (1, 1), as in `Box`.

    Args:
        matrix: the two rows of the affine matrix from image to crop.
        size: side length of the crop in pixels.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    size: int = CROP_SIZE

    @property
    def scale(self) -> float:
        """Scale factor from the image to the crop."""
        return math.hypot(self.matrix[0][0], self.matrix[1][0])

    def to_crop(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Map points (..., 2) from the image to the crop."""
        linear, shift = self._parts()
        return np.asarray(points @ linear.T + shift, np.float64)

    def to_image(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Map points (..., 2) from the crop to the image."""
        linear, shift = self._parts()
        return np.asarray((points - shift) @ np.linalg.inv(linear).T, np.float64)

    def corners(self) -> NDArray[np.float64]:
        """Return the corners of the crop in the image (4, 2): top left, top right, bottom right, bottom left."""
        return self.to_image(self.size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64))

    def inverse(self) -> NDArray[np.float64]:
        """Return the affine matrix (2, 3) from crop to image in the convention of `cv2.warpAffine`."""
        linear = np.linalg.inv(self._parts()[0])
        origin = self.to_image(np.full(2, _HALF)) - _HALF
        return np.column_stack([linear, origin])

    def _parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        matrix = np.array(self.matrix, np.float64)
        return matrix[:, :2], matrix[:, 2]


def align(detection: Detection, framing: Framing = FER2013_FRAMING, size: int = CROP_SIZE) -> Alignment:
    """Compute the transform from the image to the crop of one face.

    Position and scale are computed from the box, and the rotation from the landmarks. Without landmarks the face is not
    rotated.

    Args:
        detection: the detected face.
        framing: position and size of the face in the crop.
        size: side length of the crop in pixels.
    """
    box = detection.box
    scale = size * framing.size / math.sqrt(box.width * box.height)
    roll = math.radians(roll_angle(detection.landmarks)) if detection.landmarks else 0.0
    limit = math.radians(framing.max_roll_angle)
    rotation = -min(max(roll, -limit), limit)
    a, b = scale * math.cos(rotation), scale * math.sin(rotation)
    x, y = box.center
    across = framing.center[0] * size - (a * x - b * y)
    down = framing.center[1] * size - (b * x + a * y)
    return Alignment(((a, -b, across), (b, a, down)), size)


def roll_angle(landmarks: Landmarks) -> float:
    """Return the roll angle of a face in degrees, clockwise in the image, in (-180, 180].

    It is the direction of a sum of three vectors: from eye to eye and from corner to corner of the mouth, which are
    horizontal in an upright face, and from the eyes to the mouth, which is vertical. So a single wrong landmark has a
    limited effect.
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
    """Crop the faces of an image to the input of the networks.

    Only the part of the image inside a crop is read, so that the time does not depend on the image size. Pixels outside
    the image are filled by repeating its edge.

    Args:
        image: RGB uint8 (h, w, 3).
        detections: the detected faces; boxes may extend beyond the image.
        framing: position and size of a face in the crop.

    Returns:
        Gray uint8 (n, 48, 48), in the order of the detections; n may be 0.

    Raises:
        DataError: If the image has another shape or type, or an item is not a detection.
    """
    require_rgb(image)
    detections = validate_detections(detections, "a detector")
    crops = np.empty((len(detections), CROP_SIZE, CROP_SIZE), np.uint8)
    for crop, detection in zip(crops, detections, strict=True):
        crop[...] = warp(image, align(detection, framing))
    return crops


def warp(image: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.uint8]:
    """Apply a transform to an RGB image uint8 (h, w, 3) and return the crop, gray uint8 (size, size).

    Interpolation alone would cause aliasing. So a face larger than the crop is first shrunk by area averaging to between
    two and four times the size of the crop, then transformed at twice that size, and averaged again. The crop then
    hardly depends on the size of the face in the image.
    """
    left, top, right, bottom = _extent(alignment, image.shape[0], image.shape[1])
    part = to_gray(image[top:bottom, left:right])
    finer = 2 if alignment.scale < 1 else 1
    shrink = max(1, math.floor(1 / (finer * alignment.scale)))
    high, wide = part.shape
    small = (max(1, round(wide / shrink)), max(1, round(high / shrink)))
    if shrink > 1:
        part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
    first = alignment.to_image(np.full(2, _HALF / finer)) - (left, top)  # center of the first pixel
    linear = np.column_stack([alignment.inverse()[:, :2] / finer, first])
    linear *= np.array([[part.shape[1] / wide], [part.shape[0] / high]])
    linear[:, 2] -= _HALF
    side = alignment.size * finer
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = part.astype(np.float32)  # rounded only once, at the end
    crop = cv2.warpAffine(fine, linear, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        crop = cv2.resize(crop, (alignment.size, alignment.size), interpolation=cv2.INTER_AREA)
    return np.rint(crop).astype(np.uint8)


def _extent(alignment: Alignment, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the region of the image that a crop needs, at least one pixel: left, top, right, bottom."""
    corners = alignment.corners()
    margin = 1 + 1 / alignment.scale
    low, high = np.floor(corners.min(axis=0) - margin), np.ceil(corners.max(axis=0) + margin)
    left, top = (int(min(max(low[i], 0), side - 1)) for i, side in enumerate((width, height)))
    right, bottom = (int(min(max(high[i], 1), side)) for i, side in enumerate((width, height)))
    return left, top, max(right, left + 1), max(bottom, top + 1)
