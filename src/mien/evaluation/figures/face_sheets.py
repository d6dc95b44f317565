"""Sheets of face images: sample predictions, and contact sheets of a data set."""

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

    from mien.evaluation.evaluation import Evaluation

SHEETS = ("samples", "mistakes", "confident")
"""The sheets of an evaluation: a random sample, mistakes only, and the most confident correct predictions."""


def choose_samples(
    evaluation: Evaluation, n: int = 12, seed: int = 0, *, kind: str = "samples"
) -> NDArray[np.int64]:
    """Choose images to show.

    Args:
        evaluation: the evaluation.
        n: maximum number of images.
        seed: random seed.
        kind: `samples`, a random sample of all images; `mistakes`, a random sample of the wrong predictions; or
            `confident`, the correct predictions with the highest probabilities.

    Returns:
        int64 (at most n,), indices into the arrays of the evaluation, without repeats; empty if there are no such
        images.

    Raises:
        DataError: If there is no such kind, or n is negative.
    """
    if kind not in SHEETS:
        raise DataError.from_parts(
            expected=f"the kind to be one of {', '.join(SHEETS)}", received=f"{str(kind)[:80]!r}"
        )
    if n < 0:
        raise DataError.from_parts(expected="n, the number of images, to be 0 or more", received=f"{n}")
    is_wrong = evaluation.predicted != evaluation.true
    if kind == "confident":
        right = np.flatnonzero(~is_wrong)
        scores = evaluation.probabilities[right].max(axis=1) if len(right) else np.zeros(0)
        return np.asarray(right[np.argsort(-scores, kind="stable")][:n], np.int64)
    rows = np.flatnonzero(is_wrong) if kind == "mistakes" else np.arange(evaluation.n)
    return np.asarray(np.random.default_rng(seed).permutation(rows)[:n], np.int64)


def sheet_title(evaluation: Evaluation, shown: NDArray[np.integer[Any]], kind: str, model: str = "") -> str:
    """Return the title of a sheet: how its images were chosen, and the accuracy on all images.

    Args:
        evaluation: the evaluation.
        shown: indices of the images on the sheet.
        kind: one of `SHEETS`.
        model: name of the model; that of the evaluation by default.
    """
    right = int((evaluation.predicted[shown] == evaluation.true[shown]).sum())
    name = model or evaluation.model
    accuracy = f"{name} on {evaluation.split}: {evaluation.accuracy:.1%} of {evaluation.n:,} correct"
    choice = {
        "samples": f"Random sample, {right} of {len(shown)} correct",
        "mistakes": f"Mistakes only, {len(shown)} of {evaluation.n - _hits(evaluation):,}, chosen at random",
        "confident": f"The {len(shown)} most confident of {_hits(evaluation):,} correct predictions",
    }[kind]
    return f"{choice}. {accuracy}"


def _hits(evaluation: Evaluation) -> int:
    return int((evaluation.predicted == evaluation.true).sum())


def plot_sheets(evaluation: Evaluation, folder: str | Path, model: str = "", *, n: int = 12) -> list[Path]:
    """Save `samples.png`, `mistakes.png` and `confident.png`; empty sheets are left out.

    Args:
        evaluation: the evaluation.
        folder: output folder.
        model: name of the model in the titles.
        n: maximum number of images per sheet.

    Returns:
        The paths of the written files.
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
        probabilities: (n, classes); the most probable class is the prediction.
        labels: class names in index order.
        path: the file to write.
        title: title of the figure.
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
    """Show images with the predicted label, its probability and the true label.

    Correct predictions have a blue frame and a check mark, wrong ones a vermilion frame and a cross.

    Args:
        images: uint8 (n, height, width).
        true: class indices (n,).
        probabilities: (n, classes); the most probable class is the prediction.
        labels: class names in index order.
        title: title of the figure.

    Raises:
        DataError: If there are no images, or the lengths differ.
    """
    n = len(images)
    if n == 0 or true.shape != (n,) or probabilities.shape != (n, len(labels)):
        raise DataError.from_parts(
            expected=f"one image or more, each with a label and {len(labels)} probabilities",
            received=f"shapes {images.shape}, {true.shape} and {probabilities.shape}",
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
    """Return a font size at which a name longer than `fits` characters still fits under its image."""
    return points * min(1.0, fits / max(len(name), 1))


def plot_faces(
    images: NDArray[np.uint8], labels: Sequence[str], path: str | Path, *, title: str = "", columns: int = 10
) -> Path:
    """Save `faces_figure` as a PNG file.

    Args:
        images: uint8 (n, height, width).
        labels: caption of each image.
        path: the file to write.
        title: title of the figure.
        columns: number of images per row.
    """
    return save(faces_figure(images, labels, title=title, columns=columns), path)


def faces_figure(
    images: NDArray[np.uint8], labels: Sequence[str], *, title: str = "", columns: int = 10
) -> Figure:
    """Create a contact sheet: images in rows, each with a caption.

    Args:
        images: uint8 (n, height, width).
        labels: caption of each image.
        title: title of the figure.
        columns: number of images per row.

    Raises:
        DataError: If there are no images, or the numbers of images and labels differ.
    """
    if not len(images) or len(images) != len(labels):
        raise DataError.from_parts(
            expected="a label for each of one image or more", received=f"{len(labels)} for {len(images)}"
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
    """Create a figure with n square tiles in rows; sizes in inches, `below` is the space for captions."""
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
