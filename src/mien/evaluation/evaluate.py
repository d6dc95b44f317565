"""`evaluate`: evaluate any function from face crops to class probabilities on a split of a data set.

The function can wrap a Keras network, an ONNX file or another package. Its output is validated before it is scored,
because errors such as a missing softmax would otherwise only lead to bad scores.

>>> evaluation = evaluate(classifier.probabilities, dataset, labels=classifier.labels)  # doctest: +SKIP
>>> evaluation.accuracy, evaluation.macro_f1  # doctest: +SKIP
(0.74, 0.72)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import require_probabilities
from mien.data.dataset import PRIVATE_TEST, Dataset
from mien.data.inspection import duplicate_free, require_splits
from mien.errors import DataError, ModelError
from mien.evaluation import calibration, metrics
from mien.evaluation.by_source import accuracy_of, group_confusions, group_interval, score_sources
from mien.evaluation.split_names import find_split
from mien.html_table import html_table
from mien.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.labels import Taxonomy

Predict = Callable[[Any], Any]
"""Function from gray crops, uint8 (n, 48, 48), to probabilities, float (n, classes)."""

Progress = Callable[[int, int], None]
"""Function called after each batch with the number of processed images and the total number."""

_BY_IMAGE = ("probabilities", "true", "images")


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
        macro_f1_interval: its 95% bootstrap interval.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a JSON-serializable dict, without the arrays with one row per image."""
        kept = [field.name for field in fields(self) if field.name not in _BY_IMAGE]
        kept = [name for name in kept if name != "label_mapping" or self.label_mapping is not None]
        return {name: _plain(getattr(self, name)) for name in kept}


def evaluate(
    predict: Predict,
    dataset: Dataset,
    *,
    labels: Sequence[str],
    split: str = PRIVATE_TEST,
    model: str = "model",
    batch_size: int = 256,
    flip_tta: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on a split of a data set.

    Args:
        predict: function from gray crops uint8 (n, 48, 48) to probabilities (n, len(labels)).
        dataset: the data set with all its splits; the other splits are used to find duplicates.
        labels: class names in the order of the model's outputs, in any common spelling.
        split: name of the split, in upper or lower case.
        model: name of the model in the result.
        batch_size: number of images per call of `predict`.
        flip_tta: whether to average the predictions for each image and its mirror image.
        progress: function called after each batch with the number of processed images and the total number.

    Returns:
        The scores.

    Raises:
        DataError: If there is no such split, it has no images, or some of them have no label.
        ModelError: If the class names differ from those of the data set, or `predict` does not return probabilities.
    """
    if not callable(predict):
        raise ModelError.from_parts(
            expected="a function from crops to probabilities",
            received=type(predict).__name__,
            remedy="For a mien.Classifier, pass classifier.probabilities.",
        )
    if not isinstance(dataset, Dataset):
        raise DataError.from_parts(
            expected="a mien.Dataset",
            received=type(dataset).__name__,
            remedy="Load one with mien.load(PATH).",
        )
    if (
        isinstance(labels, str)
        or not isinstance(labels, Iterable)
        or not all(isinstance(label, str) for label in labels)
    ):
        raise ModelError.from_parts(
            expected="labels as a list of class names in index order", received=repr(labels)[:80]
        )
    split = find_split(split)
    columns = _match_labels(labels, dataset.taxonomy)
    require_splits(dataset, [split])
    subset = dataset.subset(split)
    given = _predict_all(
        predict, subset.images, len(labels), batch_size, flip_tta=flip_tta, progress=progress
    )
    probabilities = np.empty_like(given)
    probabilities[:, columns] = given
    unique = duplicate_free(dataset, split)
    return _score(probabilities, subset, unique, model=model, split=split, flip_tta=flip_tta)


def _match_labels(labels: Sequence[str], taxonomy: Taxonomy) -> list[int]:
    """Return the index in the data set of each class of the model."""
    columns, unknown = [], []
    for label in labels:
        try:
            columns.append(taxonomy.index(label))
        except DataError:
            unknown.append(label)
    if unknown or sorted(columns) != list(range(len(taxonomy))):
        which = f", of which {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not among them"
        raise ModelError.from_parts(
            expected=f"a model with the {len(taxonomy)} classes of {taxonomy.name} ({', '.join(taxonomy.classes)})",
            received=f"{len(labels)} classes ({', '.join(labels)}){which if unknown else ''}",
            remedy=_other_classes(labels, taxonomy),
        )
    return columns


def _other_classes(labels: Sequence[str], taxonomy: Taxonomy) -> str:
    """Return the remedy for a model whose classes differ from those of the data set."""
    if len(labels) == len(taxonomy):
        return "Give its class names in index order, in common words for these classes."
    return (
        f"The accuracy over {len(taxonomy)} classes is not defined for a model with {len(labels)}. Evaluate it in "
        "Python on a mien.Dataset with its own label set: docs/evaluation.md."
    )


def _predict_all(
    predict: Predict,
    images: NDArray[np.uint8],
    classes: int,
    batch_size: int,
    *,
    flip_tta: bool,
    progress: Progress | None,
) -> NDArray[np.float64]:
    """Return the probabilities of all images, float64 (n, classes), in the order of the model's classes."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise DataError.from_parts(expected="a batch size of 1 or more", received=repr(batch_size)[:80])
    parts = []
    for start in range(0, len(images), batch_size):
        crops = images[start : start + batch_size]
        part = check_probabilities(predict(crops), len(crops), classes)
        if flip_tta:
            mirrored = np.ascontiguousarray(crops[:, :, ::-1])
            part = (part + check_probabilities(predict(mirrored), len(crops), classes)) / 2
        parts.append(part)
        if progress is not None:
            progress(start + len(crops), len(images))
    return np.concatenate(parts)


def check_probabilities(output: Any, n: int, classes: int) -> NDArray[np.float64]:
    """Validate the output of a model: finite, in [0, 1], each row summing to 1.

    Args:
        output: the output, an array or array-like.
        n: number of crops that were passed.
        classes: number of classes.

    Returns:
        float64 (n, classes), renormalized.

    Raises:
        ModelError: If they are not probabilities, or have another shape.
    """
    if np.iscomplexobj(output):
        raise ModelError.from_parts(
            expected="an array of probabilities from the model", received="complex numbers"
        )
    try:
        given = np.asarray(output).astype(np.float64)
    except (TypeError, ValueError) as error:
        kind = type(output).__name__
        raise ModelError.from_parts(
            expected="an array of probabilities from the model", received=f"{kind}"
        ) from error
    if given.shape != (n, classes):
        raise ModelError.from_parts(
            expected=f"probabilities of shape {(n, classes)} (images, classes) from the model",
            received=f"{given.shape}",
            remedy="Check that it has as many outputs as class names.",
        )
    require_probabilities(given)
    given = np.clip(given, 0, None)
    return np.asarray(given / given.sum(axis=1, keepdims=True))


def _score(
    probabilities: NDArray[np.float64],
    subset: Dataset,
    unique: NDArray[np.bool_],
    *,
    model: str,
    split: str,
    flip_tta: bool,
) -> Evaluation:
    labels, true = subset.taxonomy.classes, subset.labels
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(true, predicted, len(labels))
    return Evaluation(
        model=model,
        data=subset.source,
        split=split,
        labels=labels,
        n=len(subset),
        accuracy=metrics.accuracy(confusion),
        accuracy_interval=_accuracy_interval(confusion, true, predicted, subset),
        loss=metrics.log_loss(true, probabilities),
        macro_f1=metrics.macro_f1(confusion),
        macro_f1_interval=metrics.bootstrap_interval(confusion, "macro_f1"),
        balanced_accuracy=metrics.balanced_accuracy(confusion),
        per_class=_class_table(confusion, labels),
        confusion=confusion,
        ece=calibration.expected_calibration_error(probabilities, true),
        duplicate_free=_headline(metrics.confusion_matrix(true[unique], predicted[unique], len(labels))),
        flip_tta=flip_tta,
        probabilities=probabilities,
        true=true,
        images=subset.images,
        by_source=(
            None
            if subset.sources is None
            else score_sources(probabilities, true, labels, subset.sources, subset.groups)
        ),
    )


def _accuracy_interval(
    confusion: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64], subset: Dataset
) -> tuple[float, float]:
    if subset.groups is None:
        return metrics.bootstrap_interval(confusion)
    names = subset.groups
    if subset.sources is not None:
        names = np.char.add(np.char.add(subset.sources, " "), names)
    return group_interval(group_confusions(true, predicted, names, len(confusion)), accuracy_of)


def _class_table(confusion: NDArray[np.int64], labels: tuple[str, ...]) -> dict[str, dict[str, float | int]]:
    scores = metrics.class_scores(confusion)
    columns = {
        "precision": scores.precision.tolist(),
        "recall": scores.recall.tolist(),
        "f1": scores.f1.tolist(),
        "support": scores.support.tolist(),
    }
    return {label: {name: column[i] for name, column in columns.items()} for i, label in enumerate(labels)}


def _headline(confusion: NDArray[np.int64]) -> dict[str, float | int | None]:
    n = int(confusion.sum())
    if n == 0:
        return {"n": 0, "accuracy": None, "macro_f1": None}
    return {"n": n, "accuracy": metrics.accuracy(confusion), "macro_f1": metrics.macro_f1(confusion)}


def _plain(value: Any) -> Any:
    """Convert a value to JSON-serializable types."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
