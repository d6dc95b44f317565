"""`Evaluation`: the scores of a model on a split, with the predictions for each image."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.html_table import html_table
from mien.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BY_IMAGE = ("probabilities", "true", "images", "groups")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The scores of a model on a split.

    If targets are vote distributions (FER+), the true class of an image is the one with the most votes, for accuracy and
    loss alike.

    Args:
        model: name of the model.
        data: source of the data set.
        split: name of the split.
        labels: class names, in the order of all arrays (the order of the data set).
        n: number of images.
        accuracy: in [0, 1].
        accuracy_interval: its 95% bootstrap interval; groups are resampled if the data set has them.
        loss: categorical cross-entropy in nats.
        macro_f1: mean F1 over the classes, in [0, 1].
        macro_f1_interval: its 95% bootstrap interval, computed in the same way.
        balanced_accuracy: mean recall over the classes, in [0, 1].
        per_class: `{label: {"precision":, "recall":, "f1":, "support":}}`.
        confusion: int64 (classes, classes), rows are true classes, columns predicted classes.
        ece: expected calibration error in 15 bins, in [0, 1].
        duplicate_free: `n`, `accuracy` and `macro_f1` of the images without an exact copy in another split; the scores
            are `None` if there are no such images.
        flip_tta: whether the predictions for each image and its mirror image were averaged.
        probabilities: float64 (n, classes).
        true: int64 (n,), class indices.
        images: uint8 (n, 48, 48), the images.
        by_source: the scores by source (`mien.evaluation.by_source.score_sources`); `None` if the data set does not name
            the sources of its images.
        label_mapping: how the classes of the data set were mapped to those of the model
            (`mien.data.label_mapping.LabelMapping.to_dict`); `None` if both have the same classes.
        groups: str (n,), the person or video of each image; `None` if the data set does not name them.
    """

    model: str
    data: str
    split: str
    labels: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    balanced_accuracy: float
    per_class: dict[str, dict[str, float | int]]
    confusion: NDArray[np.int64]
    ece: float
    duplicate_free: dict[str, float | int | None]
    flip_tta: bool
    probabilities: NDArray[np.float64]
    true: NDArray[np.int64]
    images: NDArray[np.uint8]
    by_source: dict[str, dict[str, Any]] | None = None
    label_mapping: dict[str, Any] | None = None
    groups: NDArray[np.str_] | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names, in the order of all arrays; the same as `labels`."""
        return self.labels

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    def __repr__(self) -> str:
        low, high = self.accuracy_interval
        return (
            f"<Evaluation of {self.model} on {self.data}, {self.split}: {counted(self.n, 'image')}, accuracy "
            f"{self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}), macro-F1 {self.macro_f1:.4f}, "
            f"loss {self.loss:.4f}>"
        )

    def _repr_html_(self) -> str:
        low, high = self.accuracy_interval
        rows = [
            (name, *(f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")), f"{scores['support']:,}")
            for name, scores in self.per_class.items()
        ]
        title = (
            f"{self.model} on {self.data}, {self.split}: accuracy {self.accuracy:.2%} (95% interval {low:.2%} to "
            f"{high:.2%}), macro-F1 {self.macro_f1:.4f}, loss {self.loss:.4f}"
        )
        return html_table(rows, ("class", "precision", "recall", "F1", "images"), title=title)

    def interval_notes(self) -> list[str]:
        """Return sentences about 95% intervals without a width, because there is only one group to resample."""
        if self.groups is None:
            return []
        cannot = "and whole groups are resampled for the 95% interval, which therefore has no width"
        if len(set(self.groups.tolist())) == 1:
            return [
                f"All images are of one group ({self.groups[0][:40]}), {cannot}. Add images of other groups."
            ]
        return [
            f"The source {source[:40]} has one group, {cannot}. Add images of other groups."
            for source, scores in (self.by_source or {}).items()
            if scores["groups"] == 1
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a JSON-serializable dict, without the arrays with one row per image."""
        kept = [field.name for field in fields(self) if field.name not in _BY_IMAGE]
        kept = [name for name in kept if name != "label_mapping" or self.label_mapping is not None]
        return {name: _plain(getattr(self, name)) for name in kept}


def _plain(value: Any) -> Any:
    """Convert a value to JSON-serializable types."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
