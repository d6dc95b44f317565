"""Boxes and landmarks of faces, in pixels of the image.

>>> Box(0, 0, 10, 10).iou(Box(5, 0, 10, 10))
0.3333333333333333
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from mien.errors import DataError
from mien.quoting import quoted
from mien.recognition.values import finite_float, to_list, whole_number

_MAX_COORDINATE = 2**31 - 1
"""Largest coordinate of a box, the limit of image libraries."""

Point = tuple[float, float]
"""x, y in pixels."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an image.

    Args:
        x: left edge in pixels; negative if a face is cut off at the left edge of the image.
        y: top edge in pixels; likewise.
        width: width in pixels; at least 1 for a face.
        height: height in pixels; at least 1 for a face.

    Raises:
        DataError: If a value is not an integer or is too large, or if width or height is negative.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            value = getattr(self, name)
            if type(value) is not int:
                value = whole_number(value, f"{name} of a box", "pixels")
                object.__setattr__(self, name, value)
            if abs(value) > _MAX_COORDINATE:
                raise DataError.from_parts(
                    expected=f"the {name} of a box up to {_MAX_COORDINATE:,}", received=quoted(value)
                )
        if self.width < 0 or self.height < 0:
            raise DataError.from_parts(
                expected="a box with a width and height of 0 or more",
                received=f"{self.width} and {self.height}",
                remedy="A box is (x, y, width, height), not two corners.",
            )

    @property
    def right(self) -> int:
        """X of the first column to the right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """Y of the first row below the box."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Area in pixels."""
        return self.width * self.height

    @property
    def center(self) -> Point:
        """X and y of the center."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def centre(self) -> Point:
        """Former name of `center`."""
        return self.center

    def iou(self, other: Box) -> float:
        """Return the intersection over union with another box, in [0, 1]."""
        width = min(self.right, other.right) - max(self.x, other.x)
        height = min(self.bottom, other.bottom) - max(self.y, other.y)
        if width <= 0 or height <= 0:
            return 0.0
        common = width * height
        return common / (self.area + other.area - common)

    def overlaps(self, width: int, height: int) -> bool:
        """Return whether a part of the box is inside an image of this size."""
        return self.x < width and self.y < height and self.right > 0 and self.bottom > 0

    def to_dict(self) -> dict[str, int]:
        """Return a JSON-serializable dict."""
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five facial landmarks, each as x and y in pixels. Left and right refer to the image.

    Args:
        left_eye: center of the eye on the left side of the image.
        right_eye: center of the eye on the right side of the image.
        nose: tip of the nose.
        left_mouth: corner of the mouth on the left side of the image.
        right_mouth: corner of the mouth on the right side of the image.

    Raises:
        DataError: If a landmark is not a pair of finite numbers.
    """

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _point(getattr(self, f.name), f.name))

    def to_dict(self) -> dict[str, list[float]]:
        """Return a JSON-serializable dict with x and y of each landmark."""
        return {f.name: [round(float(v), 2) for v in getattr(self, f.name)] for f in fields(self)}


def _point(value: Any, name: str) -> Point:
    pair = to_list(value) or []
    if len(pair) != 2:
        raise DataError.from_parts(expected=f"{name} as x and y in pixels", received=quoted(value))
    return finite_float(pair[0], f"x of {name}"), finite_float(pair[1], f"y of {name}")
