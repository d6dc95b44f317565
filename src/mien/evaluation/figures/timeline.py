"""Chart of the expressions in a video over time. Memory use does not grow with the length of the video.

>>> timeline = Timeline()
>>> for frame, faces in watch(recognizer, "clip.mp4"):  # doctest: +SKIP
...     timeline.add(frame.seconds, faces)
>>> timeline.plot("timeline.png")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures.label_colors import label_colors, meaning_of, stacking_order, to_hex
from mien.evaluation.figures.style import MUTED, fold, house_style, new_figure, save
from mien.evaluation.figures.time_axis import length_of, set_times
from mien.evaluation.figures.tracks import BINS, Bins, Track
from mien.palette import UNSURE_BELOW, ink_on

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.palette import Color

_FINEST = 1 / 32  # initial duration of a bin in seconds
_FACES = 64  # maximum number of faces in memory
_SHOWN = 4  # maximum number of faces in the chart
_MAX_GAP = 1.0  # maximum gap in seconds that is interpolated; more if frames are farther apart
_TITLE = "Expressions over time"


class _Expression(Protocol):
    @property
    def probabilities(self) -> Mapping[str, float]: ...


class TrackedFace(Protocol):
    """Protocol of faces for a timeline. `mien.Face` implements it."""

    @property
    def track(self) -> int | None:
        """Number of the face, which is the same in all frames; later faces have higher numbers."""

    @property
    def expression(self) -> _Expression:
        """The expression, with a probability for each class."""


class Timeline:
    """The expressions of each face in a video over time, accumulated in bins whose duration grows with the video.

    At most 512 bins per face and 64 faces are kept. With more faces, those that are out of view and were seen least are
    dropped.

    Attributes:
        labels: class names of the first face; if the label set changes, new names are appended.
        unsure_below: mean probability below which the most probable expression of a face is marked as uncertain.
        seconds: time of the latest frame.
        faces: number of faces seen, including dropped ones.
    """

    def __init__(self, unsure_below: float = UNSURE_BELOW) -> None:
        self.labels: tuple[str, ...] = ()
        self.unsure_below = unsure_below
        self.seconds = 0.0
        self.faces = 0
        self._frames = 0
        self._width = _FINEST
        self._indices: dict[str, int] = {}  # index of each label, of any label set
        self._bins: dict[int, Bins] = {}

    def add(self, seconds: float, faces: Iterable[TrackedFace]) -> None:
        """Add a frame.

        Args:
            seconds: time of the frame, 0 or later.
            faces: its faces; those without a track are ignored.
        """
        tracked = [face for face in faces if face.track is not None]
        for face in tracked:  # expressions below `min_confidence` are uncertain, too
            self.unsure_below = max(self.unsure_below, getattr(face.expression, "min_confidence", 0.0))
        self.put(
            seconds, {face.track: face.expression.probabilities for face in tracked if face.track is not None}
        )

    def put(self, seconds: float, shown: Mapping[int, Mapping[str, float]]) -> None:
        """Add a frame.

        Args:
            seconds: time of the frame, 0 or later.
            shown: the probability of each class, by the number of the face. New classes get an area of their own, with
                0 for earlier frames.
        """
        self._frames += (
            not self._frames or seconds > self.seconds
        )  # the faces of a frame can be added one by one
        self.seconds = max(self.seconds, seconds)
        while self.seconds >= BINS * self._width:
            self._widen()
        for track, probabilities in shown.items():
            self._add_labels(probabilities)
            row = [0.0] * len(self.labels)
            for label, value in probabilities.items():
                row[self._indices[label]] += value
            self._bins_of(track).add(int(seconds / self._width), row)
        if len(self._bins) > _FACES:
            self._drop(shown)

    def plot(self, path: str | Path, title: str = _TITLE) -> Path:
        """Save `timeline_figure` as a PNG file."""
        return save(timeline_figure(self, title), path)

    def tracks(self) -> list[Track]:
        """Return the tracks of the four faces that were seen most, sorted by number."""
        ranked = sorted(self._bins.items(), key=lambda item: (-item[1].counts.sum(), item[0]))
        max_gap = max(_MAX_GAP, 2.5 * self.seconds / max(self._frames, 1))
        return [
            bins.to_track(number, self._width, max_gap)
            for number, bins in sorted(ranked[:_SHOWN], key=_first)
        ]

    def courses(self) -> list[Track]:
        """Former name of `tracks`."""
        return self.tracks()

    def _add_labels(self, labels: Collection[str]) -> None:
        """Add new labels; labels of another label set with the same meaning share an index."""
        for label in labels:
            if label not in self._indices:
                meaning = meaning_of(label)
                same = [other not in labels and meaning_of(other) == meaning for other in self.labels]
                if not meaning or True not in same:
                    same = [*(False for _ in self.labels), True]
                    self.labels = (*self.labels, label)
                    for bins in self._bins.values():
                        bins.add_class()
                self._indices[label] = same.index(True)

    def _bins_of(self, track: int) -> Bins:
        if track not in self._bins:
            self._bins[track] = Bins(len(self.labels))
            self.faces += 1
        return self._bins[track]

    def _widen(self) -> None:
        self._width *= 2
        for bins in self._bins.values():
            bins.widen()

    def _drop(self, shown: Mapping[int, object]) -> None:
        hidden = [track for track in self._bins if track not in shown]
        if hidden:
            del self._bins[min(hidden, key=lambda track: self._bins[track].counts.sum())]


def _first(item: tuple[int, Bins]) -> int:
    return item[0]


def plot_timeline(
    seconds: Sequence[float],
    tracks: Sequence[int],
    probabilities: NDArray[np.floating[Any]],
    labels: Sequence[str],
    path: str | Path,
    title: str = _TITLE,
) -> Path:
    """Save the `timeline_figure` of a table with one row per face and frame as a PNG file.

    Args:
        seconds: time of the frame of each row (n,), in order.
        tracks: number of the face of each row (n,).
        probabilities: probabilities of each row (n, classes).
        labels: class names (classes,).
        path: the file to write.
        title: title of the figure.

    Raises:
        DataError: If there are no rows, or the lengths differ.
    """
    if not len(seconds) == len(tracks) == len(probabilities) or probabilities.shape[1:] != (len(labels),):
        raise DataError.from_parts(
            expected=f"seconds, tracks and probabilities of one length and a column for each of {len(labels)} "
            "labels",
            received=f"{len(seconds)}, {len(tracks)} and {probabilities.shape}",
        )
    timeline = Timeline()
    for at, track, row in zip(seconds, tracks, probabilities, strict=True):
        timeline.put(at, {int(track): dict(zip(labels, map(float, row), strict=True))})
    return timeline.plot(path, title)


def timeline_figure(timeline: Timeline, title: str = _TITLE) -> Figure:
    """Plot the expressions of each face over time: one panel per face, with stacked probabilities.

    Up to four faces are shown, those in view in the most frames. Periods of more than a second out of view are blank.

    Args:
        timeline: the accumulated expressions of a video.
        title: title of the figure.

    Raises:
        DataError: If no face was seen.
    """
    tracks = timeline.tracks()
    if not tracks:
        raise DataError("No face found in the video, so there is no chart over time.")
    with house_style():
        figure = new_figure(12, 1.35 + 1.75 * len(tracks))
        panels = figure.subplots(len(tracks), 1, sharex=True, squeeze=False)[:, 0]
        for axes, track in zip(panels, tracks, strict=True):
            _draw_track(axes, track, timeline)
        set_times(panels[-1], timeline.seconds)
        _draw_heading(figure, timeline, len(tracks), title)
    return figure


def _draw_track(axes: Axes, track: Track, timeline: Timeline) -> None:
    order = stacking_order(timeline.labels)
    colors = label_colors(timeline.labels)
    for at, means in track.segments:
        axes.stackplot(at, means[:, order].T, colors=[to_hex(colors[i]) for i in order], linewidth=0)
    axes.set(xlim=(0, timeline.seconds + _FINEST), ylim=(0, 1))
    axes.set_yticks([0.5, 1], ["50%", "100%"])
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    most = int(track.shares.argmax())
    uncertain = "?" if track.shares[most] < timeline.unsure_below else ""
    axes.set_title(f"face #{track.number}", fontsize=12, pad=6)
    axes.annotate(
        f"{length_of(track.in_view)} in view, {track.shares[most]:.0%} {timeline.labels[most]}{uncertain}",
        (1, 1), (0, 6),
        xycoords="axes fraction", textcoords="offset points", ha="right", color=MUTED,
    )  # fmt: skip
    for place, i in enumerate(order):
        _name_area(axes, track, means_in=order, place=place, name=timeline.labels[i], color=colors[i])


def _name_area(
    axes: Axes, track: Track, *, means_in: Sequence[int], place: int, name: str, color: Color
) -> None:
    """Write the name of an expression inside its area, where the area is thickest, if there is space."""
    width, height = 10.6, 1.05  # inches of a panel, about
    room = (0.085 * len(name) + 0.2) / width * float(np.ptp(axes.get_xlim()))
    spots = [_thickest(at, means[:, means_in], place, room) for at, means in track.segments]
    thickness, x, y = max(spots)
    if thickness * height >= 0.2:
        axes.text(x, y, name, ha="center", va="center", fontsize=10, color=to_hex(ink_on(color)))


def _thickest(
    at: NDArray[np.float64], means: NDArray[np.float64], place: int, room: float
) -> tuple[float, float, float]:
    """Return the maximum thickness of a stacked area over some time, and its center; 0 for short segments."""
    grid = np.arange(at[0], at[-1], room / 8)
    if len(grid) < 9:
        return 0.0, 0.0, 0.0
    edges = np.cumsum(means, axis=1)
    lower = np.interp(grid, at, edges[:, place - 1]) if place else np.zeros(len(grid))
    windows = np.lib.stride_tricks.sliding_window_view
    floor = windows(lower, 9).max(axis=1)
    ceiling = windows(np.interp(grid, at, edges[:, place]), 9).min(axis=1)
    gaps = ceiling - floor
    likely = np.flatnonzero(gaps > gaps.max() - 0.02)
    best = int(likely[len(likely) // 2])
    return float(gaps[best]), float(grid[best + 4]), float((floor + ceiling)[best] / 2)


def _draw_heading(figure: Figure, timeline: Timeline, drawn: int, title: str) -> None:
    """Draw the title, the legend, and a note on faces that are not shown."""
    from matplotlib.patches import Patch

    panels = figure.axes
    left_out = f", the {drawn} seen most of {timeline.faces:,} faces" if timeline.faces > drawn else ""
    colors, order = label_colors(timeline.labels), stacking_order(timeline.labels)
    key = [Patch(color=to_hex(colors[i]), label=timeline.labels[i]) for i in order]
    figure.suptitle(fold(title, 10.5), x=0.012, ha="left", fontsize=16, fontweight="bold")
    figure.legend(
        handles=key, loc="outside lower left", ncols=len(key), frameon=False, handlelength=1, handleheight=1,
        columnspacing=1.4, handletextpad=0.5, fontsize=10.5,
    )  # fmt: skip
    panels[-1].set_xlabel(f"time in the video{left_out}")
