"""Faces over time: the same number from frame to frame, and probabilities that do not flicker.

A face is taken for the one whose motion leads nearest to where it lies. Faces are not compared by their looks, so
a person who leaves the video and comes back gets a new number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import DataError
from mien.recognition.faces import Face

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Box

_REACH = 0.5  # of a face's size: how far off its place a face may be found at once
_SPEED = 2.5  # sizes a second: how much farther it may be found for each second that it was not looked at
_FARTHEST = 2.0  # sizes: and no farther than this
_GROWTH = 2.0  # times as large or as small as it was, at most
_MEMORY = 0.2  # seconds over which the speed of a face is averaged
_COAST = 0.5  # seconds that a face which is not seen is thought to go on moving

# Chosen on 33 photographs: of the 528 cuts between two of them 96% are found, and no pan by up to 30% of the
# width, zoom by a fifth or sudden light is taken for one.
_CUT_LAYOUT = 0.4  # correlation of two small gray images
_CUT_COLORS = 0.7  # share of their colors that two small images have in common


@dataclass(frozen=True, slots=True)
class _Track:
    """A face as it was last seen; its speed in pixels a second."""

    number: int
    box: Box
    seconds: float
    speed: tuple[float, float] = (0.0, 0.0)

    def misfit(self, box: Box, seconds: float) -> float:
        """How badly a box agrees with where the face should be, in sizes of the face; infinite if it cannot be."""
        size, ahead = math.sqrt(self.box.area), seconds - self.seconds
        x, y = (
            at + speed * min(ahead, _COAST) for at, speed in zip(self.box.centre, self.speed, strict=True)
        )
        distance = math.hypot(box.centre[0] - x, box.centre[1] - y) / size
        growth = abs(math.log(math.sqrt(box.area) / size))
        possible = distance <= min(_REACH + _SPEED * ahead, _FARTHEST) and growth <= math.log(_GROWTH)
        return distance + growth if possible else math.inf

    def seen(self, box: Box, seconds: float) -> _Track:
        """The same face where it is now."""
        elapsed = seconds - self.seconds
        if elapsed <= 0:
            return replace(self, box=box)
        keep = math.exp(-elapsed / _MEMORY)
        across, down = (
            keep * old + (1 - keep) * (now - before) / elapsed
            for old, now, before in zip(self.speed, box.centre, self.box.centre, strict=True)
        )
        return _Track(self.number, box, seconds, (across, down))


class FaceTracker:
    """Gives faces numbers that they keep from frame to frame; the first is 1, and none is used again.

    Of all pairs of a known face and a found one that can be the same, the best is taken, then the best of the
    rest, and so on. That is no optimal assignment, but as places are foreseen by motion the two only differ
    where faces lie so close that either may be wrong. The order in which faces are given does not matter.

    Args:
        gap_seconds: how long a face may be unseen and still be the same. Between two frames that follow each
            other any time may pass.

    Raises:
        DataError: the gap is negative.
    """

    def __init__(self, gap_seconds: float = 1.0) -> None:
        if not gap_seconds >= 0:
            raise DataError(f"Expected a gap of 0 seconds or more, got {gap_seconds}.")
        self._gap = gap_seconds
        self._tracks: list[_Track] = []
        self._given = 0
        self._before = -math.inf

    def update(self, seconds: float, faces: Sequence[Face]) -> list[Face]:
        """Number the faces of the next frame.

        Args:
            seconds: when it is shown; not before the last one.
            faces: what was found in it.

        Returns:
            The same faces in the same order, with `track` set; no two have the same.

        Raises:
            DataError: the time runs backwards.
        """
        if wrong := [face for face in faces if not isinstance(face, Face)]:
            raise DataError(f"Expected faces as mien.Face, got {wrong[0]!r:.80}.")
        if not seconds >= self._before:
            raise DataError(f"Expected a frame at {self._before} seconds or later, got one at {seconds}.")
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
        """Take all faces to come for new ones, as after a cut."""
        self._tracks = []

    def _new(self, box: Box, seconds: float) -> _Track:
        self._given += 1
        return _Track(self._given, box, seconds)


def _by_place(face: Face) -> tuple[float, ...]:
    """An order of faces that does not depend on the order in which they were found."""
    box = face.box
    return box.x, box.y, box.width, box.height, face.confidence, *face.expression.probabilities.values()


def _pair(known: Sequence[_Track], boxes: Sequence[Box], seconds: float) -> dict[int, _Track]:
    """The known faces that were found again, by the place of their box in `boxes`."""
    pairs = sorted(
        (misfit, track.number, place, track)
        for place, box in enumerate(boxes)
        for track in known
        if (misfit := track.misfit(box, seconds)) < math.inf
    )
    found: dict[int, _Track] = {}
    taken = set()
    for _, number, place, track in pairs:
        if number not in taken and place not in found:
            taken.add(number)
            found[place] = track.seen(boxes[place], seconds)
    return found


class Smoother:
    """Averages the probabilities of each face over time, the past fading exponentially.

    After a time t without change, what a face showed before counts for exp(-t / `seconds`). Only the times of
    the frames count, not their number, so a varying rate and skipped frames make no difference.

    Args:
        seconds: the time constant; 0 leaves probabilities as they are.

    Raises:
        DataError: it is negative.
    """

    def __init__(self, seconds: float = 0.3) -> None:
        if not seconds >= 0:
            raise DataError(f"Expected a smoothing time of 0 seconds or more, got {seconds}.")
        self._constant = seconds
        self._means: dict[int, tuple[float, dict[str, float]]] = {}

    def update(self, seconds: float, faces: Sequence[Face]) -> list[Face]:
        """The faces of the next frame with their mean probabilities; those without a track stay as they are.

        Args:
            seconds: when it is shown; not before the last one.
            faces: with `track` set.
        """
        if not self._constant:
            return list(faces)
        # What counts for less than a millionth is forgotten, or a long video's memory would grow.
        self._means = {n: m for n, m in self._means.items() if seconds - m[0] < 14 * self._constant}
        return [face if face.track is None else self._smooth(seconds, face.track, face) for face in faces]

    def _smooth(self, seconds: float, track: int, face: Face) -> Face:
        values = dict(face.expression.probabilities)
        if (
            track in self._means and self._means[track][1].keys() == values.keys()
        ):  # else the label set changed
            then, mean = self._means[track]
            keep = math.exp(-(seconds - then) / self._constant)
            values = {label: keep * mean[label] + (1 - keep) * value for label, value in values.items()}
        self._means[track] = seconds, values
        return replace(face, expression=face.expression.with_probabilities(values))


class CutDetector:
    """Tells where another scene begins: both the layout and the colors of the image are others.

    It rather misses a cut than sees one in a moving camera, for a cut that is none costs all faces their numbers.
    """

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None

    def update(self, image: NDArray[np.uint8]) -> bool:
        """Whether a cut lies between this frame, RGB uint8 (height, width, 3), and the one before."""
        step = max(min(image.shape[:2]) // 120, 1)  # a large image is thinned out first, which is quicker
        thin = np.ascontiguousarray(image[::step, ::step])
        small = np.asarray(cv2.resize(thin, (32, 24), interpolation=cv2.INTER_AREA), np.uint8)
        steps = small // 64 @ np.array([16, 4, 1])  # each pixel as one of 4 x 4 x 4 colors
        now = _normal(small), np.bincount(steps.ravel(), minlength=64) / steps.size
        before, self._before = self._before, now
        if before is None:
            return False
        layout, colors = float((before[0] * now[0]).sum()), np.minimum(before[1], now[1]).sum()
        return bool(layout < _CUT_LAYOUT and colors < _CUT_COLORS)


def _normal(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gray, of mean 0 and length 1, so that products of two are correlations; all 0 where nothing is to be seen."""
    gray: NDArray[np.float32] = small.mean(axis=2, dtype=np.float32)
    gray -= gray.mean()
    return gray / np.float32(max(float(np.linalg.norm(gray)), 1e-6))
