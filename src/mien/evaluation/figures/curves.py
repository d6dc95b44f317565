"""Learning curves: accuracy and loss on training and validation data by epoch.

>>> history = [{"loss": 1.2, "val_loss": 1.3}, {"loss": 1.0, "val_loss": 1.1}]
>>> plot_curves(history, "curves.png")  # doctest: +SKIP
PosixPath('curves.png')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures.style import (
    BLUE,
    FAINT,
    GRID,
    MUTED,
    VERMILION,
    head,
    house_style,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

History = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]
"""One list per column, or one dict per epoch; values are numbers or, as read from CSV, text."""

Select = Literal["loss", "macro_f1", "last"]

_COLUMNS = ("epoch", "accuracy", "val_accuracy", "loss", "val_loss", "learning_rate")
_REAL_CHANGE = 1e-4  # minimum relative change of a learning rate that is not rounding
_REAL_DROP = 0.05
_LABEL_GAP = 0.065  # minimum distance of two labels at line ends, relative to the height of the panel
_DROP_GAP = 0.035  # of closer drops, only the first has a label; relative to the width of the panel


@dataclass(frozen=True, eq=False)
class _Curves:
    """A history as arrays of the same length; columns that were not recorded are NaN."""

    epoch: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    val_accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]
    val_loss: NDArray[np.float64]
    learning_rate: NDArray[np.float64]
    chosen: int | None = None

    @property
    def best(self) -> int | None:
        """Index of the epoch that was kept: the chosen one, or the one with the lowest validation loss."""
        if self.chosen is not None:
            return self.chosen
        return None if np.isnan(self.val_loss).all() else int(np.nanargmin(self.val_loss))


def plot_curves(history: History, path: str | Path, *, select: Select = "loss") -> Path:
    """Save `curves_figure` as a PNG file.

    Args:
        history: see `curves_figure`.
        path: the file to write.
        select: see `curves_figure`.
    """
    return save(curves_figure(history, select=select), path)


def curves_figure(history: History, *, select: Select = "loss") -> Figure:
    """Plot accuracy and loss on training and validation data, with the best epoch and the learning rate.

    The best epoch is the one whose weights are kept. Drops of a stepwise learning rate are shown as thin vertical lines
    with the new value, and a smooth learning rate as a separate curve.

    Args:
        history: one row per epoch with `epoch` (from 1; counted if missing), `accuracy`, `loss`, `val_accuracy`,
            `val_loss` and `learning_rate`; missing columns are not drawn.
        select: which epoch is kept: `loss`, the one with the lowest validation loss; `macro_f1`, the one with the
            highest `val_macro_f1`; or `last`.

    Raises:
        DataError: If there are no epochs, or the columns differ in length.
    """
    curves = _read(history)
    if select == "last":
        curves = replace(curves, chosen=len(curves.epoch) - 1)
    elif select == "macro_f1" and (best := _best_by_f1(history)) is not None:
        curves = replace(curves, chosen=best)
    with house_style():
        if _is_smooth(curves.learning_rate):
            figure = new_figure(12, 5.6)
            panels, strips = figure.subplots(2, 2, sharex="col", height_ratios=[7, 1])
            for strip in strips:
                _draw_smooth_rate(strip, curves)
        else:
            figure = new_figure(12, 4.9)
            panels = figure.subplots(1, 2)
            strips = panels
        _panel(panels[0], curves, curves.accuracy, curves.val_accuracy, "Accuracy", percent=True)
        _panel(panels[1], curves, curves.loss, curves.val_loss, "Loss", percent=False)
        for axes in strips:
            axes.set_xlabel("epoch")
    return figure


def _best_by_f1(history: History) -> int | None:
    """Return the index of the epoch with the highest macro-F1; of a tie, the one with the lowest loss."""
    f1, loss = (_column(history, name) for name in ("val_macro_f1", "val_loss"))
    if not len(f1) or len(f1) != len(loss) or np.isnan(f1).all():
        return None
    f1, loss = np.where(np.isnan(f1), -np.inf, f1), np.where(np.isnan(loss), np.inf, loss)
    return max(range(len(f1)), key=lambda i: (f1[i], -loss[i]))


def _read(history: History) -> _Curves:
    columns = {name: column for name in _COLUMNS if len(column := _column(history, name))}
    lengths = {name: len(column) for name, column in columns.items()}
    n = max(lengths.values(), default=0)
    if n == 0 or set(lengths.values()) != {n}:
        raise DataError.from_parts(
            expected="a history of one epoch or more in columns of the same length",
            received=f"{lengths or 'none'}",
        )
    curves = {name: columns.get(name, np.full(n, np.nan)) for name in _COLUMNS}
    if np.isnan(curves["epoch"]).any():
        curves["epoch"] = np.arange(1.0, n + 1)
    return _Curves(chosen=None, **curves)


def _column(history: History, name: str) -> NDArray[np.float64]:
    """Return a column of a history as floats; empty if it has no such column."""
    if isinstance(history, Mapping):
        return _numbers(history.get(name, ()))
    return _numbers([row.get(name, "nan") for row in history])


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    """Convert a column to floats; infinite values and empty cells become NaN, a gap in the curve."""
    numbers = np.array([np.nan if value in ("", None) else float(value) for value in column])
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _panel(
    axes: Axes,
    curves: _Curves,
    training: NDArray[np.float64],
    validation: NDArray[np.float64],
    title: str,
    *,
    percent: bool,
) -> None:
    """Draw one of the two panels: curves, their labels at the right end, and marks."""
    marker = "o" if len(curves.epoch) < 3 else ""
    lines = [("training", training, BLUE), ("validation", validation, VERMILION)]
    for name, values, color in lines:
        axes.plot(curves.epoch, values, color=color, marker=marker, label=name)
    _set_scales(axes, curves.epoch, percent=percent)
    if not _is_smooth(curves.learning_rate):
        _mark_drops(axes, curves, at_top=not percent)
    _mark_best(axes, curves, validation)
    _name_lines(axes, lines, percent=percent)
    head(axes, title, _subtitle(curves, training, validation, percent=percent))


def _set_scales(axes: Axes, epochs: NDArray[np.float64], *, percent: bool) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + max(0.5, 0.02 * (epochs[-1] - epochs[0])))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.margins(y=0.08)
    axes.autoscale_view(scalex=False)


def _mark_best(axes: Axes, curves: _Curves, validation: NDArray[np.float64]) -> None:
    if curves.best is None:
        return
    epoch = curves.epoch[curves.best]
    axes.axvline(epoch, color=VERMILION, linewidth=1, alpha=0.45, zorder=1, label="best epoch")
    axes.plot(
        epoch, validation[curves.best], "o", color="white", markeredgecolor=VERMILION, markeredgewidth=2,
        markersize=8, zorder=5,
    )  # fmt: skip


def _mark_drops(axes: Axes, curves: _Curves, *, at_top: bool) -> None:
    """Draw each drop of the learning rate as a vertical line, with a label away from the curves."""
    named_at = -np.inf
    width = np.ptp(axes.get_xlim())
    for i in _drops(curves.learning_rate):
        x = (curves.epoch[i - 1] + curves.epoch[i]) / 2
        axes.axvline(x, color=FAINT, linewidth=1, linestyle=(0, (2, 2)), zorder=0, label="learning rate drop")
        if x - named_at >= _DROP_GAP * width:
            _name_drop(axes, x, curves.learning_rate[i], at_top=at_top)
            named_at = x


def _name_drop(axes: Axes, x: float, rate: float, *, at_top: bool) -> None:
    """Write the new rate along its line, over other vertical lines but behind the curves."""
    axes.annotate(
        f"rate {_short(rate)}", (x, 0.985 if at_top else 0.015), (-3, 0), xycoords=("data", "axes fraction"),
        textcoords="offset points", rotation=90, ha="right", va="top" if at_top else "bottom", color=MUTED,
        fontsize=9, zorder=1.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip


def _draw_smooth_rate(axes: Axes, curves: _Curves) -> None:
    """Draw the learning rate in a separate panel, from 0 to its maximum."""
    rate = curves.learning_rate
    peak = float(np.nanmax(rate))
    axes.plot(curves.epoch, rate, color=MUTED, linewidth=1.5, label="learning rate")
    axes.fill_between(curves.epoch, 0, rate, color=GRID)
    axes.set_ylim(0, peak * 1.1)
    axes.set_yticks([0, peak], ["0", _short(peak)])
    axes.set_ylabel("rate")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def _changes(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the relative change of the learning rate from epoch to epoch; 0 if unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(rate[1:] / rate[:-1] - 1, nan=0.0, posinf=1.0)


def _is_smooth(rate: NDArray[np.float64]) -> bool:
    """Return whether the rate changes in most epochs, like a cosine or exponential schedule, not in steps."""
    changed = int((np.abs(_changes(rate)) > _REAL_CHANGE).sum())
    return changed >= 3 and changed > (len(rate) - 1) / 2


def _drops(rate: NDArray[np.float64]) -> list[int]:
    """Return the indices of the epochs that start with a lower learning rate."""
    return [int(i) + 1 for i in np.flatnonzero(_changes(rate) < -_REAL_DROP)]


def _name_lines(axes: Axes, lines: list[tuple[str, NDArray[np.float64], str]], *, percent: bool) -> None:
    """Write the name and last value of each curve at its right end, moved apart if they would overlap."""
    ends = [
        (name, float(values[~np.isnan(values)][-1]), color)
        for name, values, color in lines
        if not np.isnan(values).all()
    ]
    low, high = axes.get_ylim()
    heights = _spread([value for _, value, _ in ends], _LABEL_GAP * (high - low))
    for (name, value, color), height in zip(ends, heights, strict=True):
        axes.annotate(
            f"{name} {_value(value, percent=percent)}", (axes.get_xlim()[1], height), (4, 0),
            textcoords="offset points", va="center", color=color, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def _spread(heights: list[float], gap: float) -> list[float]:
    """Move two heights apart evenly to a distance of at least `gap`; a single one is unchanged."""
    if len(heights) < 2 or abs(heights[0] - heights[1]) >= gap:
        return heights
    middle = sum(heights) / 2
    sign = 1 if heights[0] >= heights[1] else -1
    return [middle + sign * gap / 2, middle - sign * gap / 2]


def _subtitle(
    curves: _Curves, training: NDArray[np.float64], validation: NDArray[np.float64], *, percent: bool
) -> str:
    if curves.best is None:
        return ""
    values = {"validation": validation[curves.best], "training": training[curves.best]}
    known = [
        f"{name} {_value(value, percent=percent)}" for name, value in values.items() if not np.isnan(value)
    ]
    return f"○ best epoch {curves.epoch[curves.best]:.0f}: {', '.join(known)}"


def _value(value: float, *, percent: bool) -> str:
    return f"{100 * value:.1f}%" if percent else f"{value:.3f}"


def _short(rate: float) -> str:
    """Format a learning rate: 0.001, 5e-4, 1.25e-4."""
    if rate >= 1e-3 or rate <= 0:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.2e}".split("e")
    return f"{mantissa.rstrip('0').removesuffix('.')}e{int(exponent)}"
