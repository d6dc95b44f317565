"""Figures of training, evaluation and videos, with a color-blind friendly palette.

Functions named `..._figure` return a matplotlib figure; functions named `plot_...` save it as PNG and return the path.

>>> from mien.evaluation import figures
>>> figures.plot_curves([{"loss": 1.2, "val_loss": 1.3}, {"loss": 1.0, "val_loss": 1.1}], "curves.png")  # doctest: +SKIP
PosixPath('curves.png')
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
from mien.evaluation.figures.face_sheets import (
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
