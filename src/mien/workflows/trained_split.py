"""Recover the splits of a training in the same data, from the division stored in the model card or run folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.workflows.load_data import is_dataset, load_data
from mien.workflows.reporter import SilentReporter

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.options import DataOptions

_CHOOSE_IMAGES = ("class_names", "merge", "group", "detect")
"""Fields of a stored division that identify the images and groups; `label_set` gives the order of the classes."""


def divide_as_trained(
    model: LoadedModel, data: Any, dataset: Dataset | None, options: DataOptions
) -> Dataset | None:
    """Divide data without splits as for the training of a model, if it was trained on them.

    Args:
        model: the model, whose card contains the division.
        data: the source of the data set.
        dataset: the data set, without splits; `None` if it can only be read with the options of the training.
        options: the options for reading it; unset ones are those of the training.

    Returns:
        The data set with the splits of the training; `None` if the model was trained on other data, or this is unknown.
    """
    from mien.data.division import divide_alike

    card = model.card
    if card is None or not card.division:
        return None
    own = {name: card.division[name] for name in ("label_set", *_CHOOSE_IMAGES) if card.division.get(name)}
    own = {name: value for name, value in own.items() if name == "label_set" or not getattr(options, name)}
    if own and not is_dataset(data):
        try:
            dataset = load_data(data, replace(options, **own), SilentReporter())
        except (DataError, TypeError):  # other data, or an edited card
            return None
    if dataset is None:
        return None
    return divide_alike(dataset, card.division, drop_copies=bool(card.recipe.get("drop_copies")))
