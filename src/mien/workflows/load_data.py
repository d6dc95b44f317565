"""Load the data of a workflow: from a path, with progress, or from a data set or arrays in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.wording import counted
from mien.workflows.load_dataset import load

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.run_config import RunConfig
    from mien.workflows.options import DataOptions
    from mien.workflows.reporter import Reporter

SYNTHETIC = "synthetic"

_LISTED = 20
"""Maximum number of unreadable images that are listed; further ones are only counted."""


def is_dataset(data: Any) -> bool:
    """Return whether data are a `mien.Dataset`, without importing it for data on a path."""
    if isinstance(data, str | Path):
        return False
    from mien.data.dataset import Dataset

    return isinstance(data, Dataset)


def is_synthetic(data: Any) -> bool:
    """Return whether data are drawn faces: `synthetic`, `synthetic:N` or `synthetic:N:SEED`."""
    return isinstance(data, str) and data.partition(":")[0] == SYNTHETIC


def load_data(data: Any, options: DataOptions, reporter: Reporter) -> Dataset:
    """Load a data set, and report what could not be read as warnings.

    Args:
        data: a `mien.Dataset`, or an input of `mien.load`: a path, `synthetic:N`, arrays.
        options: options for reading it; a `mien.Dataset` is only divided, or changed to FER+'s labels.
        reporter: the reporter.

    Raises:
        DataError: If the data cannot be read, or an option does not apply to a `mien.Dataset`.
    """
    if is_dataset(data):
        return apply_options(data, options)
    what = data if isinstance(data, str | Path) else "the data"
    with reporter.progress(f"Reading {what}") as advance:
        dataset = load(
            data,
            options.label_set,
            class_names=options.class_names,
            merge=options.merge,
            group=options.group,
            shares=options.shares,
            split_seed=options.split_seed or 0,
            detect=bool(options.detect),
            keep_crops=options.keep_crops,
            votes=options.votes,
            cache=options.cache,
            progress=advance,
        )
    _warn_of_omissions(dataset, reporter)
    return dataset


def apply_options(dataset: Dataset, options: DataOptions) -> Dataset:
    """Apply options for reading data to a data set that is already read.

    Args:
        dataset: the data set.
        options: `shares` and `split_seed` divide a data set without splits; `label_set` chooses FER+'s labels if it has
            the votes. `cache` has no effect.

    Raises:
        DataError: If another option is given, or the data set has other classes, or splits already.
    """
    from mien.data.division import divide
    from mien.data.ferplus import as_ferplus
    from mien.data.reading_options import SHARES, parse_shares
    from mien.labels import FERPLUS, get_label_set

    _require_applicable(dataset, options)
    wanted = dataset.label_set if options.label_set is None else get_label_set(options.label_set)
    if wanted != dataset.label_set:
        if wanted != FERPLUS or dataset.votes is None:
            raise DataError(
                f"Expected data with the label set {wanted.name}, got a mien.Dataset with {dataset.label_set.name}. "
                f"Leave `label_set` out, or pass a data set from mien.load(PATH, label_set={wanted.name!r})."
            )
        dataset = as_ferplus(dataset)
    if options.shares is None and options.split_seed is None:
        return dataset
    return divide(dataset, parse_shares(options.shares or SHARES), options.split_seed or 0)


def _require_applicable(dataset: Dataset, options: DataOptions) -> None:
    """Refuse options that had to be given when a data set was read.

    Raises:
        DataError: If one of them is given.
    """
    reading = {name: getattr(options, name) for name in ("class_names", "merge", "group", "votes")}
    detection = {name: getattr(options, name) for name in ("detect", "keep_crops")}
    late = [name for name, value in (reading | detection).items() if value is not None and value is not False]
    if late:
        load = f", or a data set from mien.load(PATH, {late[0]}=...)" if late[0] in reading else ""
        raise DataError(
            f"Expected data to read with {', '.join(f'`{name}`' for name in late)}, got a mien.Dataset, which is read "
            f"already. Pass the path of the data instead{load}."
        )
    if dataset.divided:
        for name in ("shares", "split_seed"):
            if getattr(options, name) is not None:
                raise DataError(
                    f"Expected data without splits to divide with `{name}`, got a mien.Dataset that has splits. Leave "
                    "it out, or pass a data set from mien.load(PATH)."
                )


def _warn_of_omissions(dataset: Dataset, reporter: Reporter) -> None:
    """Report what a source contains besides the images that were read."""
    left_out = dataset.left_out
    if unreadable := left_out.unreadable:
        more = [f"  … and {len(unreadable) - _LISTED:,} more"] if len(unreadable) > _LISTED else []
        every = counted(len(unreadable) + len(dataset), "image")
        verb = "is" if len(unreadable) == 1 else "are"
        head = f"{len(unreadable):,} of {every} cannot be read and {verb} left out:"
        reporter.warning("\n".join([head, *(f"  {reason}" for reason in unreadable[:_LISTED]), *more]))
    for note in left_out.notes():
        reporter.warning(f"Note: {note}")


def warn_of_unused_division(dataset: Dataset, options: DataOptions, reporter: Reporter) -> None:
    """Report options for a division that are not used, because the data have splits of their own."""
    names = [f"`{name}`" for name in ("shares", "split_seed") if getattr(options, name) is not None]
    if names and dataset.division is None:
        verb = "is" if len(names) == 1 else "are"
        reporter.warning(
            f"Note: {dataset.source[-80:]} has splits of its own, so {' and '.join(names)} {verb} not used."
        )


def with_votes(dataset: Dataset, config: RunConfig) -> Dataset:
    """Return the data set with the FER+ votes next to its table, if the recipe learns them and it has none yet.

    Raises:
        DataError: If they are needed, and there are none.
    """
    from mien.data.ferplus import attach_votes
    from mien.data.loading import find_votes

    if not config.recipe.joint or dataset.votes is not None:
        return dataset
    path, recipe = config.path, config.recipe.name
    if is_synthetic(path):
        raise DataError(
            f"The recipe {recipe} learns the FER+ votes too, which drawn faces do not have. Leave that part out with "
            "`joint=0`."
        )
    place = Path(path)
    if not place.exists():
        raise DataError(
            f"The recipe {recipe} learns the FER+ votes too, which these data do not have. Pass a data set "
            "from mien.load(PATH, votes=PATH), or leave that part out with `joint=0`."
        )
    try:
        votes = find_votes(place if place.is_dir() else place.parent)
    except DataError as error:
        raise DataError(
            f"The recipe {recipe} learns the FER+ votes too. {error} Or leave that part out with `joint=0`."
        ) from error
    return attach_votes(dataset, votes)


def with_validation(dataset: Dataset, reporter: Reporter) -> Dataset:
    """Return the data set; without PublicTest, a tenth of Training is held out as PublicTest."""
    from mien.data.dataset import PUBLIC_TEST
    from mien.data.inspection import hold_out

    if (dataset.split == PUBLIC_TEST).any():
        return dataset
    reporter.message(
        "There is no validation split; a tenth of the training images is held out as one, with all copies of an image "
        f"{'' if dataset.groups is None else 'and all images of a group '}on one side."
    )
    return hold_out(dataset)
