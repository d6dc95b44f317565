"""Charts of counts and scores: confusion matrix, reliability diagram, images by split and class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    VERMILION,
    fold,
    head,
    house_style,
    need,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.evaluation.calibration import ReliabilityBins

_DARK = 0.179  # relative luminance (WCAG 2) at which black and white text have the same contrast, 4.6

_BAR = 0.92  # width of a bar, relative to the bin


def plot_confusion(
    matrix: NDArray[np.integer[Any]], labels: Sequence[str], path: str | Path, title: str = "Confusion matrix"
) -> Path:
    """Save `confusion_figure` as a PNG file.

    Args:
        matrix: counts (classes, classes), rows are true classes.
        labels: class names in index order.
        path: the file to write.
        title: title of the figure.
    """
    return save(confusion_figure(matrix, labels, title), path)


def confusion_figure(
    matrix: NDArray[np.integer[Any]], labels: Sequence[str], title: str = "Confusion matrix"
) -> Figure:
    """Plot a confusion matrix with row percentages and counts.

    Args:
        matrix: counts (classes, classes), rows are true classes, columns predicted classes.
        labels: class names in index order.
        title: title of the figure.

    Raises:
        DataError: If the shape of the matrix does not match the labels.
    """
    k = len(labels)
    if matrix.shape != (k, k):
        raise DataError.from_parts(
            expected=f"a confusion matrix of shape {(k, k)} for {k} labels", received=f"{matrix.shape}"
        )
    rows = [f"{label}  ({n:,})" for label, n in zip(labels, matrix.sum(axis=1), strict=True)]
    beside = 0.8 + 0.085 * max(map(len, rows))
    cells = max(0.97 * k, 4.8)  # inches; at least the width of the subtitle
    with house_style():
        figure = new_figure(beside + cells, 1.9 + 0.76 * k)
        axes = figure.subplots()
        _draw_cells(axes, matrix)
        axes.set_yticklabels(rows, rotation=0, color=INK)
        fits = max(map(len, labels)) * 0.085 < cells / k
        axes.set_xticklabels(
            labels if fits else [fold(label, cells / k) for label in labels], rotation=0, color=INK
        )
        axes.set_xlabel("predicted", labelpad=8)
        axes.set_ylabel("true  (images)", labelpad=8)
        axes.tick_params(length=0)
        head(axes, fold(title, cells), _summary(matrix))
    return figure


def _draw_cells(axes: Axes, matrix: NDArray[np.integer[Any]]) -> None:
    """Draw a heat map of row percentages from near white to dark blue, with readable text on each cell."""
    need("seaborn", "train")
    import seaborn as sns

    support = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, support, out=np.zeros(matrix.shape), where=support > 0)
    scale = sns.blend_palette(["#f3f6f9", "#8fc1e3", BLUE, "#003a5c"], as_cmap=True)
    sns.heatmap(share, vmin=0, vmax=1, cmap=scale, cbar=False, linewidths=2, linecolor="white", ax=axes)
    for (row, column), part in np.ndenumerate(share):
        ink = "white" if sns.utils.relative_luminance(scale(part)) < _DARK else "black"
        count = int(matrix[row, column])
        if count == 0:
            axes.text(
                column + 0.5, row + 0.5, "0" if support[row] else "-", ha="center", va="center", color=MUTED
            )
            continue
        middle: dict[str, Any] = {"ha": "center", "color": ink}
        weight = "bold" if row == column else "normal"
        axes.text(column + 0.5, row + 0.5, f"{100 * part:.0f}%", va="bottom", fontweight=weight, **middle)
        axes.text(column + 0.5, row + 0.56, f"{count:,}", va="top", fontsize=9.5, **middle)


def _summary(matrix: NDArray[np.integer[Any]]) -> str:
    n, right = int(matrix.sum()), int(np.trace(matrix))
    return (
        f"{100 * right / n:.1f}% correct ({right:,} of {n:,}); each row adds up to 100%" if n else "no images"
    )


def plot_reliability(bins: ReliabilityBins, path: str | Path, title: str = "Reliability") -> Path:
    """Save `reliability_figure` as a PNG file.

    Args:
        bins: the result of `calibration.reliability_bins`.
        path: the file to write.
        title: title of the figure.
    """
    return save(reliability_figure(bins, title), path)


def reliability_figure(bins: ReliabilityBins, title: str = "Reliability") -> Figure:
    """Plot a reliability diagram: accuracy by confidence, and the number of images in each bin.

    Args:
        bins: the result of `calibration.reliability_bins`.
        title: title of the figure.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with house_style():
        figure = new_figure(6.4, 6.6)
        gaps, counts = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        _draw_gaps(gaps, bins)
        counts.bar(bins.edges[:-1], bins.count, np.diff(bins.edges) * _BAR, align="edge", color=FAINT)
        counts.yaxis.set_major_locator(MaxNLocator(2, integer=True, prune="lower"))
        for axes in (gaps, counts):
            axes.tick_params(length=0)
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        gaps.yaxis.set_major_formatter(PercentFormatter(1))
        gaps.set_ylabel("accuracy")
        counts.set_ylabel("images")
        counts.set_xlabel("confidence (probability of the most probable class)")
        head(gaps, fold(title, 5.5), f"expected calibration error {100 * bins.error:.1f}%")
    return figure


def _draw_gaps(axes: Axes, bins: ReliabilityBins) -> None:
    """Draw the accuracy of each non-empty bin as a bar, and its gap to the mean confidence."""
    filled = bins.count > 0
    left, width = bins.edges[:-1][filled], np.diff(bins.edges)[filled] * _BAR
    accuracy, confidence = bins.accuracy[filled], bins.confidence[filled]
    axes.bar(left, accuracy, width, align="edge", color=BLUE, label="accuracy")
    gaps: dict[str, tuple[NDArray[np.bool_], dict[str, Any]]] = {
        "overconfident": (confidence > accuracy, {"facecolor": "#f7dfcc", "edgecolor": VERMILION}),
        "underconfident": (
            confidence < accuracy,
            {"facecolor": "#7fb8d8", "edgecolor": BLUE, "hatch": "////"},
        ),
    }
    for name, (which, look) in gaps.items():
        if which.any():
            axes.bar(
                left[which], np.abs(confidence - accuracy)[which], width[which], align="edge",
                bottom=np.minimum(accuracy, confidence)[which], linewidth=1, label=name, **look,
            )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left", frameon=False)


def plot_counts(counts: Mapping[str, Mapping[str, int]], path: str | Path, title: str = "") -> Path:
    """Save `counts_figure` as a PNG file.

    Args:
        counts: `{split: {label: images}}`, as returned by `Dataset.counts()`.
        path: the file to write.
        title: title of the figure.
    """
    return save(counts_figure(counts, title), path)


def counts_figure(counts: Mapping[str, Mapping[str, int]], title: str = "") -> Figure:
    """Plot the number of images by class, with a panel for each split.

    Args:
        counts: `{split: {label: images}}`, as returned by `Dataset.counts()`.
        title: title of the figure.

    Raises:
        DataError: If there is no split.
    """
    if not counts:
        raise DataError.from_parts(expected="the counts of one split or more", received="none")
    labels = list(dict.fromkeys(label for split in counts.values() for label in split))
    with house_style():
        figure = new_figure(1.6 + 3.6 * len(counts), 1.6 + 0.42 * len(labels))
        panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
        for axes, (split, table) in zip(panels, counts.items(), strict=True):
            _draw_counts(axes, labels, [table.get(label, 0) for label in labels])
            head(axes, split, f"{sum(table.values()):,} images")
        panels[0].invert_yaxis()
        if title:
            figure.suptitle(
                fold(title, 3.6 * len(counts)), x=0.012, ha="left", fontsize=16, fontweight="bold"
            )
    return figure


def _draw_counts(axes: Axes, labels: list[str], numbers: list[int]) -> None:
    total = max(sum(numbers), 1)
    bars = axes.barh(labels, numbers, height=0.64, color=BLUE)
    axes.bar_label(
        bars, [f"{n:,}  ({100 * n / total:.1f}%)" if n else "none" for n in numbers], padding=4, color=MUTED
    )
    axes.set_xlim(0, max(*numbers, 1) * 1.5)  # space for the numbers at the ends of the bars
    axes.xaxis.set_visible(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
