"""Draw charts of the results of `search.py`: accuracy and speed, and the effect of single changes.

usage: python benchmarks/search_figures.py [--out docs/results/search]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from mien.evaluation.figures.style import (
    BLUE,
    FAINT,
    GRID,
    INK,
    MUTED,
    VERMILION,
    head,
    house_style,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "search.json"
BASE = "network: small"


def by_seed(trainings: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Return the accuracy on PublicTest in percent, by training and seed."""
    found: dict[str, dict[int, float]] = {}
    for name, row in trainings.items():
        found.setdefault(name.rpartition(", seed")[0], {})[row["seed"]] = 100 * row["public_accuracy"]
    return found


def changes_in(scores: dict[str, dict[int, float]]) -> list[str]:
    """Return the changes that were trained with a seed of the unchanged recipe."""
    return [name for name in scores if name.startswith("recipe: ") and gains_of(scores, name)]


def gains_of(scores: dict[str, dict[int, float]], name: str) -> list[float]:
    """Return the effect of one change in points, one value per seed of the unchanged recipe."""
    base = scores[BASE]
    return [value - base[seed] for seed, value in scores[name].items() if seed in base]


def signed(points: float) -> str:
    """Format points with their sign, without a sign if they round to zero."""
    text = f"{points:+.1f}"
    return "0.0" if text in {"-0.0", "+0.0"} else text


def front_of(points: dict[str, tuple[float, float]]) -> list[str]:
    """Return the Pareto front, starting with the fastest network."""
    best, front = -1.0, []
    for name, (_, accuracy) in sorted(points.items(), key=lambda item: -item[1][0]):
        if accuracy > best:
            best, front = accuracy, [*front, name]
    return front


def front_figure(found: dict[str, Any]) -> Figure:
    """Plot accuracy and faces per second, with the Pareto front as a line."""
    scores = by_seed(found["trainings"])
    points = {
        name: (float(facts["faces_a_second"]), mean(scores[f"network: {name}"].values()))
        for name, facts in found["networks"].items()
        if f"network: {name}" in scores
    }
    front = front_of(points)
    budget = next(iter(found["trainings"].values()))
    with house_style():
        figure = new_figure(9, 5.6)
        axes = figure.subplots()
        axes.grid(color=GRID)
        axes.step(*zip(*(points[name] for name in front), strict=True), where="post", color=FAINT, zorder=1)
        for name, (speed, accuracy) in points.items():
            color = BLUE if name in front else MUTED
            values = list(scores[f"network: {name}"].values())
            axes.plot([speed] * len(values), values, "_", color=color, markersize=9, alpha=0.6, zorder=1)
            axes.plot(speed, accuracy, "o", color=color, markersize=9, zorder=2)
            facts = found["networks"][name]
            label = f"{name}, {facts['multiply_adds'] / 1e6:.0f} M"
            axes.annotate(
                label,
                (speed, accuracy),
                (9, 4) if name in front else (-5, -8),
                textcoords="offset points",
                ha="left" if name in front else "right",
                va="bottom" if name in front else "top",
                color=INK,
                zorder=1.5,  # above the line, below the points
                fontsize=9.5,
                bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 1},
            )
        axes.set_xscale("log")
        axes.set_xticks(ticks := [1000, 2000, 4000, 8000], [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.margins(x=0.2, y=0.15)
        axes.set(xlabel="faces per second, int8, one thread, logarithmic", ylabel="accuracy on PublicTest, %")
        subtitle = (
            f"recipe small, {budget['epochs']} epochs at {budget['side']} pixels; M: million multiply-adds"
        )
        if any(len(values) > 1 for values in scores.values()):
            subtitle += "; strokes: seeds"
        head(axes, "Accuracy and speed", subtitle)
    return figure


def parts_figure(found: dict[str, Any]) -> Figure:
    """Plot the effect of single changes of the recipe on accuracy."""
    scores = by_seed(found["trainings"])
    base = mean(scores[BASE].values())
    gains = {name.removeprefix("recipe: "): gains_of(scores, name) for name in changes_in(scores)}
    order = sorted(gains, key=lambda name: mean(gains[name]))
    with house_style():
        figure = new_figure(9, 1.6 + 0.45 * len(order))
        axes = figure.subplots()
        axes.grid(axis="x", color=GRID)
        axes.axvline(0, color=FAINT)
        for row, name in enumerate(order):
            gain = mean(gains[name])
            axes.barh(row, gain, height=0.55, color=VERMILION if gain < 0 else BLUE)
            if len(gains[name]) > 1:
                axes.plot(gains[name], [row] * len(gains[name]), "o", color=INK, markersize=4)
            end = min(0, *gains[name]) if gain < 0 else max(0, *gains[name])
            axes.annotate(
                signed(gain), (end, row), (-6 if gain < 0 else 6, 0), textcoords="offset points",
                ha="right" if gain < 0 else "left", va="center", color=INK,
            )  # fmt: skip
        axes.set_yticks(range(len(order)), order)
        axes.tick_params(length=0)
        axes.margins(x=0.15)
        axes.set(xlabel="points of accuracy on PublicTest, compared with the unchanged recipe")
        subtitle = f"unchanged recipe on this budget: {base:.1f}%"
        if any(len(values) > 1 for values in gains.values()):
            subtitle += "; points: seeds"
        head(axes, "Effect of single changes", subtitle)
    return figure


def main() -> None:
    """Draw both charts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "search")
    folder = parser.parse_args().out
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    print(save(front_figure(found), folder / "front.png"))
    print(save(parts_figure(found), folder / "parts.png"))


if __name__ == "__main__":
    main()
