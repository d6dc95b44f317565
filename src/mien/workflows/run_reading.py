"""How the data of a run are read: at its start, when it is resumed, and when it is evaluated.

`recipe.json` stores the path of the data and the options for reading them. Data that were passed in Python, as a
`mien.Dataset` or arrays, may have no path; then they must be passed again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data.reading_options import SHARES, parse_shares
from mien.errors import ModelError
from mien.labels import LABEL_SETS, LabelSet, get_label_set
from mien.training.run_config import IN_MEMORY
from mien.workflows.load_data import is_dataset, is_synthetic
from mien.workflows.options import DataOptions

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.run_config import RunConfig


def name_of(data: Any) -> str:
    """Return the name of the data that `recipe.json` stores: their path, if they have one."""
    if isinstance(data, str | Path):
        return str(data)
    if not is_dataset(data):
        return "memory"
    from mien.data.synthetic.drawn_faces import path_of_source

    return path_of_source(data.source) or str(data.source)


def reading_to_store(data: Any, given: DataOptions) -> dict[str, Any]:
    """Return the options that `recipe.json` stores for a new run, with which its path gives the same data again.

    Args:
        data: the data, as for `mien.train`.
        given: the options of the training.
    """
    division: dict[str, Any] = {
        "shares": parse_shares(given.shares or SHARES),
        "split_seed": given.split_seed or 0,
    }
    if not is_dataset(data):
        return replace(given, **division).kept()
    dataset: Dataset = data
    if dataset.divided:
        division = dict(dataset.division or {})
    wanted = dataset.label_set if given.label_set is None else get_label_set(given.label_set)
    known = LABEL_SETS.get(wanted.name) == wanted
    return DataOptions(label_set=wanted.name if known else None, **division).kept()


def options_for(data: Any, config: RunConfig, given: DataOptions) -> DataOptions:
    """Return the options for reading the data of a training; a data set needs only those for its division.

    Args:
        data: the data; `None` for those of the run.
        config: the arguments of the run.
        given: the options of this training.
    """
    if not is_dataset(data):
        return data_options_of(config, given)
    if data.divided:
        return given
    stored = config.reading  # without shares in runs of older versions, which held a tenth out
    seed = stored.get("split_seed") if given.split_seed is None else given.split_seed
    return replace(given, shares=given.shares or stored.get("shares"), split_seed=seed)


def data_options_of(config: RunConfig, given: DataOptions | None = None) -> DataOptions:
    """Return the options for reading the data of a run.

    Args:
        config: its arguments.
        given: options that replace those of the run, and further ones: a folder for crops, no cache.
    """
    given = given or DataOptions()
    stored = dict(config.reading)
    label_set = given.label_set or stored.pop("label_set", None if stored else _label_set_of(config))
    stored.pop("label_set", None)
    class_names = given.class_names or stored.pop("class_names", config.class_names)
    stored.pop("class_names", None)
    for name in ("merge", "group", "shares", "split_seed", "detect"):
        if (value := getattr(given, name)) is not None:
            stored[name] = value
    return DataOptions(
        label_set,
        class_names,
        given.votes or config.votes,
        given.cache,
        keep_crops=given.keep_crops,
        **stored,
    )


def _label_set_of(config: RunConfig) -> str | LabelSet | None:
    """Return the label set of a run that stores no reading options: of older versions, and of data from Python."""
    return None if config.in_memory and config.label_set not in LABEL_SETS else config.label_set


def require_path(config: RunConfig, folder: Path) -> None:
    """Check that the data of a run can be read again, unless they are on a path that may have moved.

    Raises:
        ModelError: If they were passed in Python and have no path.
    """
    path = config.path
    readable = is_synthetic(path) or (path not in IN_MEMORY and Path(path).exists())
    if config.in_memory and not readable:
        raise ModelError(passed_in_python(config, folder))


def passed_in_python(config: RunConfig, folder: Path, problem: str = "") -> str:
    """Return the message that the data of a run must be passed again.

    Args:
        config: the arguments of the run.
        folder: the run folder.
        problem: why its path does not give them, as a clause.
    """
    named = "" if config.path in IN_MEMORY else f" ({config.path[-80:]})"
    why = f", and {problem}" if problem else ""
    return f"{folder} was trained on data from Python{named}{why}. Pass them again with `data`: in Python, or as a file."
