"""Plot the loss by learning rate, with the suggested learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.evaluation.figures.style import BLUE, FAINT, INK, house_style, new_figure, save

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def plot_learning_rates(
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    smoothed: NDArray[np.float64],
    suggested: float,
    path: str | Path,
    lowest: float | None = None,
) -> Path:
    """Plot the loss of each batch and its moving average by learning rate, on a logarithmic axis, as a PNG file.

    Args:
        rates: increasing learning rates, float (n,).
        losses: the loss at each learning rate, float (n,).
        smoothed: the moving average of the losses, float (n,).
        suggested: the suggested learning rate, which is marked.
        path: the file to write; its folder is created if necessary.
        lowest: the learning rate with the lowest moving average, which is marked, too.

    Returns:
        The path.
    """
    with house_style():
        figure = new_figure(8, 4.6)
        axes = figure.subplots()
        axes.plot(rates, losses, linewidth=1, color=FAINT, label="each batch")
        axes.plot(rates, smoothed, linewidth=2, color=BLUE, label="moving average")
        if lowest is not None:
            place = int(np.abs(np.log(rates) - np.log(lowest)).argmin())
            axes.plot(
                rates[place],
                smoothed[place],
                "o",
                markersize=7,
                color=BLUE,
                label=f"lowest loss, at {lowest:.2g}",
            )
        axes.axvline(suggested, color=INK, linestyle="--", linewidth=1.2, label=f"suggested: {suggested:.2g}")
        axes.set_xscale("log")
        low, high = float(smoothed.min()), float(smoothed[: max(3, len(smoothed) // 2)].max())
        axes.set_ylim(max(0.0, low - 0.25 * (high - low)), high + 0.6 * (high - low))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.set_title("Loss over rising learning rates")
        axes.legend(frameon=False)
    return save(figure, path)
