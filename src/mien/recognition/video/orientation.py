"""How a video's frames are turned and mirrored for display, read from a display matrix.

A phone stores frames as its sensor gives them, with a matrix that tells players how to show them: one of four
rotations, for front cameras often with a mirroring. An angle alone cannot say that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Matrix = tuple[float, float, float, float]
"""a, b, c, d: the pixel at x, y is shown at (a * x + c * y, b * x + d * y), up to a shift (ISO/IEC 14496-12, 6.2.2)."""

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a rectangle.

    Args:
        transposed: whether rows become columns, before anything is flipped.
        flipped_x: whether left and right are then exchanged.
        flipped_y: whether top and bottom are then exchanged.
    """

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def from_matrix(cls, matrix: Matrix) -> Self:
        """The orientation of a display matrix; of one that turns by an odd angle, the nearest."""
        a, b, c, d = matrix
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image as it is shown: uint8 (height, width, 3), contiguous; the same object where nothing changes."""
        if self == Orientation():
            return image
        shown = image.transpose(1, 0, 2) if self.transposed else image
        return np.ascontiguousarray(shown[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1])

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as they are shown."""
        return (height, width) if self.transposed else (width, height)


def product(first: Matrix, then: Matrix) -> Matrix:
    """The matrix that does what `first` and afterwards `then` do."""
    a, b, c, d = first
    e, f, g, h = then
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
