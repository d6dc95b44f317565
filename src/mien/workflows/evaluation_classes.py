"""The label sets of an evaluation: how the data are read, and how their classes are mapped to those of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, ModelError
from mien.labels import BUNDLED_LABEL_SETS, CUSTOM, FER2013, FERPLUS, FUSED, LabelSet, find_label_set, meaning
from mien.workflows.load_data import is_dataset, is_synthetic, load_data
from mien.workflows.reporter import SilentReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mien.data.dataset import Dataset
    from mien.data.label_mapping import LabelMapping
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.run_data import DataRequest


_LABELS_AT = 1
"""Place of the labels in `(images, labels, splits)`."""


def own_label_set(data: Any, class_names: Any = None) -> str | None:
    """Return the default label set: FER2013's for its labels, else the default of the model.

    The labels of the table are FER2013's, so they are compared with predictions for that label set; faces from other
    sources are labeled by what they show, for which `fused` is the better match. A path and the data set that
    `mien.load` reads from it get the same.

    Args:
        data: the data, as for `mien.evaluate`.
        class_names: the meaning of class numbers in arrays; by default FER2013's.
    """
    from mien.data.dataset import Dataset

    if data is None or is_synthetic(data):
        return FER2013.name
    if isinstance(data, Dataset):
        own = FERPLUS.name if data.label_set == FERPLUS else None
        return FER2013.name if data.fer2013_labels and own is None else own
    try:
        if isinstance(data, str | Path):
            ours = _is_fer2013_on_disk(Path(data))
        else:
            ours = _is_fer2013_in_memory(data, class_names)
    except (OSError, ValueError, DataError):
        return None  # reading the data reports the error
    return FER2013.name if ours else None


def _is_fer2013_on_disk(place: Path) -> bool:
    from mien.data.loading import descend_to_tables
    from mien.data.table_files import is_fer2013

    tables = descend_to_tables(place) if place.is_dir() else [place]
    return bool(tables) and all(map(is_fer2013, tables))


def _is_fer2013_in_memory(data: Any, class_names: Any) -> bool:
    """Return whether a data frame has FER2013's columns, or arrays have its class numbers, without class names."""
    import numpy as np

    from mien.data.data_frame_rows import has_fer2013_labels, is_frame

    if is_frame(data):
        return has_fer2013_labels(data)
    if class_names is not None or not isinstance(data, tuple | list) or len(data) <= _LABELS_AT:
        return False
    labels = np.asarray(data[_LABELS_AT])
    numbers = labels.ndim == 1 or labels.shape[1:] == (len(FER2013),)  # a class number, or a distribution
    return numbers and labels.dtype.kind in "uif"


def reading_label_set(
    label_set: str | LabelSet | None, loaded: LoadedModel, data: Any
) -> str | LabelSet | None:
    """Return the label set for reading the data: the requested one, that of a table, or the classes of the data.

    A `mien.Dataset` keeps its own, and its classes are mapped to those of the model, unless FER+'s labels are requested
    and it has the votes.
    """
    if is_dataset(data):
        voted = label_set in {FERPLUS, FERPLUS.name} and data.votes is not None
        return FERPLUS if voted else None
    if label_set == FUSED:
        return FER2013
    if label_set is not None:
        return label_set
    known = find_label_set(loaded.labels)
    if known not in BUNDLED_LABEL_SETS.values():
        return None
    if data is None or is_synthetic(data) or not isinstance(data, str | Path):
        return known
    return known if own_label_set(data) == FER2013.name else None


def may_have_other_classes(request: DataRequest) -> bool:
    """Return whether data that cannot be read in the label set of a model may be read in their own classes.

    The FER+ votes are missing, not other classes, if a table for a model of FER+'s label set is one of FER2013.
    """
    data, options = request.data, request.options
    if data is None or is_synthetic(data) or is_dataset(data) or options.votes is not None:
        return False
    if options.label_set != FERPLUS or not isinstance(data, str | Path):
        return True
    try:
        load_data(data, replace(options, label_set=FER2013), SilentReporter())
    except DataError:
        return True
    return False


def in_classes_of(labels: Sequence[str], dataset: Dataset, split: str) -> tuple[Dataset, LabelMapping | None]:
    """Map a data set to the classes of a model; return it with the mapping, or `None` if the classes are the same.

    Raises:
        DataError: If they have fewer than two classes in common.
    """
    from mien.data.label_mapping import map_to

    classes = scored_classes(labels, dataset.label_set)
    if classes == dataset.label_set.classes:
        return dataset, None
    return _of_split(map_to(dataset, find_label_set(labels) or LabelSet(CUSTOM, classes)), dataset, split)


def scored_classes(labels: Sequence[str], label_set: LabelSet) -> tuple[str, ...]:
    """Return the classes in which a model is scored: those of the data if it has the same ones, else its own.

    Args:
        labels: the class names of the model.
        label_set: the label set of the data.
    """
    ours = {meaning(name) or name.casefold() for name in labels}
    theirs = {meaning(name) or name.casefold() for name in label_set.classes}
    return label_set.classes if ours == theirs and len(labels) == len(label_set) else tuple(labels)


@dataclass(frozen=True)
class CommonClasses:
    """The classes in which two models with different classes are compared.

    Args:
        label_set: the classes of both models, those first that both have.
        shared: how many of them both models have; images of the others are left out.
        columns: for the first and the second model, the index of each of its classes.
    """

    label_set: LabelSet
    shared: int
    columns: tuple[tuple[int, ...], tuple[int, ...]]

    @classmethod
    def of(cls, first: Sequence[str], second: Sequence[str]) -> CommonClasses:
        """Match the classes of two models by name and meaning.

        Args:
            first: the class names of the first model.
            second: the class names of the second model.

        Raises:
            ModelError: If they have fewer than two classes in common.
        """
        from mien.data.label_mapping import find_class

        ours = LabelSet(CUSTOM, tuple(first))
        found = [find_class(name, ours) for name in second]
        both = sorted({place for place in found if place is not None})
        if len(both) < 2:
            raise ModelError(
                "Expected two models with two or more classes in common to compare, got "
                f"{', '.join(first)[:80]} and {', '.join(second)[:80]}. Evaluate each by itself."
            )
        names = [first[i] for i in both] + [name for i, name in enumerate(first) if i not in both]
        names += [name for name, place in zip(second, found, strict=True) if place is None]
        theirs = [name if place is None else first[place] for name, place in zip(second, found, strict=True)]
        columns = tuple(names.index(name) for name in first), tuple(names.index(name) for name in theirs)
        return cls(LabelSet(CUSTOM, tuple(names)), len(both), columns)

    def map_data(self, dataset: Dataset, split: str) -> tuple[Dataset, LabelMapping]:
        """Map a data set to these classes, and leave out the images of classes that not both models have.

        Raises:
            DataError: If the data have fewer than two classes that both models have.
        """
        from mien.data.label_mapping import map_to

        return _of_split(map_to(dataset, self.label_set, shared=self.shared), dataset, split)

    def predictions(
        self, probabilities: Callable[[Any], Any], columns: Sequence[int]
    ) -> Callable[[Any], Any]:
        """Return a function that returns the probabilities of a model in these classes.

        Args:
            probabilities: the function of the model, from crops to probabilities (n, classes).
            columns: the index of each of its classes, one of `columns`.
        """
        import numpy as np

        from mien.evaluation.scoring import check_probabilities

        matrix = np.eye(len(self.label_set))[list(columns)]

        def predict(crops: Any) -> Any:
            return check_probabilities(probabilities(crops), len(crops), len(columns)) @ matrix

        return predict


def _of_split(
    result: tuple[Dataset, LabelMapping], dataset: Dataset, split: str
) -> tuple[Dataset, LabelMapping]:
    """Count only the images of one split in a mapping, if the split has images."""
    mapped, mapping = result
    if not (mapped.split == split).any():
        return mapped, mapping
    by_class = dataset.counts().get(split, {})
    left_out = {name: by_class[name] for name in mapping.left_out if by_class.get(name)}
    return mapped, replace(mapping, left_out=left_out)
