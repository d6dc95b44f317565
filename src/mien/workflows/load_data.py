"""Data for a workflow: read from a path with progress, or given in Python as a data set or arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.labels import FER2013
from mien.workflows.crop_faces import make_cropper

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.labels import LabelSet
    from mien.workflows.options import DataOptions
    from mien.workflows.reporter import Reporter

SYNTHETIC = "synthetic"

_LISTED = 20
"""Unreadable images that are named; any more are only counted."""


def is_synthetic(data: Any) -> bool:
    """Whether data are drawn faces by their name, `synthetic`, `synthetic:N` or `synthetic:N:SEED`."""
    return isinstance(data, str) and data.partition(":")[0] == SYNTHETIC


def load_data(data: Any, options: DataOptions, reporter: Reporter) -> Dataset:
    """A data set, with what could not be read reported as warnings.

    Args:
        data: a path as `mien.load` takes it, a `mien.Dataset`, or arrays `(images, labels)` or
            `(images, labels, splits)`, as `mien.workflows.load_data.from_arrays` takes them.
        options: how to read it.
        reporter: what to report to.

    Raises:
        DataError: the data cannot be read.
    """
    from mien.data import Dataset, load

    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple | list) and not _are_words(data, options):
        return from_arrays(*data, label_set=options.label_set or FER2013.name)
    crop = make_cropper(data, options) if options.detect else None
    with reporter.progress(f"Reading {data if isinstance(data, str | Path) else 'the data'}") as advance:
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


def _are_words(data: Any, options: DataOptions) -> bool:
    """Whether a pair of arrays has labels of its own: words, or numbers with class names."""
    import numpy as np

    if len(data) != 2:
        return False
    labels = np.asarray(data[1])
    named = options.class_names is not None or bool(options.merge)
    return named or (options.label_set is None and labels.ndim == 1 and labels.dtype.kind in "UO")


def from_arrays(
    images: Any, labels: Any, splits: Any = None, *, label_set: str | LabelSet = FER2013.name
) -> Dataset:
    """A data set from arrays.

    Args:
        images: gray uint8 (n, 48, 48) or (n, 48, 48, 1); floats from 0 to 1 or from 0 to 255 are converted.
        labels: class indices (n,), class names (n,), or distributions (n, classes).
        splits: the split of each image (n,), in any usual spelling; `Training` for all when not given.
        label_set: name of the label set.

    Raises:
        DataError: the arrays do not fit each other or the label set.
    """
    import numpy as np

    from mien.data.dataset import TRAINING, Dataset
    from mien.evaluation.split_names import find_split
    from mien.labels import get_taxonomy

    taxonomy = get_taxonomy(label_set)
    pixels = _pixels(np.asarray(images))
    given = np.asarray(labels)
    if given.ndim == 1 and given.dtype.kind in "UO":
        given = np.array([taxonomy.index(str(label)) for label in given])
    if given.ndim == 1 and given.dtype.kind in "iu":
        if given.size and not 0 <= given.min() <= given.max() < len(taxonomy):
            raise DataError(
                f"Expected class indices from 0 to {len(taxonomy) - 1}, got {given.min()} to {given.max()}."
            )
        given = np.eye(len(taxonomy), dtype=np.float32)[given]
    if given.ndim != 2:
        raise DataError(
            f"Expected labels as class indices or names (n,), or distributions (n, {len(taxonomy)}), got an array of "
            f"shape {given.shape}."
        )
    names = [TRAINING] * len(pixels) if splits is None else [find_split(str(name)) for name in splits]
    return Dataset(pixels, given.astype(np.float32), np.array(names, dtype=np.str_), taxonomy)


def _pixels(images: Any) -> Any:
    """Gray uint8 (n, 48, 48) of images in another type or with a channel axis."""
    import numpy as np

    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != 3 or images.shape[1:] != (48, 48):
        raise DataError(f"Expected gray images of shape (n, 48, 48) or (n, 48, 48, 1), got {images.shape}.")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "fiu" or not np.isfinite(images).all():
        raise DataError(f"Expected images as finite numbers, got an array of {images.dtype}.")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if low < 0 or high > 255:
        raise DataError(f"Expected pixel values from 0 to 255 (or 0 to 1), got {low:g} to {high:g}.")
    scale = 255 if images.dtype.kind == "f" and high <= 1 else 1
    return np.rint(images * scale).astype(np.uint8)


def _warn_of_omissions(dataset: Dataset, reporter: Reporter) -> None:
    """Report what a source holds besides the images that were read."""
    left_out = dataset.left_out
    if unreadable := left_out.unreadable:
        more = [f"  … and {len(unreadable) - _LISTED:,} more"] if len(unreadable) > _LISTED else []
        head = f"{len(unreadable):,} of {len(unreadable) + len(dataset):,} images cannot be read and are left out:"
        reporter.warning("\n".join([head, *(f"  {reason}" for reason in unreadable[:_LISTED]), *more]))
    for note in left_out.notes():
        reporter.warning(f"Note: {note}")


def with_votes(dataset: Dataset, path: str, recipe: str) -> Dataset:
    """The data set with the FER+ votes that lie beside its table.

    Raises:
        DataError: there are none.
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
    """The data set, with a tenth of Training held out as PublicTest where it has no such split."""
    from mien.data.dataset import PUBLIC_TEST
    from mien.data.inspection import hold_out

    if (dataset.split == PUBLIC_TEST).any():
        return dataset
    reporter.message(
        "There is no validation split; a tenth of the training images is held out as one, with all copies of an image "
        "on one side."
    )
    return hold_out(dataset)


def with_source(dataset: Dataset, source: str) -> Dataset:
    """The data set under another name."""
    return replace(dataset, source=source)
