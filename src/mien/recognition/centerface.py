"""What the maps of CenterFace mean: from an image to its input, from its output to faces.

The network (Xu and others, arXiv:1911.03599) looks at an RGB image, values 0 to 255, and gives maps of a quarter of
its size. A cell of `heatmap` says how surely the middle of a face lies in it; `offset` says where in the cell,
`log_size` how large the face is, `landmarks` where eyes, nose and corners of the mouth are, as shares of the box.
In `offset`, `log_size` and `landmarks`, y comes before x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STEP = 32
"""Sides of the network's input are multiples of this many pixels, or its maps do not fit each other."""

OUTPUTS = ("heatmap", "log_size", "offset", "landmarks")
"""Names of the maps, in the order in which `decode` takes them."""

_STRIDE = 4  # pixels of the input to a cell of the maps


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Faces as arrays, before they become detections.

    Args:
        corners: float (n, 4), left, top, right and bottom in pixels.
        scores: float (n,), in [0, 1].
        points: float (n, 5, 2), x and y of left eye, right eye, nose, left and right corner of the mouth.
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def pick(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Candidates:
        """Those of an index or a mask, in its order."""
        return Candidates(self.corners[which], self.scores[which], self.points[which])

    def scaled(self, x: float, y: float) -> Candidates:
        """The same faces in an image stretched by these factors."""
        factor = np.array([x, y], np.float32)
        return Candidates(self.corners * np.tile(factor, 2), self.scores, self.points * factor)

    def joined(self, other: Candidates) -> Candidates:
        """These and then those."""
        return Candidates(
            np.concatenate([self.corners, other.corners]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.points, other.points]),
        )

    def apart(self, overlap: float) -> Candidates:
        """The surest first, without those that share more than `overlap` (IoU) with a surer one."""
        queue = np.argsort(-self.scores, kind="stable")
        kept: list[np.intp] = []
        while len(queue):
            best, rest = queue[0], queue[1:]
            kept.append(best)
            queue = rest[_iou(self.corners[best], self.corners[rest]) <= overlap]
        return self.pick(np.array(kept, np.intp))


def _iou(one: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of corners (4,) with corners (n, 4)."""
    sides = np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2])
    common = sides.clip(0).prod(axis=1)
    total = (one[2:] - one[:2]).prod() + (many[:, 2:] - many[:, :2]).prod(axis=1) - common
    return np.asarray(common / np.maximum(total, 1e-9), np.float32)


def to_input(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """An image as the network takes it.

    Args:
        image: RGB uint8 (h, w, 3).
        side: pixels that the longer side is scaled to.

    Returns:
        float32 (1, 3, H, W), its sides multiples of `STEP`, black at the right and below where the image
        ends; and the factors from its pixels to those of the image, in x and in y.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = np.zeros((1, 3, -(-high // STEP) * STEP, -(-wide // STEP) * STEP), np.float32)
    pixels[0, :, :high, :wide] = cv2.resize(image, (wide, high), interpolation=method).transpose(2, 0, 1)
    return pixels, (width / wide, height / high)


def decode(maps: Sequence[NDArray[np.float32]], threshold: float) -> Candidates:
    """The faces in the maps of one image.

    Args:
        maps: `OUTPUTS`, float32 (1, 1 | 2 | 2 | 10, rows, columns).
        threshold: the least score, in [0, 1].

    Returns:
        All cells that reach the threshold, many of them for the same face, in pixels of the input.
    """
    heatmap, log_size, offset, landmarks = (one[0] for one in maps)
    rows, columns = np.nonzero(heatmap[0] >= threshold)
    centre = np.stack([columns, rows], axis=1) + offset[::-1, rows, columns].T + 0.5  # (n, 2), x before y
    size = _STRIDE * np.exp(log_size[::-1, rows, columns].T)
    upper_left = _STRIDE * centre - size / 2
    shares = landmarks[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]  # (n, 5, 2), x before y
    return Candidates(
        np.concatenate([upper_left, upper_left + size], axis=1, dtype=np.float32),
        heatmap[0, rows, columns],
        np.asarray(upper_left[:, None] + shares * size[:, None], np.float32),
    )
