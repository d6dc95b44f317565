"""Preprocessing and postprocessing of the CenterFace network (Xu et al., arXiv:1911.03599).

The input is an RGB image with values from 0 to 255. The outputs are maps of a quarter of its size: `heatmap` is the
score that a cell contains the center of a face; `offset` is the position of the center in the cell, `log_size` the
size of the face, and `landmarks` the positions of eyes, nose and corners of the mouth as fractions of the box. In
`offset`, `log_size` and `landmarks`, y comes before x.
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
"""Width and height of the input must be multiples of this many pixels."""

OUTPUTS = ("heatmap", "log_size", "offset", "landmarks")
"""Names of the outputs, in the order that `decode` expects."""

_STRIDE = 4  # input pixels per cell of the maps


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Candidate faces as arrays.

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
        """Select candidates by an index array or a mask."""
        return Candidates(self.corners[which], self.scores[which], self.points[which])

    def scaled(self, x: float, y: float) -> Candidates:
        """Scale the coordinates by these factors."""
        factor = np.array([x, y], np.float32)
        return Candidates(self.corners * np.tile(factor, 2), self.scores, self.points * factor)

    def joined(self, other: Candidates) -> Candidates:
        """Concatenate with other candidates."""
        return Candidates(
            np.concatenate([self.corners, other.corners]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.points, other.points]),
        )

    def nms(self, iou_threshold: float) -> Candidates:
        """Apply non-maximum suppression.

        Args:
            iou_threshold: candidates with a higher intersection over union, in [0, 1], with a candidate of a higher
                score are removed.

        Returns:
            The remaining candidates, sorted by descending score.
        """
        queue = np.argsort(-self.scores, kind="stable")
        kept: list[np.intp] = []
        while len(queue):
            best, rest = queue[0], queue[1:]
            kept.append(best)
            queue = rest[_iou(self.corners[best], self.corners[rest]) <= iou_threshold]
        return self.pick(np.array(kept, np.intp))


def _iou(one: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of corners (4,) with corners (n, 4)."""
    sides = np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2])
    common = sides.clip(0).prod(axis=1)
    total = (one[2:] - one[:2]).prod() + (many[:, 2:] - many[:, :2]).prod(axis=1) - common
    return np.asarray(common / np.maximum(total, 1e-9), np.float32)


def to_input(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Convert an image to the input of the network.

    Args:
        image: RGB uint8 (h, w, 3).
        side: size in pixels that the longer side is resized to.

    Returns:
        float32 (1, 3, H, W), padded with black at the right and bottom to multiples of `STEP`; and the scale factors
        in x and y from its pixels to those of the image.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = np.zeros((1, 3, -(-high // STEP) * STEP, -(-wide // STEP) * STEP), np.float32)
    pixels[0, :, :high, :wide] = cv2.resize(image, (wide, high), interpolation=method).transpose(2, 0, 1)
    return pixels, (width / wide, height / high)


def decode(maps: Sequence[NDArray[np.float32]], threshold: float) -> Candidates:
    """Decode the outputs of the network for one image.

    Args:
        maps: `OUTPUTS`, float32 (1, 1 | 2 | 2 | 10, rows, columns).
        threshold: minimum score, in [0, 1].

    Returns:
        One candidate per cell that reaches the threshold, in pixels of the input. Several can belong to the same face.
    """
    heatmap, log_size, offset, landmarks = (one[0] for one in maps)
    rows, columns = np.nonzero(heatmap[0] >= threshold)
    center = np.stack([columns, rows], axis=1) + offset[::-1, rows, columns].T + 0.5  # (n, 2), x before y
    size = _STRIDE * np.exp(log_size[::-1, rows, columns].T)
    upper_left = _STRIDE * center - size / 2
    shares = landmarks[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]  # (n, 5, 2), x before y
    return Candidates(
        np.concatenate([upper_left, upper_left + size], axis=1, dtype=np.float32),
        heatmap[0, rows, columns],
        np.asarray(upper_left[:, None] + shares * size[:, None], np.float32),
    )
