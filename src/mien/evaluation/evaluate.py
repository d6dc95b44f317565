"""`evaluate`: any function from crops to probabilities, judged on a split of a data set.

A Keras network, an ONNX file and another package's model all come as the same thing, a function. What it
gives is checked before it is scored, for a missing softmax or label scores badly without a word.
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.labels import Taxonomy

Predict = Callable[[Any], Any]
"""Gray crops, uint8 (n, 48, 48), to probabilities, float (n, classes)."""

Progress = Callable[[int, int], None]
"""Called after each batch with the images done and the images in all."""

_BY_IMAGE = ("probabilities", "true", "images")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a model scored on a split.

    Where targets are vote distributions (FER+), an image's true class is its likeliest one, and accuracy and
    loss alike are measured against that class alone.

    Args:
        model: name of the model.
        data: where the images came from.
        split: the split that was judged.
        labels: class names, in the order of every array here (the data set's order).
        n: images judged.
        accuracy: in [0, 1].
        accuracy_interval: its 95% bootstrap interval; over groups where the data name them.
        loss: categorical cross-entropy in nats.
        macro_f1: mean F1 over the classes, in [0, 1].
        macro_f1_interval: its 95% bootstrap interval.
        balanced_accuracy: mean recall over the classes, in [0, 1].
        per_class: `{label: {"precision":, "recall":, "f1":, "support":}}`.
        confusion: int64 (classes, classes), rows true, columns predicted.
        ece: expected calibration error in 15 bins, in [0, 1].
        duplicate_free: `n`, `accuracy` and `macro_f1` over the images that have no exact copy in another
            split; the scores are `None` where no such image is left.
        flip_tta: whether each image's mirror image was judged with it and the two averaged.
        probabilities: float64 (n, classes).
        true: int64 (n,), class indices.
        images: uint8 (n, 48, 48), the images judged.
        by_source: the scores by the collection that a face came from, where the data say it
            (`mien.evaluation.by_source.score_sources`); `None` where they do not.
        label_mapping: how the classes of the data were mapped to those of the model
            (`mien.data.label_mapping.LabelMapping.to_dict`); `None` where both have the same.
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
        """The likeliest class of each image, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    def __repr__(self) -> str:
        low, high = self.accuracy_interval
        return (
            f"<Evaluation of {self.model} on {self.data}, {self.split}: {self.n:,} images, accuracy {self.accuracy:.2%} "
            f"(95% interval {low:.2%} to {high:.2%}), macro-F1 {self.macro_f1:.4f}, loss {self.loss:.4f}>"
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
        """The scores as plain numbers, lists and dicts, ready for JSON; the arrays by image stay behind."""
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
    """Judge a model on one split of a data set.

    Args:
        predict: gray crops uint8 (n, 48, 48) to probabilities (n, len(labels)).
        dataset: all splits there are: the other ones tell which images of this one are copies.
        labels: the model's class names in its index order, in any usual spelling.
        split: the split to judge, in upper or lower case.
        model: what to call the model in the result.
        batch_size: images in a call of `predict`.
        flip_tta: judge the mirror image of each image too, and average.
        progress: called after each batch with the images done and the images in all.

    Raises:
        DataError: there is no such split, it has no images, or some of them no label.
        ModelError: the labels are not those of the data set, or `predict` does not give probabilities.
    """
    if not callable(predict):
        raise ModelError(
            f"Expected a function from crops to probabilities, got {type(predict).__name__}. Of a mien.Classifier it is "
            "classifier.probabilities."
        )
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"Expected a mien.Dataset to judge on, got {type(dataset).__name__}. Load one with mien.load(PATH)."
        )
    if (
        isinstance(labels, str)
        or not isinstance(labels, Iterable)
        or not all(isinstance(label, str) for label in labels)
    ):
        raise ModelError(f"Expected labels as a list of class names in index order, got {repr(labels)[:80]}.")
    split = find_split(split)
    columns = _match_labels(labels, dataset.taxonomy)
    require_splits(dataset, [split])
    judged = dataset.subset(split)
    given = _predict_all(
        predict, judged.images, len(labels), batch_size, flip_tta=flip_tta, progress=progress
    )
    probabilities = np.empty_like(given)
    probabilities[:, columns] = given
    alone = duplicate_free(dataset, split)
    return _score(probabilities, judged, alone, model=model, split=split, flip_tta=flip_tta)


def _match_labels(labels: Sequence[str], taxonomy: Taxonomy) -> list[int]:
    """For each label of the model, the column that the data set has for it."""
    columns, strange = [], []
    for label in labels:
        try:
            columns.append(taxonomy.index(label))
        except DataError:
            strange.append(label)
    if strange or sorted(columns) != list(range(len(taxonomy))):
        which = f", of which {', '.join(strange)} {'is' if len(strange) == 1 else 'are'} none of them"
        raise ModelError(
            f"Expected a model with the {len(taxonomy)} labels of {taxonomy.name} "
            f"({', '.join(taxonomy.classes)}), got {len(labels)} labels ({', '.join(labels)})"
            f"{which if strange else ''}. {_other_classes(labels, taxonomy)}"
        )
    return columns


def _other_classes(labels: Sequence[str], taxonomy: Taxonomy) -> str:
    """What to do with a model whose labels are not those of the data."""
    if len(labels) == len(taxonomy):
        return "Give its class names in index order, in words that mean these."
    return (
        f"Accuracy over {len(taxonomy)} classes says nothing of a model that knows {len(labels)}. Judge it in Python on "
        "a mien.Dataset whose taxonomy, a mien.Taxonomy, has its own classes: docs/evaluation.md."
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
    """Probabilities of all images, float64 (n, classes), in the model's own column order."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise DataError(f"Expected a batch size of 1 or more, got {repr(batch_size)[:80]}.")
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
    """What a model gave, made sure to be probabilities: finite, in [0, 1], each row summing to 1.

    Args:
        output: what it gave, an array or what makes one.
        n: crops that it was given.
        classes: its labels.

    Returns:
        float64 (n, classes), without the rounding.

    Raises:
        ModelError: they are no probabilities, or of another shape.
    """
    if np.iscomplexobj(output):
        raise ModelError("Expected an array of probabilities from the model, got complex numbers.")
    try:
        given = np.asarray(output).astype(np.float64)
    except (TypeError, ValueError) as error:
        kind = type(output).__name__
        raise ModelError(f"Expected an array of probabilities from the model, got {kind}.") from error
    if given.shape != (n, classes):
        raise ModelError(
            f"Expected probabilities of shape {(n, classes)} (images, labels) from the model, "
            f"got {given.shape}. Does it have as many outputs as labels?"
        )
    require_probabilities(given)
    given = np.clip(given, 0, None)
    return np.asarray(given / given.sum(axis=1, keepdims=True))


def _score(
    probabilities: NDArray[np.float64],
    judged: Dataset,
    alone: NDArray[np.bool_],
    *,
    model: str,
    split: str,
    flip_tta: bool,
) -> Evaluation:
    labels, true = judged.taxonomy.classes, judged.labels
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(true, predicted, len(labels))
    return Evaluation(
        model=model,
        data=judged.source,
        split=split,
        labels=labels,
        n=len(judged),
        accuracy=metrics.accuracy(confusion),
        accuracy_interval=_accuracy_interval(confusion, true, predicted, judged),
        loss=metrics.log_loss(true, probabilities),
        macro_f1=metrics.macro_f1(confusion),
        macro_f1_interval=metrics.bootstrap_interval(confusion, "macro_f1"),
        balanced_accuracy=metrics.balanced_accuracy(confusion),
        per_class=_class_table(confusion, labels),
        confusion=confusion,
        ece=calibration.expected_calibration_error(probabilities, true),
        duplicate_free=_headline(metrics.confusion_matrix(true[alone], predicted[alone], len(labels))),
        flip_tta=flip_tta,
        probabilities=probabilities,
        true=true,
        images=judged.images,
        by_source=(
            None
            if judged.sources is None
            else score_sources(probabilities, true, labels, judged.sources, judged.groups)
        ),
    )


def _accuracy_interval(
    confusion: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64], judged: Dataset
) -> tuple[float, float]:
    if judged.groups is None:
        return metrics.bootstrap_interval(confusion)
    names = judged.groups
    if judged.sources is not None:
        names = np.char.add(np.char.add(judged.sources, " "), names)
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
    """A copy in the types that JSON knows."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
