"""The inputs of a comparison: two models with their options, and the same images for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, ModelError
from mien.workflows.evaluation_data import open_and_read
from mien.workflows.load_model import open_model
from mien.workflows.loaded_model import DescribedModelError
from mien.workflows.options import ModelOptions
from mien.workflows.reporter import Reporter, SilentReporter

if TYPE_CHECKING:
    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.workflows.evaluate_model import EvaluateOptions


@dataclass(frozen=True)
class Side:
    """One of two models that are compared.

    Args:
        model: the model, as for `mien.evaluate`.
        data: the data to evaluate it on; `None` for the data of its run.
        options: how it is opened and evaluated.
        labels: its class names.
        card: its model card, if it has one.
        dataset: the data, as they are read for it; `None` if they are read when it is evaluated.
    """

    model: Any
    data: Any
    options: EvaluateOptions
    labels: tuple[str, ...]
    card: ModelCard | None
    dataset: Dataset | None


def open_sides(
    first: Any, second: Any, data: Any, options: EvaluateOptions, reporter: Reporter
) -> tuple[Side, Side]:
    """Open two models and read the images on which both are evaluated.

    The class names and the pixel range in the options are those of the models without a model card.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If a model cannot be opened, there are no data, or the data are read with different label sets.
    """
    each = _opening_options((first, second), options)
    given = [data, data]
    if data is None:
        given[1], each = _data_of_run(first, each)
    whole = [replace(one, split=None) for one in each]  # without the tenth that a run held out
    opened = [
        open_and_read(model, source, one, reporter)
        for model, source, one in zip((first, second), given, whole, strict=True)
    ]
    sides = [
        Side(model, source, one, loaded.labels, loaded.card, dataset)
        for model, source, one, (loaded, dataset) in zip((first, second), given, each, opened, strict=True)
    ]
    one, other = _with_same_images(sides, reporter)
    if one.dataset and other.dataset and one.dataset.label_set != other.dataset.label_set:
        raise ModelError(
            "Expected two models that are evaluated in the same label set, got "
            f"{one.dataset.label_set.name} and {other.dataset.label_set.name}. {_remedy(one.card, other.card)}"
        )
    return one, other


def _opening_options(models: tuple[Any, Any], options: EvaluateOptions) -> list[EvaluateOptions]:
    """Return the options for each model: only a model without a model card is described by class names and pixel range.

    Raises:
        ModelError: If both models have a model card, but a description is given.
    """
    plain = ModelOptions(options.model.label_set)
    if options.model == plain:
        return [options, options]
    found, refused = [], []
    for model in models:
        try:
            open_model(model, options.model, require_names=True)
        except DescribedModelError as error:
            refused.append(error)
            found.append(replace(options, model=plain))
        else:
            found.append(options)
    if len(refused) == len(models):
        raise refused[0]
    return found


def _with_same_images(sides: list[Side], reporter: Reporter) -> tuple[Side, Side]:
    """Return both sides with data sets of the same images.

    If one of the models was trained on the data, its splits are used for both; if both were, with different splits,
    those of the first are used, with a warning. A data set is `None` if the split is one that a run held out.
    """
    import numpy as np

    from mien.evaluation.split_names import find_split

    found = [side.dataset for side in sides if side.dataset is not None]
    if any(dataset.division for dataset in found):
        found = [
            dataset if dataset.division else _as_trained(side) or dataset
            for side, dataset in zip(sides, found, strict=True)
        ]
    first, second = found
    divided = [dataset for dataset in found if dataset.division]
    alike = np.array_equal(first.images, second.images) and np.array_equal(first.split, second.split)
    if divided and not alike:
        if len(divided) > 1:
            reporter.warning(
                "Note: both models were trained on these images, with different splits. They are evaluated on the test "
                "split of the first; the second was trained on some of it, so its scores may be too high."
            )
        return replace(sides[0], dataset=divided[0]), replace(sides[1], dataset=divided[0])
    wanted = sides[0].options.split
    split = None if wanted is None else find_split(wanted)
    kept = [dataset if split is None or (dataset.split == split).any() else None for dataset in found]
    return replace(sides[0], dataset=kept[0]), replace(sides[1], dataset=kept[1])


def _as_trained(side: Side) -> Dataset | None:
    """Return the data as read and divided for a model's training, if its reading options differ; else `None`."""
    options = side.options
    plain = replace(options.data, class_names=None, merge=None, group=None, detect=None)
    if plain == options.data:
        return None
    try:
        _, dataset = open_and_read(
            side.model, side.data, replace(options, data=plain, split=None), SilentReporter()
        )
    except DataError:
        return None
    return dataset if dataset.division else None


def _data_of_run(first: Any, each: list[EvaluateOptions]) -> tuple[str, list[EvaluateOptions]]:
    """Return the data that the first model was trained on and the options for reading them, but not for dividing them.

    The second model may have been trained on the same data with another division, which its model card contains.
    """
    from mien.workflows.run_data import read_run_config
    from mien.workflows.run_reading import data_options_of, require_path

    loaded = open_model(first, each[0].model)
    config = read_run_config(loaded.folder or loaded.path.parent)
    if config is None:
        raise ModelError(
            f"{loaded.name}: no data to compare on, and the model is not in a run folder, which would "
            "remember its data. Give them with `data=PATH`."
        )
    require_path(config, loaded.folder or loaded.path.parent)
    reading = replace(data_options_of(config, each[0].data), shares=None, split_seed=None)
    return config.path, [replace(options, data=reading) for options in each]


def _remedy(first: ModelCard | None, second: ModelCard | None) -> str:
    """Return what to do if the data of two models are read with different label sets."""
    names = first.label_sets.items() if first and second else ()
    both = [name for name, classes in names if second and second.label_sets.get(name) == classes]
    if both:
        return f"Give a label set that both know: {' or '.join(f'`label_set={name}`' for name in both)}."
    return "Give a label set that the data have with `label_set`, or evaluate each by itself."
