"""Read the images that calibrate the quantization of an export as they were read for the training of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.workflows.load_data import is_dataset, is_synthetic, load_data
from mien.workflows.run_data import is_same_place, read_run_config
from mien.workflows.run_reading import data_options_of
from mien.workflows.trained_split import divide_as_trained

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.run_config import RunConfig
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.options import DataOptions
    from mien.workflows.reporter import Reporter


def read_for_calibration(loaded: LoadedModel, data: Any, reading: DataOptions, reporter: Reporter) -> Dataset:
    """Read images for calibration.

    If the model was trained on them, the options that are not given and the splits are those of the training, so that
    only training images are used, cropped in the same way.

    Args:
        loaded: the model that is exported.
        data: the data, as for `mien.evaluate`.
        reading: options for reading them.
        reporter: the reporter.

    Raises:
        DataError: If the data cannot be read.
    """
    if is_synthetic(data) or is_dataset(data):
        return load_data(data, reading, reporter)
    config = None if loaded.folder is None else read_run_config(loaded.folder)
    if config is not None and is_same_place(data, config.path):
        return load_data(data, data_options_of(config, reading), reporter)
    if (trained := divide_as_trained(loaded, data, None, reading)) is not None:
        return trained
    if _detects(loaded, config) and not reading.detect:
        reporter.warning(
            "Note: the model was trained on faces that were detected in the images, with `detect`. If these images are "
            "whole photos too, give it here as well."
        )
    return load_data(data, reading, reporter)


def _detects(loaded: LoadedModel, config: RunConfig | None) -> bool:
    """Return whether a model was trained on detected faces."""
    division = loaded.card.division if loaded.card else {}
    return bool(division.get("detect") or (config and config.reading.get("detect")))
