"""Find the data of a run for its evaluation: from its path, with the tenth that was held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, MienError, ModelError
from mien.training.keras_start import prepare_keras
from mien.workflows.load_data import is_synthetic, load_data
from mien.workflows.options import DataOptions
from mien.workflows.run_reading import data_options_of, name_of, options_for, passed_in_python, require_path
from mien.workflows.trained_split import divide_as_trained

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.run_config import RunConfig
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.reporter import Reporter


@dataclass(frozen=True)
class DataRequest:
    """The data to evaluate a model on.

    Args:
        data: the data; by default those of the run.
        options: options for reading them; `label_set` is set.
        split: the split to evaluate. If the data have no PublicTest, it is the tenth of Training that the run held out.
    """

    data: Any
    options: DataOptions
    split: str


def find_data(model: LoadedModel, request: DataRequest, reporter: Reporter) -> Dataset:
    """Find the data to evaluate a model on.

    Raises:
        DataError: If the data do not exist, or have no such split.
        ModelError: If no data are given and there is no run that stores their path, or they have changed since.
    """
    from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST

    folder = model.folder or model.path.parent
    config = read_run_config(folder)
    if request.data is None and config is None:
        raise ModelError(
            f"{model.name}: no data to evaluate on, and the model is not in a run folder, which would remember "
            "its data. Give them with `data=PATH`, or `data=synthetic` for drawn faces."
        )
    dataset, divided = _read_and_divide(model, request, config, reporter)
    if divided is not None:
        unseen = " The split PrivateTest has the images that it has not seen."
        reporter.warning(
            f"Note: {model.name} was trained on these images, so they are divided as for its training."
            f"{unseen if (divided.split == PRIVATE_TEST).any() else ''}"
        )
        return divided
    if config is None:
        return dataset
    path = config.path if request.data is None else request.data
    if request.split == PUBLIC_TEST and not (dataset.split == PUBLIC_TEST).any():
        return _with_held_out(dataset, folder, config, str(path))
    if request.data is not None:
        return dataset
    if config.in_memory and (difference := _difference(dataset, folder, config, request.options)):
        raise ModelError(passed_in_python(config, folder, f"their source gives others ({difference})"))
    if difference := find_difference(dataset, folder, config):
        raise ModelError(
            f"{path} has changed since {folder} was trained on it ({difference}). To evaluate on it as it is now, name "
            f"it: `data={path}`"
        )
    return dataset


def find_training_data(folder: Path, data: Any, reporter: Reporter) -> Dataset:
    """Read the data that a run was trained on from where they are now, with its options and its validation split.

    Args:
        folder: the run folder.
        data: the data, as for `mien.train`.
        reporter: the reporter.

    Raises:
        DataError: If they cannot be read.
        ModelError: If they are not those of the training.
    """
    from mien.data.dataset import PUBLIC_TEST
    from mien.data.inspection import hold_out

    config = read_run_config(folder)
    if config is None:
        raise ModelError(f"{folder}: expected a run folder, found none.")
    dataset = load_data(data, options_for(data, config, DataOptions()), reporter)
    if difference := _difference(dataset, folder, config, DataOptions()):
        raise ModelError(
            f"Expected the data that {folder} was trained on, got others from {name_of(data)[-80:]} ({difference}). "
            "Pass the same data with `data`; evaluate on other data with mien.evaluate."
        )
    return dataset if (dataset.split == PUBLIC_TEST).any() else hold_out(dataset)


def is_run_data(model: LoadedModel, data: Any, dataset: Dataset) -> bool:
    """Return whether data are those of a model's run: by a checksum of the images if the run has one, else by the path.

    Args:
        model: the model, in a run folder.
        data: what the data set was read from; `None` for the data of the run.
        dataset: the data set, as `find_data` returns it.
    """
    folder = model.folder or model.path.parent
    config = read_run_config(folder)
    if data is None or config is None:
        return True
    if dataset.division:  # set by `find_data`, which compared the images
        return True
    try:
        difference = find_difference(dataset, folder, config)
    except MienError:  # a damaged checkpoint, or too few images for a training
        difference = None
    if difference is not None:
        return not difference
    return is_same_place(data, config.path)


def _read_and_divide(
    model: LoadedModel, request: DataRequest, config: RunConfig | None, reporter: Reporter
) -> tuple[Dataset, Dataset | None]:
    """Read the data; also return them divided as for the training, if they have no splits and were used for it.

    Raises:
        DataError: If they cannot be read, neither with the requested options nor with those of the training.
    """
    try:
        dataset = _read(request, model.folder or model.path.parent, config, reporter)
    except DataError:  # for example numbered folders, whose class names are in the model card
        divided = None
        if request.data is not None:
            divided = divide_as_trained(model, request.data, None, request.options)
        if divided is None:
            raise
        return divided, divided
    if request.data is None or dataset.divided:
        return dataset, None
    return dataset, divide_as_trained(model, request.data, dataset, request.options)


def _read(request: DataRequest, folder: Path, config: RunConfig | None, reporter: Reporter) -> Dataset:
    """Read the requested data, or else those of the run with the options of its training.

    Raises:
        DataError: If they do not exist or cannot be read.
    """
    if request.data is not None or config is None:
        options = request.options
        if not options.group and config is not None and is_same_place(request.data, config.path):
            options = replace(options, group=config.reading.get("group"))  # they were held out together
        return load_data(request.data, options, reporter)
    asked, path = request.options, config.path
    require_path(config, folder)
    options = data_options_of(config, asked)
    older = not config.reading and not config.in_memory
    if older or asked.votes:  # use the label set of the request
        options = replace(options, label_set=asked.label_set or config.label_set)
    try:
        return load_data(path, options, reporter)
    except MienError as error:
        if not Path(path).exists() and not is_synthetic(path):
            raise DataError(
                f"{folder} was trained on {path[-80:]}, which is not there as seen from this folder. Say where it is "
                "now with `data=PATH`."
            ) from error
        if config.in_memory:
            raise ModelError(
                passed_in_python(config, folder, f"reading their source again fails ({error})")
            ) from error
        raise


def is_same_place(data: Any, path: str) -> bool:
    """Return whether data are read from a path."""
    return isinstance(data, str | Path) and Path(data).resolve() == Path(path).resolve()


def read_run_config(folder: Path) -> RunConfig | None:
    """Return the arguments of the run in a folder; `None` if there is no run."""
    if not (folder / "recipe.json").is_file():
        return None
    prepare_keras()
    from mien.training.run_config import read_config

    try:
        return read_config(folder)
    except ModelError:  # a file from another program
        return None


def _with_held_out(dataset: Dataset, folder: Path, config: RunConfig, path: str) -> Dataset:
    """Return the data set with the tenth of Training that a run held out as its PublicTest.

    Raises:
        ModelError: If the data have changed, or this is unknown.
    """
    from mien.data.inspection import hold_out

    difference = find_difference(hold_out(dataset), folder, config)
    if difference is None:
        raise ModelError(
            f"{folder} was trained with another label set, or its checkpoint was removed, so the tenth of {path} that "
            "it held out cannot be found again. Evaluate on another split."
        )
    if difference:
        raise ModelError(
            f"{path} is not what {folder} was trained on ({difference}), so the tenth that it held out cannot be found "
            "again. Evaluate on another split, or on the data as they were."
        )
    return hold_out(dataset)


def _difference(dataset: Dataset, folder: Path, config: RunConfig, asked: DataOptions) -> str | None:
    """Describe how data read for a run differ from those of its training, unless another label set was asked for."""
    now, then = dataset.label_set.name, config.label_set
    if now != then and asked.label_set is None:
        return f"the label set {then} then, {now} now"
    return find_difference(dataset, folder, config)


def find_difference(dataset: Dataset, folder: Path, config: RunConfig) -> str | None:
    """Describe how a data set differs from that of a run; empty if it does not, `None` if this is unknown."""
    from mien.data.dataset import PUBLIC_TEST, TRAINING
    from mien.data.inspection import hold_out, without_copies
    from mien.training.resume import fingerprint
    from mien.training.run_files import has_state, read_run_state

    if not has_state(folder):
        return None
    known = read_run_state(folder).data
    if dataset.label_set.name != known.get("taxonomy") or not (dataset.split == TRAINING).any():
        return None
    if not (dataset.split == PUBLIC_TEST).any():
        dataset = hold_out(dataset)
    if config.recipe.drop_copies:
        dataset = without_copies(dataset)
    now = fingerprint(dataset.subset(TRAINING), dataset.subset(PUBLIC_TEST))
    for name in ("training", "validation"):
        if now[name] != known.get(name):
            return f"{known.get(name)} {name} images then, {now[name]} now"
    if not config.teachers and now["sha256"] != known.get("sha256"):
        return "other images or labels"
    return ""
