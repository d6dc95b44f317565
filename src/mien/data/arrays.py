"""Read images and labels from arrays in memory or from `.npz` files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.array_names import find_pairs
from mien.data.cells import is_missing, labels_of, pixels_of, word_of
from mien.data.records import Records
from mien.data.soft_labels import is_soft, read_soft_labels
from mien.errors import DataError
from mien.labels import FER2013, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

    Progress = Callable[[int, int], object]

_MEMORY = "memory"
"""Name of the source of data that are not read from a file."""


def is_npz(path: Path) -> bool:
    """Return whether a file is an archive of NumPy arrays."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def find_npz(folder: Path) -> Path | None:
    """Return the `.npz` file in a folder; `None` if there is none.

    Raises:
        DataError: If there are several.
    """
    found = [path for path in sorted(folder.glob("*.npz")) if is_npz(path)]
    if len(found) > 1:
        named = ", ".join(path.name for path in found[:5])
        raise DataError(f"{folder}: expected one .npz file, found {named}. Give the path of one.")
    return found[0] if found else None


def read_npz(path: Path, options: ReadOptions, progress: Progress | None = None) -> Dataset:
    """Read an `.npz` file of images and labels.

    Args:
        path: the file. Images are (n, h, w), (n, h, w, 1) or (n, h, w, 3), uint8, or floats from 0 to 1; labels are
            words, numbers or one-hot rows. The arrays `class_names`, `split` and that of `options.group` are optional.
        options: classes and groups.
        progress: called with the number of images read and the total.

    Raises:
        DataError: If the file cannot be read, or contains other arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = "it holds Python objects" if "pickle" in str(error).lower() else str(error)[:80]
        raise DataError(
            f"{path}: expected an .npz file of plain arrays, got one that cannot be read ({reason}). Save it with "
            "numpy.savez(FILE, images=..., labels=...)."
        ) from error
    return read_arrays_of(arrays, options, str(path), progress)


def read_memory(data: Any, options: ReadOptions, progress: Progress | None = None) -> Dataset | None:
    """Return the data set in a data frame, a dict of arrays or `(images, labels, splits)`; `None` for other objects.

    Raises:
        DataError: If columns or arrays are missing or do not match.
    """
    if isinstance(data, Mapping):
        return read_arrays_of(
            {word_of(key) or "": _to_array(value) for key, value in data.items()}, options, _MEMORY, progress
        )
    if isinstance(data, tuple | list) and len(data) in {2, 3} and not isinstance(data[0], str):
        return _read_tuple(data, options, progress)
    from mien.data.data_frame_rows import is_frame, read_frame

    return read_frame(data, options, progress) if is_frame(data) else None


def _read_tuple(data: Sequence[Any], options: ReadOptions, progress: Progress | None) -> Dataset:
    """Read images, labels and optional splits; numbers are indices into the label set, by default FER2013's.

    Labels may be distributions, float (n, classes), with a column for each class name.
    """
    given = _to_array(data[1])
    arrays: dict[str, Any] = {"images": data[0], "labels": given}
    if len(data) == 3 and data[2] is not None:
        arrays["splits"] = _to_array(data[2])
    if isinstance(given, np.ndarray) and is_soft(given):
        numbered = options.class_names is None
        soft = read_soft_labels(given, options, _MEMORY)
        arrays["labels"] = soft.words
        options = replace(options, label_set=soft.label_set, class_names=None, merge=())
        dataset = soft.apply(read_arrays_of(arrays, options, _MEMORY, progress))
        return replace(dataset, fer2013_labels=numbered and soft.label_set == FER2013)
    if options.class_names is None and isinstance(given, np.ndarray) and given.dtype.kind in "uif":
        label_set = options.label_set or FER2013
        arrays["class_names"] = np.array(label_set.classes)
        options = replace(options, label_set=label_set)
        dataset = read_arrays_of(arrays, options, _MEMORY, progress)
        return replace(dataset, fer2013_labels=label_set == FER2013)
    return read_arrays_of(arrays, options, _MEMORY, progress)


def read_arrays_of(
    arrays: Mapping[str, Any], options: ReadOptions, source: str, progress: Progress | None = None
) -> Dataset:
    """Return the data set that named arrays contain.

    Raises:
        DataError: If they do not contain a data set.
    """
    images: list[NDArray[np.uint8]] = []
    arrays = _with_names(arrays)
    labels: list[str | int | None] = []
    splits: list[str | None] = []
    given_splits = next((name for name in ("split", "splits") if name in arrays), None)
    others = {"class_names", given_splits, options.group}
    pairs, notes = find_pairs(arrays, source, [name for name in arrays if name in others])
    for split, image, label in pairs:
        pixels = _images_of(arrays[image], image, source)
        words = labels_of(_cells(arrays[label]), label, source)
        if len(pixels) != len(words):
            raise DataError(
                f"{source}: expected as many labels as images, got {len(words):,} {label} and {len(pixels):,} {image}."
            )
        images.extend(pixels)
        labels += words
        splits += [split] * len(words)
    if given_splits is not None:
        splits = [word_of(cell) for cell in _column(arrays[given_splits])]
    given = arrays.get(options.group) if options.group else None
    groups = None if given is None else [word_of(cell) or "" for cell in _column(given)]
    if options.group and groups is None:
        raise DataError(
            f"{source}: expected an array called {quote(options.group)} for the groups, found none."
        )
    for name, column in (("splits", splits), ("groups", groups)):
        if column is not None and len(column) != len(labels):
            raise DataError(
                f"{source}: expected {len(labels):,} {name}, one for each image, got {len(column):,}."
            )
    names = [word_of(cell) for cell in _column(arrays.get("class_names", []))]
    records = Records(
        source, labels, images.__getitem__,
        splits=splits if any(splits) else None,
        groups=groups,
        names={number: name for number, name in enumerate(names) if name is not None},
        notes=notes,
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _to_array(value: Any) -> Any:
    """Return an array; images of several sizes stay a list."""
    try:
        array = np.asarray(value)
    except ValueError:
        return list(value)
    if array.dtype.kind == "U" and isinstance(value, list | tuple) and any(map(is_missing, value)):
        return np.array(value, object)  # among words, NumPy would turn a missing value into the word nan
    return array


def _column(array: Any) -> list[Any]:
    """Return the values of a column, (n,) or (n, 1)."""
    cells = np.atleast_1d(_cells(array))
    return list((cells[:, 0] if cells.ndim == 2 and cells.shape[1] == 1 else cells).tolist())


def _cells(array: Any) -> NDArray[Any]:
    """Return a column as an array: objects for a list of values of several shapes."""
    if isinstance(array, np.ndarray):
        return array
    cells = np.empty(len(array), object)
    for row, value in enumerate(array):
        cells[row] = value
    return cells


def _with_names(arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arrays, with names for the two unnamed ones of `numpy.savez(FILE, images, labels)`."""
    if set(arrays) != {"arr_0", "arr_1"}:
        return arrays
    images, labels = sorted(arrays.values(), key=lambda array: array.ndim, reverse=True)
    return {"images": images, "labels": labels} if images.ndim > max(labels.ndim, 1) else arrays


def _images_of(images: Any, name: str, source: str) -> Sequence[NDArray[np.uint8]]:
    """Return the images of an array, or of a list of arrays of several sizes."""
    array = _to_array(images)
    if isinstance(array, np.ndarray) and array.dtype.kind != "O":
        return list(pixels_of(array, name, source))
    return [
        pixels_of(np.asarray(image)[None], f"{name} {number}", source)[0]
        for number, image in enumerate(images, 1)
    ]
