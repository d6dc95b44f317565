"""Load the data of a workflow: from a path, with progress, or from a data set or arrays in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.wording import counted
from mien.workflows.crop_faces import make_cropper

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.workflows.options import DataOptions
    from mien.workflows.reporter import Reporter

SYNTHETIC = "synthetic"

_LISTED = 20
"""Maximum number of unreadable images that are listed; further ones are only counted."""


def is_synthetic(data: Any) -> bool:
    """Return whether data are drawn faces: `synthetic`, `synthetic:N` or `synthetic:N:SEED`."""
    return isinstance(data, str) and data.partition(":")[0] == SYNTHETIC


def load_data(data: Any, options: DataOptions, reporter: Reporter) -> Dataset:
    """Load a data set, and report what could not be read as warnings.

    Args:
        data: a `mien.Dataset`, or an input of `mien.load`: a path, `synthetic:N`, arrays.
        options: options for reading it.
        reporter: the reporter.

    Raises:
        DataError: If the data cannot be read.
    """
    from mien.data import Dataset, load

    if isinstance(data, Dataset):
        unused = [name for name in ("class_names", "merge", "group", "detect") if getattr(options, name)]
        if unused:
            told = " and ".join(unused)
            raise DataError(
                f"A mien.Dataset has its classes, groups and images already, so {told} cannot change them. Leave {told} "
                "out, or give them to mien.load."
            )
        return data
    crop = make_cropper(data, options) if options.detect else None
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
            crop=crop,
            votes=options.votes,
            cache=options.cache,
            progress=advance,
        )
    _warn_of_omissions(dataset, reporter)
    return dataset


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


def with_votes(dataset: Dataset, path: str, recipe: str) -> Dataset:
    """Return the data set with the FER+ votes next to its table.

    Raises:
        DataError: If there are none.
    """
    from mien.data.ferplus import attach_votes
    from mien.data.loading import find_votes

    if is_synthetic(path):
        raise DataError(
            f"The recipe {recipe} learns the FER+ votes too, which drawn faces do not have. Leave that part out with "
            "`joint=0`."
        )
    place = Path(path)
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
