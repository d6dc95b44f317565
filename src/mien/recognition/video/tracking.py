"""Track faces from frame to frame, smooth their probabilities, and detect cuts between scenes.

Faces are matched by position, size and motion, not by appearance, so a person who leaves the video and comes back gets a
new number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import DataError
from mien.quoting import quoted
from mien.recognition.faces import require_faces
from mien.recognition.values import finite_float, is_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Box, Face

# Distances are relative to the size of a face.
_MAX_DISTANCE = 0.5  # maximum distance from the predicted position in consecutive frames
_MAX_SPEED = 2.5  # increase of the maximum distance per second
_MAX_TOTAL_DISTANCE = 2.0  # upper limit of the maximum distance
_MAX_GROWTH = 2.0  # maximum ratio of the sizes
_SPEED_SECONDS = 0.2  # time constant of the average speed of a face
_COAST_SECONDS = 0.5  # how long the position of an undetected face is extrapolated

# Chosen on 33 photographs: 96% of the 528 cuts between two of them are detected, and no pan by up to 30% of the width,
# zoom by a fifth or sudden change of light.
_CUT_LAYOUT = 0.4  # correlation of the reduced gray frames
_CUT_COLORS = 0.7  # overlap of the color histograms of the reduced frames


@dataclass(frozen=True, slots=True)
class _Track:
    """A face at its last detection, with its speed in pixels per second."""

    number: int
    box: Box
    seconds: float
    speed: tuple[float, float] = (0.0, 0.0)

    def cost(self, box: Box, seconds: float) -> float:
        """Return the cost of matching a box, relative to the size of the face; infinite if it cannot match."""
        size, ahead = math.sqrt(self.box.area), seconds - self.seconds
        x, y = (
            at + speed * min(ahead, _COAST_SECONDS)
            for at, speed in zip(self.box.center, self.speed, strict=True)
        )
        distance = math.hypot(box.center[0] - x, box.center[1] - y) / size
        growth = abs(math.log(math.sqrt(box.area) / size))
        possible = distance <= min(
            _MAX_DISTANCE + _MAX_SPEED * ahead, _MAX_TOTAL_DISTANCE
        ) and growth <= math.log(_MAX_GROWTH)
        return distance + growth if possible else math.inf

    def updated(self, box: Box, seconds: float) -> _Track:
        """Return the track updated with a new detection."""
        elapsed = seconds - self.seconds
        if elapsed <= 0:
            return replace(self, box=box)
        keep = math.exp(-elapsed / _SPEED_SECONDS)
        across, down = (
            keep * old + (1 - keep) * (now - before) / elapsed
            for old, now, before in zip(self.speed, box.center, self.box.center, strict=True)
        )
        return _Track(self.number, box, seconds, (across, down))


class FaceTracker:
    """Assigns a number to each face that stays the same from frame to frame. Numbers start at 1 and are not reused.

    Known and detected faces are matched greedily, by increasing cost. As positions are predicted from the motion, this
    differs from an optimal assignment only if faces are so close that both can be wrong. The order of the faces does not
    matter.

    Args:
        gap_seconds: maximum time in seconds without detection after which a face keeps its number. The time between
            consecutive frames is not limited.

    Raises:
        DataError: If `gap_seconds` is negative or not a number.
    """

    def __init__(self, gap_seconds: float = 1.0) -> None:
        self._gap = _not_negative(gap_seconds, "gap")
        self._tracks: list[_Track] = []
        self._given = 0
        self._before = -math.inf

    def update(self, seconds: float, faces: Sequence[Face]) -> list[Face]:
        """Assign numbers to the faces of the next frame.

        Args:
            seconds: time of the frame; not before the previous frame.
            faces: the faces found in the frame.

        Returns:
            The faces in the same order, with a unique `track` each.

        Raises:
            DataError: If the time is not a finite number or before the previous frame, or an item is not a face.
        """
        faces, seconds = require_faces(faces), finite_float(seconds, "time of a frame")
        if seconds < self._before:
            raise DataError.from_parts(
                expected=f"a frame at {self._before} seconds or later", received=f"one at {seconds}"
            )
        oldest = min(self._before, seconds - self._gap)
        known = [track for track in self._tracks if track.seconds >= oldest]
        order = sorted(range(len(faces)), key=lambda i: _by_place(faces[i]))
        found = _pair(known, [faces[i].box for i in order], seconds)
        tracks = {i: found.get(place) or self._new(faces[i].box, seconds) for place, i in enumerate(order)}
        numbers = {track.number for track in tracks.values()}
        self._tracks = [*tracks.values(), *(track for track in known if track.number not in numbers)]
        self._before = seconds
        return [replace(face, track=tracks[i].number) for i, face in enumerate(faces)]

    def forget(self) -> None:
        """Forget all faces, so that the next ones get new numbers, for example after a cut."""
        self._tracks = []

    def _new(self, box: Box, seconds: float) -> _Track:
        self._given += 1
        return _Track(self._given, box, seconds)


def _not_negative(seconds: Any, what: str) -> float:
    """Return a time, which may be infinite; raise a DataError if it is negative or not a number."""
    is_endless = isinstance(seconds, float | np.floating) and seconds == math.inf
    if not is_endless and (not is_finite(seconds) or seconds < 0):
        raise DataError.from_parts(expected=f"a {what} of 0 seconds or more", received=quoted(seconds))
    return float(seconds)


def _by_place(face: Face) -> tuple[float, ...]:
    """Return a sort key, so that the result does not depend on the order of the faces."""
    box = face.box
    return box.x, box.y, box.width, box.height, face.confidence, *face.expression.probabilities.values()


def _pair(known: Sequence[_Track], boxes: Sequence[Box], seconds: float) -> dict[int, _Track]:
    """Match known faces with boxes; return the updated tracks by the index of their box."""
    pairs = sorted(
        (cost, track.number, place, track)
        for place, box in enumerate(boxes)
        for track in known
        if (cost := track.cost(box, seconds)) < math.inf
    )
    found: dict[int, _Track] = {}
    taken = set()
    for _, number, place, track in pairs:
        if number not in taken and place not in found:
            taken.add(number)
            found[place] = track.updated(boxes[place], seconds)
    return found


class Smoother:
    """Smooths the probabilities of each face over time by an exponential moving average.

    After a time t, earlier probabilities have the weight exp(-t / `seconds`). The weights depend on the times of the
    frames, not on their number, so variable frame rates and skipped frames make no difference.

    Args:
        seconds: time constant in seconds; 0 leaves probabilities unchanged.

    Raises:
        DataError: If it is negative or not a number.
    """

    def __init__(self, seconds: float = 0.3) -> None:
        self._constant = _not_negative(seconds, "smoothing time")
        self._means: dict[int, tuple[float, dict[str, float]]] = {}

    def update(self, seconds: float, faces: Sequence[Face]) -> list[Face]:
        """Smooth the probabilities of the faces of the next frame.

        Args:
            seconds: time of the frame; not before the previous frame.
            faces: faces with `track` set; those without stay unchanged.

        Returns:
            The faces with smoothed probabilities.
        """
        if not self._constant:
            return list(faces)
        # Averages with a weight below a millionth are dropped, so that memory use does not grow.
        self._means = {n: m for n, m in self._means.items() if seconds - m[0] < 14 * self._constant}
        return [face if face.track is None else self._smooth(seconds, face.track, face) for face in faces]

    def _smooth(self, seconds: float, track: int, face: Face) -> Face:
        values = dict(face.expression.probabilities)
        if (
            track in self._means and self._means[track][1].keys() == values.keys()
        ):  # otherwise the label set changed
            then, mean = self._means[track]
            keep = math.exp(-(seconds - then) / self._constant)
            values = {label: keep * mean[label] + (1 - keep) * value for label, value in values.items()}
        self._means[track] = seconds, values
        return replace(face, expression=face.expression.with_probabilities(values))


class CutDetector:
    """Detects cuts between scenes: a change of both the layout and the colors of the frame.

    Missing a cut is preferred to a false detection with a moving camera, which would give new numbers to all faces.
    """

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None

    def update(self, image: NDArray[np.uint8]) -> bool:
        """Return whether there is a cut between this frame, RGB uint8 (height, width, 3), and the previous one."""
        step = max(min(image.shape[:2]) // 120, 1)  # subsampling large images first is faster
        thin = np.ascontiguousarray(image[::step, ::step])
        small = np.asarray(cv2.resize(thin, (32, 24), interpolation=cv2.INTER_AREA), np.uint8)
        steps = small // 64 @ np.array([16, 4, 1])  # color histogram bin of each pixel: 4 x 4 x 4 bins
        now = _normal(small), np.bincount(steps.ravel(), minlength=64) / steps.size
        before, self._before = self._before, now
        if before is None:
            return False
        layout, colors = float((before[0] * now[0]).sum()), np.minimum(before[1], now[1]).sum()
        return bool(layout < _CUT_LAYOUT and colors < _CUT_COLORS)


def _normal(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert to gray with mean 0 and norm 1, so that dot products are correlations; all 0 if uniform."""
    gray: NDArray[np.float32] = small.mean(axis=2, dtype=np.float32)
    gray -= gray.mean()
    return gray / np.float32(max(float(np.linalg.norm(gray)), 1e-6))
