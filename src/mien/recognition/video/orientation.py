"""Rotation and mirroring of video frames by a display matrix.

A phone stores frames in the orientation of its sensor, with a matrix that tells players how to display them: one of four
rotations, often combined with mirroring for front cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Matrix = tuple[float, float, float, float]
"""a, b, c, d: pixel (x, y) is shown at (a * x + c * y, b * x + d * y) plus an offset (ISO/IEC 14496-12, 6.2.2)."""

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a rectangle.

    Args:
        transposed: whether rows and columns are swapped, before flipping.
        flipped_x: whether left and right are then swapped.
        flipped_y: whether top and bottom are then swapped.
    """

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def from_matrix(cls, matrix: Matrix) -> Self:
        """Return the orientation of a display matrix; the nearest one for other angles."""
        a, b, c, d = matrix
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image as displayed: uint8 (height, width, 3), contiguous; the same object if unchanged."""
        if self == Orientation():
            return image
        shown = image.transpose(1, 0, 2) if self.transposed else image
        return np.ascontiguousarray(shown[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1])

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height as displayed."""
        return (height, width) if self.transposed else (width, height)


def product(first: Matrix, then: Matrix) -> Matrix:
    """Return the matrix that applies `first` and then `then`."""
    a, b, c, d = first
    e, f, g, h = then
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
