"""Sheets of pictures: sample predictions, and a contact sheet of a data set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures.style import (
    BLUE,
    DPI,
    INK,
    MUTED,
    VERMILION,
    fold,
    house_style,
    save,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.evaluation.evaluate import Evaluation

_WRONG_SHARE = 1 / 3  # of the samples, where there are as many mistakes: a sheet of successes teaches little


def choose_samples(evaluation: Evaluation, n: int = 12, seed: int = 0) -> NDArray[np.int64]:
    """Pick pictures to show: of all classes in turn, a third of them mistakes, in mixed order.

    Args:
        evaluation: what was judged.
        n: how many to pick; all there are where there are fewer.
        seed: fixes the choice.

    Returns:
        int64 (min(n, evaluation.n),), indices into the evaluation's arrays, without repeats.
    """
    random = np.random.default_rng(seed)
    is_wrong = evaluation.predicted != evaluation.true
    wrong, right = (
        _by_turns(np.flatnonzero(mask), evaluation.true, random) for mask in (is_wrong, ~is_wrong)
    )
    wanted = min(len(wrong), max(round(n * _WRONG_SHARE), n - len(right)))
    chosen = np.concatenate([wrong[:wanted], right[: n - wanted]])
    return random.permutation(chosen)


def _by_turns(
    rows: NDArray[np.int64], true: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """The rows in random order, but one of each class before the second of any."""
    rows = random.permutation(rows)
    classes = true[rows]
    turn = np.array([(classes[:i] == label).sum() for i, label in enumerate(classes)], np.int64)
    return rows[np.argsort(turn, kind="stable")]


def plot_samples(
    images: NDArray[np.uint8],
    true: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    labels: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
) -> Path:
    """Save `samples_figure` as a PNG file.

    Args:
        images: uint8 (n, height, width).
        true: class indices (n,).
        probabilities: (n, classes); the likeliest class is the prediction.
        labels: class names in index order.
        path: where to write it.
        title: what stands over it.
    """
    return save(samples_figure(images, true, probabilities, labels, title=title), path)


def samples_figure(
    images: NDArray[np.uint8],
    true: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    labels: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """Pictures with the predicted label, its probability and the true label.

    A right one has a blue frame and a tick, a wrong one a vermilion frame and a cross.

    Args:
        images: uint8 (n, height, width).
        true: class indices (n,).
        probabilities: (n, classes); the likeliest class is the prediction.
        labels: class names in index order.
        title: what stands over it.

    Raises:
        DataError: there is no picture, or the lengths differ.
    """
    n = len(images)
    if n == 0 or true.shape != (n,) or probabilities.shape != (n, len(labels)):
        raise DataError(
            f"Expected one picture or more, each with a label and {len(labels)} probabilities, got shapes "
            f"{images.shape}, {true.shape} and {probabilities.shape}."
        )
    with house_style():
        figure, tiles = _grid(n, columns=6, side=1.65, gap=0.3, below=0.62, title=title)
        for axes, image, index, scores in zip(tiles, images, true, probabilities, strict=True):
            _show(axes, image)
            best = int(scores.argmax())
            _caption(axes, labels[best], labels[index], float(scores[best]))
    return figure


def _caption(axes: Axes, predicted: str, true: str, score: float) -> None:
    right = predicted == true
    colour, mark = (BLUE, "✓") if right else (VERMILION, "✗")
    for side in axes.spines.values():
        side.set(visible=True, color=colour, linewidth=3.5)
    under: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline"}
    bold: dict[str, Any] = {"color": colour, "fontweight": "bold"}
    axes.annotate(f"{mark} {predicted}", (0, 0), (-2, -17), fontsize=_size(predicted, 11), **bold, **under)
    axes.annotate(f"{100 * score:.0f}%", (1, 0), (2, -17), ha="right", fontsize=11, **bold, **under)
    truth, ink = f"true: {true}", MUTED if right else INK
    axes.annotate(truth, (0, 0), (-2, -32), fontsize=_size(true, 10, fits=14), color=ink, **under)


def _size(name: str, points: float, fits: int = 11) -> float:
    """Type small enough for a name longer than `fits` characters to stay under its picture."""
    return points * min(1.0, fits / max(len(name), 1))


def plot_faces(
    images: NDArray[np.uint8], labels: Sequence[str], path: str | Path, *, title: str = "", columns: int = 10
) -> Path:
    """Save `faces_figure` as a PNG file.

    Args:
        images: uint8 (n, height, width).
        labels: what to write under each picture.
        path: where to write it.
        title: what stands over it.
        columns: pictures in a row.
    """
    return save(faces_figure(images, labels, title=title, columns=columns), path)


def faces_figure(
    images: NDArray[np.uint8], labels: Sequence[str], *, title: str = "", columns: int = 10
) -> Figure:
    """A contact sheet: pictures in rows, a word under each.

    Args:
        images: uint8 (n, height, width).
        labels: what to write under each picture.
        title: what stands over it.
        columns: pictures in a row.

    Raises:
        DataError: there is no picture, or not a label for each.
    """
    if not len(images) or len(images) != len(labels):
        raise DataError(
            f"Expected a label for each of one picture or more, got {len(labels)} for {len(images)}."
        )
    with house_style():
        figure, tiles = _grid(len(images), columns=columns, side=1.0, gap=0.14, below=0.32, title=title)
        for axes, image, label in zip(tiles, images, labels, strict=True):
            _show(axes, image)
            axes.annotate(
                label, (0.5, 0), (0, -12), xycoords="axes fraction", textcoords="offset points", ha="center",
                va="baseline", fontsize=_size(label, 9.5), color=MUTED,
            )  # fmt: skip
    return figure


def _grid(
    n: int, *, columns: int, side: float, gap: float, below: float, title: str
) -> tuple[Figure, list[Axes]]:
    """A figure of n square tiles in rows; sizes in inches, `below` the room under each for its words."""
    from matplotlib.figure import Figure

    columns = min(columns, n)
    rows = math.ceil(n / columns)
    width = columns * (side + gap) + gap
    title = fold(title, width - gap)
    top = gap + (0.15 + 0.25 * len(title.splitlines()) if title else 0)
    height = top + rows * (side + below)
    figure = Figure((width, height), DPI)
    if title:
        place = {"x": gap / width, "y": 1 - gap / height, "ha": "left", "va": "top"}
        figure.suptitle(title, fontsize=14, fontweight="bold", **place)
    tiles = []
    for i in range(n):
        row, column = divmod(i, columns)
        left, bottom = gap + column * (side + gap), height - top - row * (side + below) - side
        tiles.append(figure.add_axes((left / width, bottom / height, side / width, side / height)))
    return figure, tiles


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
