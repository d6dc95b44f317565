"""Draw a chart of the results of `video.py`: memory and work over a video of ten minutes.

usage: python benchmarks/video_figure.py [--out docs/results/video.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.evaluation.figures.style import (
    BLUE,
    FAINT,
    GRID,
    INK,
    VERMILION,
    head,
    house_style,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "video.json"
STRETCH = 250  # frames between two measurements


def video_figure(found: dict[str, Any]) -> Figure:
    """Plot memory (top) and work per second of video (bottom) over the time of the video."""
    fps = found["video_frames"] / found["video_seconds"]
    memory = found["memory_mb_every_250_frames"]
    minutes = [(i + 1) * STRETCH / fps / 60 for i in range(len(memory))]
    work = [seconds / (STRETCH / fps) for seconds in found["seconds_of_each_250_frames"]]
    with house_style():
        figure = new_figure(9, 6.2)
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(minutes, memory, color=BLUE)
        above.set(ylim=(0, 1.25 * max(memory)), ylabel="resident memory, MB")
        above.annotate(
            f"{memory[-1]:.0f} MB",
            (minutes[-1], memory[-1]),
            (0, 6),
            textcoords="offset points",
            ha="right",
            color=INK,
        )
        head(
            above,
            "A video of ten minutes",
            "640x480; tracks, an annotated copy and one row per face",
        )
        below.axhline(1, color=FAINT)
        below.annotate(
            "real time",
            (minutes[-1], 1),
            (0, 4),
            textcoords="offset points",
            ha="right",
            color=INK,
            fontsize=9.5,
        )
        below.plot(minutes, work, color=VERMILION)
        below.set(
            ylim=(0, max(1.3, 1.1 * max(work))),
            xlabel="minute of the video",
            ylabel="seconds per second of video",
        )
        for axes in (above, below):
            axes.grid(axis="y", color=GRID)
    return figure


def main() -> None:
    """Draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "video.png")
    print(save(video_figure(json.loads(RESULTS.read_text(encoding="utf-8"))), parser.parse_args().out))


if __name__ == "__main__":
    main()
