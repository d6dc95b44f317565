"""Open the model and read the data of an evaluation, and choose the split."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.labels import LabelSet
from mien.wording import counted
from mien.workflows.evaluation_classes import may_have_other_classes, own_label_set, reading_label_set
from mien.workflows.load_model import open_model
from mien.workflows.run_data import DataRequest, find_data

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.workflows.evaluate_model import EvaluateOptions
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.reporter import Reporter


def open_and_read(
    model: Any, data: Any, options: EvaluateOptions, reporter: Reporter
) -> tuple[LoadedModel, Dataset]:
    """Open a model, and read the data to evaluate it on, divided as for its training if it was trained on them.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If the model cannot be opened.
    """
    from mien.data.dataset import PRIVATE_TEST
    from mien.evaluation.split_names import find_split

    label_set = options.data.label_set
    wanted = label_set.name if isinstance(label_set, LabelSet) else label_set
    opening = replace(options.model, label_set=wanted or own_label_set(data, options.data.class_names))
    loaded = open_model(model, opening, require_names=True)
    if loaded.note:
        reporter.warning(loaded.note)
    if options.dataset is not None:
        return loaded, options.dataset
    split = PRIVATE_TEST if options.split is None else find_split(options.split)
    reading = replace(options.data, label_set=reading_label_set(label_set, loaded, data), keep_crops=None)
    return loaded, _find_data(loaded, DataRequest(data, reading, split), reporter, label_set)


def _find_data(
    loaded: LoadedModel, request: DataRequest, reporter: Reporter, given: str | LabelSet | None
) -> Dataset:
    """Read the data in the label set of the model, or, if they have other classes, in their own.

    Args:
        loaded: the model.
        request: the data; its label set is that of the model if the model has a known one.
        reporter: the reporter.
        given: the label set that the user gave; the data are then read in no other.
    """
    try:
        return find_data(loaded, request, reporter)
    except DataError:
        own = replace(request, options=replace(request.options, label_set=None))
        if given is not None or request.options == own.options or not may_have_other_classes(request):
            raise
    return find_data(loaded, own, reporter)


def default_split(dataset: Dataset, loaded: LoadedModel, reporter: Reporter) -> str:
    """Return the split to evaluate if none is given: PrivateTest, or its substitute in these data."""
    from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING

    if not dataset.divided:
        hint = " Leave `data` out to evaluate the test split of its training." if loaded.folder else ""
        reporter.warning(
            f"Note: the data have no splits, so all {counted(len(dataset), 'image')} are evaluated. If the model was "
            f"trained on some of them, the scores are too high.{hint}"
        )
        return TRAINING
    if (dataset.split == PRIVATE_TEST).any():
        return PRIVATE_TEST
    if dataset.sources is not None:  # a folder of sheets: faces for selection
        return PUBLIC_TEST
    if dataset.division:
        reporter.warning(
            "Note: the training set no images aside for PrivateTest, so PublicTest is evaluated: the images that "
            "selected its best epoch, so the scores may be too high."
        )
        return PUBLIC_TEST
    return PRIVATE_TEST
