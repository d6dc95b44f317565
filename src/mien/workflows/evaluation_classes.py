"""The label sets of an evaluation: how the data are read, and how their classes are mapped to those of the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.labels import BUNDLED_LABEL_SETS, CUSTOM, FER2013, FUSED, LabelSet, find_label_set, meaning
from mien.workflows.load_data import is_dataset, is_synthetic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.data.dataset import Dataset
    from mien.data.label_mapping import LabelMapping
    from mien.workflows.loaded_model import LoadedModel


def own_label_set(data: Any) -> str | None:
    """Return the default label set: FER2013's for its table, else the default of the model.

    The labels of the table are FER2013's, so they are compared with predictions for that label set; faces from other
    sources are labeled by what they show, for which `fused` is the better match.
    """
    from mien.data.dataset import Dataset
    from mien.data.table_files import find_tables, is_fer2013

    if data is None or is_synthetic(data):
        return FER2013.name
    if isinstance(data, Dataset):
        return data.label_set.name
    if not isinstance(data, str | Path):
        return FER2013.name
    place = Path(data)
    try:
        tables = find_tables(place) if place.is_dir() else [place]
        return FER2013.name if tables and all(map(is_fer2013, tables)) else None
    except (OSError, ValueError, DataError):
        return None  # reading the data reports the error


def reading_label_set(
    label_set: str | LabelSet | None, loaded: LoadedModel, data: Any
) -> str | LabelSet | None:
    """Return the label set for reading the data: the requested one, that of a table, or the classes of the data.

    A `mien.Dataset` keeps its own, and its classes are mapped to those of the model.
    """
    if is_dataset(data):
        return None
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


def in_classes_of(labels: Sequence[str], dataset: Dataset, split: str) -> tuple[Dataset, LabelMapping | None]:
    """Map a data set to the classes of a model; return it with the mapping, or `None` if the classes are the same.

    Raises:
        DataError: If they have fewer than two classes in common.
    """
    from mien.data.label_mapping import map_to

    ours = {meaning(name) or name.casefold() for name in labels}
    theirs = {meaning(name) or name.casefold() for name in dataset.label_set.classes}
    if ours == theirs and len(labels) == len(dataset.label_set):
        return dataset, None
    mapped, mapping = map_to(dataset, find_label_set(labels) or LabelSet(CUSTOM, tuple(labels)))
    if not (mapped.split == split).any():
        return mapped, mapping
    by_class = dataset.counts().get(split, {})
    left_out = {name: by_class[name] for name in mapping.left_out if by_class.get(name)}
    return mapped, replace(mapping, left_out=left_out)
