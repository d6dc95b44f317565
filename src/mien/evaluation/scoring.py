"""`evaluate`: evaluate any function from face crops to class probabilities on a split of a data set.

The function can wrap a Keras network, an ONNX file or another package. Its output is validated before it is scored,
because errors such as a missing softmax would otherwise only lead to bad scores.

>>> evaluation = evaluate(classifier.probabilities, dataset, class_names=classifier.class_names)  # doctest: +SKIP
>>> evaluation.accuracy, evaluation.macro_f1  # doctest: +SKIP
(0.74, 0.72)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.class_names import in_index_order
from mien.data.dataset import PRIVATE_TEST, Dataset
from mien.data.inspection import duplicate_free, require_splits
from mien.errors import DataError, ModelError
from mien.evaluation import calibration, metrics
from mien.evaluation.by_source import group_interval, score_sources
from mien.evaluation.evaluation import Evaluation
from mien.evaluation.split_names import find_split
from mien.probability_checks import require_probabilities
from mien.renamed import renamed_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.labels import LabelSet

Predict = Callable[[Any], Any]
"""Function from gray crops, uint8 (n, 48, 48), to probabilities, float (n, classes)."""

Progress = Callable[[int, int], None]
"""Function called after each batch with the number of processed images and the total number."""


@renamed_parameters(labels="class_names")
def evaluate(
    predict: Predict,
    dataset: Dataset,
    *,
    class_names: Sequence[str],
    split: str = PRIVATE_TEST,
    model: str = "model",
    batch_size: int = 256,
    flip_tta: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on a split of a data set.

    Args:
        predict: function from gray crops uint8 (n, 48, 48) to probabilities (n, len(class_names)).
        dataset: the data set with all its splits; the other splits are used to find duplicates.
        class_names: class names in the order of the model's outputs, in any common spelling.
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
    class_names = _listed(class_names)
    split = find_split(split)
    columns = _match_labels(class_names, dataset.label_set)
    require_splits(dataset, [split])
    subset = dataset.subset(split)
    given = _predict_all(
        predict, subset.images, len(class_names), batch_size, flip_tta=flip_tta, progress=progress
    )
    probabilities = np.empty_like(given)
    probabilities[:, columns] = given
    unique = duplicate_free(dataset, split)
    return _score(probabilities, subset, unique, model=model, split=split, flip_tta=flip_tta)


def _listed(class_names: Any) -> tuple[str, ...]:
    """Return class names in index order as a tuple.

    Raises:
        DataError: If they are a set, or a mapping that does not number them from 0.
        ModelError: If they are no class names.
    """
    found = in_index_order(class_names)
    names = tuple(found) if isinstance(found, Iterable) and not isinstance(found, str) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise ModelError.from_parts(
            expected="class_names as a list of class names in index order", received=repr(class_names)[:80]
        )
    return names


def _match_labels(labels: Sequence[str], label_set: LabelSet) -> list[int]:
    """Return the index in the data set of each class of the model."""
    columns, unknown = [], []
    for label in labels:
        try:
            columns.append(label_set.index(label))
        except DataError:
            unknown.append(label)
    if unknown or sorted(columns) != list(range(len(label_set))):
        which = f", of which {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not among them"
        raise ModelError.from_parts(
            expected=f"a model with the {len(label_set)} classes of {label_set.name} ({', '.join(label_set.classes)})",
            received=f"{len(labels)} classes ({', '.join(labels)}){which if unknown else ''}",
            remedy=_other_classes(labels, label_set),
        )
    return columns


def _other_classes(labels: Sequence[str], label_set: LabelSet) -> str:
    """Return the remedy for a model whose classes differ from those of the data set."""
    if len(labels) == len(label_set):
        return "Give its class names in index order, in common words for these classes."
    return (
        f"The accuracy over {len(label_set)} classes is not defined for a model with {len(labels)}. Evaluate it in "
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
    labels, true = subset.label_set.classes, subset.labels
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(true, predicted, len(labels))
    groups = _group_names(subset)

    def interval(name: metrics.Score) -> tuple[float, float]:
        if groups is None:
            return metrics.bootstrap_interval(confusion, name)
        return group_interval(true, predicted, groups, len(labels), metrics.SCORES[name])

    return Evaluation(
        model=model,
        data=subset.source,
        split=split,
        labels=labels,
        n=len(subset),
        accuracy=metrics.accuracy(confusion),
        accuracy_interval=interval("accuracy"),
        loss=metrics.log_loss(true, probabilities),
        macro_f1=metrics.macro_f1(confusion),
        macro_f1_interval=interval("macro_f1"),
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
        groups=groups,
    )


def _group_names(subset: Dataset) -> NDArray[np.str_] | None:
    """Return the group of each image, which is named within its source."""
    if subset.groups is None or subset.sources is None:
        return subset.groups
    return np.char.add(np.char.add(subset.sources, " "), subset.groups)


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
