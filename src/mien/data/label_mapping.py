"""Map the classes of a data set to those of a model; images of other classes are left out and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.classes import parse_word
from mien.data.inspection import copied_elsewhere
from mien.errors import DataError
from mien.labels import LabelSet, meaning

if TYPE_CHECKING:
    from mien.data.dataset import Dataset


@dataclass(frozen=True)
class LabelMapping:
    """How the classes of data are mapped to those of a model.

    Args:
        classes: the class of the model for each class of the data; `None` if it has none.
        left_out: number of images left out, by class.
        unused: classes of the model that are not in the data; predicting them counts as an error.
        models: number of models; 2 if the classes are those of two models that are compared.
    """

    classes: dict[str, str | None]
    left_out: dict[str, int]
    unused: tuple[str, ...]
    models: int = 1

    @property
    def is_trivial(self) -> bool:
        """Whether both have the same classes."""
        return not self.left_out and not self.unused and len(set(self.classes.values())) == len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping as a JSON-serializable dict."""
        return {"classes": self.classes, "left_out": self.left_out, "unused": list(self.unused)}

    def sentences(self) -> list[str]:
        """Return sentences about the mapping, for the user."""
        told = []
        ours, lacking = ("the model", "the model does not have")
        if self.models > 1:
            ours, lacking = "the models", "not both models have"
        renamed = [f"{old} as {new}" for old, new in self.classes.items() if new is not None and old != new]
        if renamed:
            told.append(f"Classes of the data are read as those of {ours}: {', '.join(renamed)}.")
        if self.left_out:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.left_out.items())
            told.append(f"Left out are the images of classes that {lacking}: {counts}.")
        if self.unused:
            told.append(
                f"The data have no images of {', '.join(self.unused)}; predictions of these classes count as errors."
            )
        return told


def map_to(
    dataset: Dataset, label_set: LabelSet, *, shared: int | None = None
) -> tuple[Dataset, LabelMapping]:
    """Map a data set to the classes of another label set, by name and meaning.

    Args:
        dataset: the data.
        label_set: the target label set.
        shared: if two models are compared, how many of its classes, the first ones, both of them have; images of the
            others are left out.

    Returns:
        The images of classes that have a counterpart (and those without a label), and the mapping.

    Raises:
        DataError: If fewer than two classes have a counterpart.
    """
    usable = len(label_set) if shared is None else shared
    places = [find_class(name, label_set) for name in dataset.label_set.classes]
    places = [place if place is not None and place < usable else None for place in places]
    counts = np.bincount(dataset.labels[dataset.labels >= 0], minlength=len(places))
    found_places = {place for place in places if place is not None}
    if len(found_places) < 2:
        whose = "the model's classes" if shared is None else "the classes that both models have"
        names = ", ".join(label_set.classes[: min(usable, 10)])
        raise DataError(
            f"{dataset.source}: expected data with two or more of {whose} "
            f"({names}), found {', '.join(dataset.label_set.classes[:10])}. Name the "
            "classes as the model does, or merge them into its classes with `merge`."
        )
    matrix = np.zeros((len(places), len(label_set)), np.float32)
    for old, place in enumerate(places):
        if place is not None:
            matrix[old, place] = 1
    targets = dataset.targets @ matrix
    sums = targets.sum(axis=1, keepdims=True)
    lost = np.isin(dataset.labels, [old for old, place in enumerate(places) if place is None])
    lost |= (sums[:, 0] == 0) & (dataset.targets.sum(axis=1) > 0)
    targets = np.divide(targets, sums, out=np.zeros_like(targets), where=sums > 0)
    mapped = replace(dataset, targets=targets, label_set=label_set)
    found = dict(zip(dataset.label_set.classes, places, strict=True))
    mapping = LabelMapping(
        {name: None if place is None else label_set.classes[place] for name, place in found.items()},
        {name: int(n) for (name, place), n in zip(found.items(), counts, strict=True) if place is None and n},
        tuple(name for i, name in enumerate(label_set.classes) if i not in found_places),
        models=1 if shared is None else 2,
    )
    if not lost.any():
        return mapped, mapping
    copied = copied_elsewhere(dataset) if dataset.copied is None else dataset.copied
    return replace(mapped, copied=copied).select(~lost), mapping


def find_class(name: str, label_set: LabelSet) -> int | None:
    """Return the index of the class with the same name or meaning in a label set, or `None`."""
    place = parse_word(name, label_set)
    if place is not None:
        return place
    wanted = meaning(name)
    meanings = [meaning(other) for other in label_set.classes]
    return meanings.index(wanted) if wanted is not None and wanted in meanings else None
