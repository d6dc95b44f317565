"""Sheets of images: sample predictions, and a contact sheet of a data set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures.style import (
    BLUE,
    DPI,
    INK,
    MUTED,
    VERMILION,
    figure_class,
    fold,
    house_style,
    save,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.evaluation.evaluate import Evaluation

SHEETS = ("samples", "mistakes", "confident")
"""The sheets of an evaluation: a fair sample, mistakes only, and the hits that the model is most sure of."""


def choose_samples(
    evaluation: Evaluation, n: int = 12, seed: int = 0, *, kind: str = "samples"
) -> NDArray[np.int64]:
    """Pick images to show.

    Args:
        evaluation: what was judged.
        n: how many to pick; all there are where there are fewer.
        seed: fixes the choice.
        kind: `samples`, a random sample of all images, each as likely as the other, in which mistakes are as frequent
            as they are; `mistakes`, a random sample of those that were named wrongly; or `confident`, the hits with the
            highest probabilities.

    Returns:
        int64 (at most n,), indices into the evaluation's arrays, without repeats; none where there is nothing of the
        kind.

    Raises:
        DataError: there is no such kind, or n is less than 0.
    """
    if kind not in SHEETS:
        raise DataError(f"Expected the kind to be one of {', '.join(SHEETS)}, got {str(kind)[:80]!r}.")
    if n < 0:
        raise DataError(f"Expected to pick 0 images or more, got {n}.")
    is_wrong = evaluation.predicted != evaluation.true
    if kind == "confident":
        right = np.flatnonzero(~is_wrong)
        scores = evaluation.probabilities[right].max(axis=1) if len(right) else np.zeros(0)
        return np.asarray(right[np.argsort(-scores, kind="stable")][:n], np.int64)
    rows = np.flatnonzero(is_wrong) if kind == "mistakes" else np.arange(evaluation.n)
    return np.asarray(np.random.default_rng(seed).permutation(rows)[:n], np.int64)


def sheet_title(evaluation: Evaluation, shown: NDArray[np.integer[Any]], kind: str, model: str = "") -> str:
    """What stands over a sheet: how its images were chosen, and what share of all is named rightly.

    Args:
        evaluation: what was judged.
        shown: indices of the images on the sheet.
        kind: one of `SHEETS`.
        model: what to call the model; as the evaluation calls it when not given.
    """
    right = int((evaluation.predicted[shown] == evaluation.true[shown]).sum())
    all_of_it = f"{model or evaluation.model} on {evaluation.split}: {evaluation.accuracy:.1%} of {evaluation.n:,} right"
    told = {
        "samples": f"Random sample, {right} of {len(shown)} right",
        "mistakes": f"Mistakes only, {len(shown)} of {evaluation.n - _hits(evaluation):,}, drawn at random",
        "confident": f"The {len(shown)} most confident hits of {_hits(evaluation):,}",
    }[kind]
    return f"{told}. {all_of_it}"


def _hits(evaluation: Evaluation) -> int:
    return int((evaluation.predicted == evaluation.true).sum())


def plot_sheets(evaluation: Evaluation, folder: str | Path, model: str = "", *, n: int = 12) -> list[Path]:
    """Save `samples.png`, `mistakes.png` and `confident.png`; one that would be empty is left out.

    Args:
        evaluation: what was judged.
        folder: where to write them.
        model: what to call the model in their titles.
        n: images on each.

    Returns:
        The paths of those that were written.
    """
    written = []
    for kind in SHEETS:
        shown, path = choose_samples(evaluation, n, kind=kind), Path(folder) / f"{kind}.png"
        if not len(shown):
            continue
        written.append(
            plot_samples(
                evaluation.images[shown], evaluation.true[shown], evaluation.probabilities[shown], evaluation.labels,
                path, title=sheet_title(evaluation, shown, kind, model),
            )
        )  # fmt: skip
    return written


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
    """Images with the predicted label, its probability and the true label.

    A right one has a blue frame and a tick, a wrong one a vermilion frame and a cross.

    Args:
        images: uint8 (n, height, width).
        true: class indices (n,).
        probabilities: (n, classes); the likeliest class is the prediction.
        labels: class names in index order.
        title: what stands over it.

    Raises:
        DataError: there is no image, or the lengths differ.
    """
    n = len(images)
    if n == 0 or true.shape != (n,) or probabilities.shape != (n, len(labels)):
        raise DataError(
            f"Expected one image or more, each with a label and {len(labels)} probabilities, got shapes "
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
    color, mark = (BLUE, "✓") if right else (VERMILION, "✗")
    for side in axes.spines.values():
        side.set(visible=True, color=color, linewidth=3.5)
    under: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline"}
    bold: dict[str, Any] = {"color": color, "fontweight": "bold"}
    axes.annotate(f"{mark} {predicted}", (0, 0), (-2, -17), fontsize=_size(predicted, 11), **bold, **under)
    axes.annotate(f"{100 * score:.0f}%", (1, 0), (2, -17), ha="right", fontsize=11, **bold, **under)
    truth, ink = f"true: {true}", MUTED if right else INK
    axes.annotate(truth, (0, 0), (-2, -32), fontsize=_size(true, 10, fits=14), color=ink, **under)


def _size(name: str, points: float, fits: int = 11) -> float:
    """Type small enough for a name longer than `fits` characters to stay under its image."""
    return points * min(1.0, fits / max(len(name), 1))


def plot_faces(
    images: NDArray[np.uint8], labels: Sequence[str], path: str | Path, *, title: str = "", columns: int = 10
) -> Path:
    """Save `faces_figure` as a PNG file.

    Args:
        images: uint8 (n, height, width).
        labels: what to write under each image.
        path: where to write it.
        title: what stands over it.
        columns: images in a row.
    """
    return save(faces_figure(images, labels, title=title, columns=columns), path)


def faces_figure(
    images: NDArray[np.uint8], labels: Sequence[str], *, title: str = "", columns: int = 10
) -> Figure:
    """A contact sheet: images in rows, a word under each.

    Args:
        images: uint8 (n, height, width).
        labels: what to write under each image.
        title: what stands over it.
        columns: images in a row.

    Raises:
        DataError: there is no image, or not a label for each.
    """
    if not len(images) or len(images) != len(labels):
        raise DataError(
            f"Expected a label for each of one image or more, got {len(labels)} for {len(images)}."
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
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    width = columns * (side + gap) + gap
    title = fold(title, width - gap)
    top = gap + (0.15 + 0.25 * len(title.splitlines()) if title else 0)
    height = top + rows * (side + below)
    figure = figure_class()((width, height), DPI)
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
