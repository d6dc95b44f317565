"""Expressions over time: a chart of a video, whose memory does not grow with the video."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures.style import MUTED, fold, house_style, new_figure, save
from mien.evaluation.figures.time_axis import length_of, set_times
from mien.evaluation.figures.tracks import BINS, Bins, Course
from mien.labels import FERPLUS
from mien.palette import PALETTE, UNSURE_BELOW, ink_on

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.palette import Color

_FINEST = 1 / 32  # seconds of a bin at first
_FACES = 64  # courses that are kept
_SHOWN = 4  # panels
_BRIDGED = 1.0  # seconds out of view that are drawn through; more where frames are farther apart
_OTHER: Color = (195, 200, 207)
_TITLE = "Expressions over time"


class _Expression(Protocol):
    @property
    def probabilities(self) -> Mapping[str, float]: ...


class TrackedFace(Protocol):
    """What a timeline needs of a face; `mien.Face` is one."""

    @property
    def track(self) -> int | None:
        """Number that the face keeps from frame to frame; later faces have higher ones."""

    @property
    def expression(self) -> _Expression:
        """What it shows, with a probability for each label."""


class Timeline:
    """The course of each face of a video, gathered frame by frame in bins that widen as the video goes on.

    Never more than 512 bins are held of a face, nor more than 64 faces; of more, those that are out of view and
    were seen least are dropped.

    Attributes:
        labels: names of the expressions, those of the first face; where the label set changes, others follow.
        unsure_below: mean probability below which the most probable expression of a face is written as a guess.
        seconds: time of the latest frame.
        faces: how many were seen, with those that were dropped.
    """

    def __init__(self, unsure_below: float = UNSURE_BELOW) -> None:
        self.labels: tuple[str, ...] = ()
        self.unsure_below = unsure_below
        self.seconds = 0.0
        self.faces = 0
        self._frames = 0
        self._width = _FINEST
        self._places: dict[str, int] = {}  # of labels, in any label set
        self._courses: dict[int, Bins] = {}

    def add(self, seconds: float, faces: Iterable[TrackedFace]) -> None:
        """Take in a frame.

        Args:
            seconds: when it is shown, 0 or later.
            faces: its faces; those without a track are passed over.
        """
        tracked = [face for face in faces if face.track is not None]
        for face in tracked:  # below the minimum that was asked for, an expression is uncertain
            self.unsure_below = max(self.unsure_below, getattr(face.expression, "min_confidence", 0.0))
        self.put(
            seconds, {face.track: face.expression.probabilities for face in tracked if face.track is not None}
        )

    def put(self, seconds: float, shown: Mapping[int, Mapping[str, float]]) -> None:
        """Take in a frame as the probabilities of each label by the number of the face.

        A label that was not there before gets an area of its own, which is 0 up to then.
        """
        self._frames += not self._frames or seconds > self.seconds  # rows of one frame may come one by one
        self.seconds = max(self.seconds, seconds)
        while self.seconds >= BINS * self._width:
            self._widen()
        for track, probabilities in shown.items():
            self._know(probabilities)
            row = [0.0] * len(self.labels)
            for label, value in probabilities.items():
                row[self._places[label]] += value
            self._course(track).add(int(seconds / self._width), row)
        if len(self._courses) > _FACES:
            self._drop(shown)

    def plot(self, path: str | Path, title: str = _TITLE) -> Path:
        """Save `timeline_figure` as a PNG file."""
        return save(timeline_figure(self, title), path)

    def courses(self) -> list[Course]:
        """The four faces that were seen most, by their numbers."""
        ranked = sorted(self._courses.items(), key=lambda item: (-item[1].counts.sum(), item[0]))
        bridged = max(_BRIDGED, 2.5 * self.seconds / max(self._frames, 1))
        return [
            bins.course(track, self._width, bridged) for track, bins in sorted(ranked[:_SHOWN], key=_first)
        ]

    def _know(self, labels: Collection[str]) -> None:
        """Make room for labels that are new; of another label set, those of the same meaning are the same."""
        for label in labels:
            if label not in self._places:
                meaning = _meaning(label)
                same = [other not in labels and _meaning(other) == meaning for other in self.labels]
                if not meaning or True not in same:
                    same = [*(False for _ in self.labels), True]
                    self.labels = (*self.labels, label)
                    for course in self._courses.values():
                        course.add_class()
                self._places[label] = same.index(True)

    def _course(self, track: int) -> Bins:
        if track not in self._courses:
            self._courses[track] = Bins(len(self.labels))
            self.faces += 1
        return self._courses[track]

    def _widen(self) -> None:
        self._width *= 2
        for course in self._courses.values():
            course.widen()

    def _drop(self, shown: Mapping[int, object]) -> None:
        hidden = [track for track in self._courses if track not in shown]
        if hidden:
            del self._courses[min(hidden, key=lambda track: self._courses[track].counts.sum())]


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
    """Save the `timeline_figure` of rows, one for each face of each frame, as a PNG file.

    Args:
        seconds: time of each row's frame (n,), in order.
        tracks: number of each row's face (n,).
        probabilities: what it shows (n, classes).
        labels: names of the expressions (classes,).
        path: where to write it.
        title: what stands over it.

    Raises:
        DataError: there is no row, or lengths differ.
    """
    if not len(seconds) == len(tracks) == len(probabilities) or probabilities.shape[1:] != (len(labels),):
        raise DataError(
            f"Expected seconds, tracks and probabilities of one length and a column for each of {len(labels)} "
            f"labels, got {len(seconds)}, {len(tracks)} and {probabilities.shape}."
        )
    timeline = Timeline()
    for at, track, row in zip(seconds, tracks, probabilities, strict=True):
        timeline.put(at, {int(track): dict(zip(labels, map(float, row), strict=True))})
    return timeline.plot(path, title)


def timeline_figure(timeline: Timeline, title: str = _TITLE) -> Figure:
    """What each face showed, moment by moment: a panel for a face, the probabilities stacked up to 1.

    Up to four faces are drawn, those that were in view in most frames. White is where a face is out of view for
    more than a second.

    Args:
        timeline: what was gathered of the video.
        title: what stands over it.

    Raises:
        DataError: no face was seen.
    """
    courses = timeline.courses()
    if not courses:
        raise DataError("Expected a video with a face or more for a chart over time, got none.")
    with house_style():
        figure = new_figure(12, 1.35 + 1.75 * len(courses))
        panels = figure.subplots(len(courses), 1, sharex=True, squeeze=False)[:, 0]
        for axes, course in zip(panels, courses, strict=True):
            _draw_course(axes, course, timeline)
        set_times(panels[-1], timeline.seconds)
        _draw_heading(figure, timeline, len(courses), title)
    return figure


def _draw_course(axes: Axes, course: Course, timeline: Timeline) -> None:
    order = _stacked(timeline.labels)
    colors = _colors(timeline.labels)
    for at, means in course.pieces:
        axes.stackplot(at, means[:, order].T, colors=[_hex(colors[i]) for i in order], linewidth=0)
    axes.set(xlim=(0, timeline.seconds + _FINEST), ylim=(0, 1))
    axes.set_yticks([0.5, 1], ["50%", "100%"])
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    most = int(course.shares.argmax())
    doubt = "?" if course.shares[most] < timeline.unsure_below else ""
    axes.set_title(f"face #{course.track}", fontsize=12, pad=6)
    axes.annotate(
        f"{length_of(course.in_view)} in view, {course.shares[most]:.0%} {timeline.labels[most]}{doubt}", (1, 1), (0, 6),
        xycoords="axes fraction", textcoords="offset points", ha="right", color=MUTED,
    )  # fmt: skip
    for place, i in enumerate(order):
        _name_area(axes, course, means_in=order, place=place, name=timeline.labels[i], color=colors[i])


def _name_area(
    axes: Axes, course: Course, *, means_in: Sequence[int], place: int, name: str, color: Color
) -> None:
    """The name of an expression inside its area where it is thickest, if it is thick enough."""
    width, height = 10.6, 1.05  # inches of a panel, about
    room = (0.085 * len(name) + 0.2) / width * float(np.ptp(axes.get_xlim()))
    spots = [_thickest(at, means[:, means_in], place, room) for at, means in course.pieces]
    thickness, x, y = max(spots)
    if thickness * height >= 0.2:
        axes.text(x, y, name, ha="center", va="center", fontsize=10, color=_hex(ink_on(color)))


def _thickest(
    at: NDArray[np.float64], means: NDArray[np.float64], place: int, room: float
) -> tuple[float, float, float]:
    """Where a stacked area is thickest over some time: the thickness, and the middle; 0 for a short piece."""
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
    """Title, what was left out, and the key of the colors."""
    from matplotlib.patches import Patch

    panels = figure.axes
    left_out = f", the {drawn} seen most of {timeline.faces:,} faces" if timeline.faces > drawn else ""
    colors, order = _colors(timeline.labels), _stacked(timeline.labels)
    key = [Patch(color=_hex(colors[i]), label=timeline.labels[i]) for i in order]
    figure.suptitle(fold(title, 10.5), x=0.012, ha="left", fontsize=16, fontweight="bold")
    figure.legend(
        handles=key, loc="outside lower left", ncols=len(key), frameon=False, handlelength=1, handleheight=1,
        columnspacing=1.4, handletextpad=0.5, fontsize=10.5,
    )  # fmt: skip
    panels[-1].set_xlabel(f"time in the video{left_out}")


def _stacked(labels: Sequence[str]) -> list[int]:
    """Places of the labels from the bottom up: neutral last, as the background."""
    return sorted(range(len(labels)), key=lambda i: (_meaning(labels[i]) == "neutral", i))


def _colors(labels: Sequence[str]) -> list[Color]:
    """A color for each label, by its meaning; labels of other meanings get those that are left over."""
    meanings = [_meaning(label) for label in labels]
    rest = itertools.cycle([color for name, color in PALETTE.items() if name not in meanings] or [_OTHER])
    return [PALETTE[meaning] if meaning else next(rest) for meaning in meanings]


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _meaning(label: str) -> str | None:
    """FER+'s name of an expression in any usual spelling."""
    try:
        return FERPLUS.classes[FERPLUS.index(label)]
    except DataError:
        return None
