"""Figures worth putting in a slide: drawn from plain numbers, saved as PNG, read by color-blind eyes too.

Each figure comes twice: `..._figure` gives the matplotlib figure, `plot_...` saves it and gives the path.
"""

from mien.evaluation.figures.charts import (
    confusion_figure,
    counts_figure,
    plot_confusion,
    plot_counts,
    plot_reliability,
    reliability_figure,
)
from mien.evaluation.figures.curves import curves_figure, plot_curves
from mien.evaluation.figures.faces import (
    choose_samples,
    faces_figure,
    plot_faces,
    plot_samples,
    plot_sheets,
    samples_figure,
    sheet_title,
)
from mien.evaluation.figures.timeline import Timeline, plot_timeline, timeline_figure

__all__ = [
    "Timeline",
    "choose_samples",
    "confusion_figure",
    "counts_figure",
    "curves_figure",
    "faces_figure",
    "plot_confusion",
    "plot_counts",
    "plot_curves",
    "plot_faces",
    "plot_reliability",
    "plot_samples",
    "plot_sheets",
    "plot_timeline",
    "reliability_figure",
    "samples_figure",
    "sheet_title",
    "timeline_figure",
]
