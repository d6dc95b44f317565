"""The test split of a training, found again in the same data by the division that the model card or run folder keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.workflows.load_data import load_data
from mien.workflows.reporter import SilentReporter

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.options import DataOptions

_CHOOSE_IMAGES = ("class_names", "merge", "group", "detect")
"""Parts of a division's record that tell which images and groups there are; `label_set` tells their order."""


def divide_as_trained(
    model: LoadedModel, data: Any, dataset: Dataset | None, options: DataOptions
) -> Dataset | None:
    """Divide data without splits as for the training of a model, if it was trained on them.

    Args:
        model: the model, whose card keeps the division.
        data: what the data set was read from.
        dataset: the data set, without splits; `None` if it can only be read as for the training.
        options: how it was read. What they leave out is read as for the training.

    Returns:
        The data set with the splits of the training; `None` if the model was trained on other data, or nothing is known.
    """
    from mien.data.division import divide_alike

    card = model.card
    if card is None or not card.division:
        return None
    own = {name: card.division[name] for name in ("label_set", *_CHOOSE_IMAGES) if card.division.get(name)}
    own = {name: value for name, value in own.items() if name == "label_set" or not getattr(options, name)}
    if own:
        try:
            dataset = load_data(data, replace(options, **own), SilentReporter())
        except (DataError, TypeError):  # other data, or a card that someone edited
            return None
    if dataset is None:
        return None
    return divide_alike(dataset, card.division, drop_copies=bool(card.recipe.get("drop_copies")))
