"""Read images and labels from memory (NumPy arrays, pandas data frames) or from `.npz` files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.data.records import Records
from mien.data.table_header import LABELS, PATHS, PIXELS, SPLITS
from mien.data.text_encoding import decode_word
from mien.errors import DataError
from mien.labels import FER2013, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

    Progress = Callable[[int, int], object]

_IMAGES = re.compile(r"(?:x|images?|pixels?|data|faces?|imgs?)", re.IGNORECASE)
_LABELS = re.compile(r"(?:y|labels?|targets?|emotions?|expressions?|classes)", re.IGNORECASE)
_PARTS = {
    TRAINING: re.compile(r"train(?:ing)?", re.IGNORECASE),
    PUBLIC_TEST: re.compile(r"(?:val|valid|validation|publictest)", re.IGNORECASE),
    PRIVATE_TEST: re.compile(r"(?:test|testing|privatetest)", re.IGNORECASE),
}
_EXPECTED = "images and labels: arrays called images and labels, x and y, or x_train, y_train, x_val, y_val …"


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


def read_npz(path: Path, options: ReadOptions, progress: Progress | None = None) -> Dataset:
    """Read an `.npz` file of images and labels.

    Args:
        path: the file. Images are (n, h, w), (n, h, w, 1) or (n, h, w, 3), uint8, or floats from 0 to 1; labels are
            words, numbers or one-hot rows. The arrays `class_names` and `groups` are optional.
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
            {str(key): np.asarray(value) for key, value in data.items()}, options, "memory", progress
        )
    if isinstance(data, tuple | list) and len(data) in {2, 3} and not isinstance(data[0], str):
        return _read_tuple(data, options, progress)
    if type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "columns"):
        return _read_frame(data, options, progress)
    return None


def _read_tuple(data: Sequence[Any], options: ReadOptions, progress: Progress | None) -> Dataset:
    """Read images, labels and optional splits; numbers are indices into the label set, by default FER2013's."""
    given = np.asarray(data[1])
    label_set = options.label_set or FER2013
    soft = given.ndim == 2 and given.shape[1] > 1 and given.dtype.kind == "f" and not _is_one_hot(given)
    arrays = {"images": np.asarray(data[0]), "labels": given.argmax(axis=1) if soft else given}
    if len(data) == 3 and data[2] is not None:
        arrays["splits"] = np.asarray(data[2])
    if options.class_names is None and given.dtype.kind in "uif":
        arrays["class_names"] = np.array(label_set.classes)
        options = replace(options, label_set=label_set)
    dataset = read_arrays_of(arrays, options, "memory", progress)
    if not soft:
        return dataset
    if given.shape[1] != len(dataset.label_set) or len(dataset) != len(given):
        raise DataError(
            f"Expected label distributions of shape (n, {len(dataset.label_set)}), got {given.shape}."
        )
    return replace(dataset, targets=given.astype(np.float32))


def read_arrays_of(
    arrays: Mapping[str, NDArray[Any]], options: ReadOptions, source: str, progress: Progress | None = None
) -> Dataset:
    """Return the data set that named arrays contain.

    Raises:
        DataError: If they do not contain a data set.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[str | int | None] = []
    splits: list[str | None] = []
    for split, image, label in _pairs(arrays, source):
        pixels = pixels_of(arrays[image], image, source)
        words = _labels(arrays[label], label, source)
        if len(pixels) != len(words):
            raise DataError(
                f"{source}: expected as many labels as images, got {len(words):,} {label} and {len(pixels):,} {image}."
            )
        images.extend(pixels)
        labels += words
        splits += [split] * len(words)
    if "split" in arrays or "splits" in arrays:
        splits = [str(text) for text in np.asarray(arrays.get("split", arrays.get("splits"))).tolist()]
    groups = arrays.get(options.group) if options.group else None
    if options.group and groups is None:
        raise DataError(
            f"{source}: expected an array called {quote(options.group)} for the groups, found none."
        )
    for name, column in (("splits", splits), ("groups", [] if groups is None else groups)):
        if len(column) and len(column) != len(labels):
            raise DataError(
                f"{source}: expected {len(labels):,} {name}, one for each image, got {len(column):,}."
            )
    given = arrays.get("class_names")
    names = {} if given is None else {i: str(name) for i, name in enumerate(np.asarray(given).tolist())}
    records = Records(
        source, labels, images.__getitem__,
        splits=splits if any(splits) else None,
        groups=None if groups is None else [str(group) for group in groups.tolist()],
        names=names,
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _pairs(arrays: Mapping[str, NDArray[Any]], source: str) -> list[tuple[str | None, str, str]]:
    """Return arrays of images with the arrays of their labels, and their split."""
    parts: dict[tuple[str | None, str], str] = {}
    for name in arrays:
        if name in {"class_names", "split", "splits", "groups"}:
            continue
        words = [word for word in re.split(r"[_\s.\-]+", name) if word]
        split = next(
            (part for part, known in _PARTS.items() if any(known.fullmatch(word) for word in words)), None
        )
        rest = [word for word in words if split is None or not _PARTS[split].fullmatch(word)] or ["x"]
        for kind, known in (("images", _IMAGES), ("labels", _LABELS)):
            if len(rest) == 1 and known.fullmatch(rest[0]):
                parts.setdefault((split, kind), name)
    pairs = [
        (split, parts[split, "images"], parts[split, "labels"])
        for split in (None, *_PARTS)
        if (split, "images") in parts and (split, "labels") in parts
    ]
    if not pairs:
        raise DataError(f"{source}: expected {_EXPECTED}; got {quote(', '.join(arrays))}.")
    return [pair for pair in pairs if pair[0] is not None] or pairs


def pixels_of(array: NDArray[Any], name: str, source: str) -> NDArray[np.uint8]:
    """Convert images to gray or RGB values from 0 to 255.

    Args:
        array: (n, pixels) of square images, (n, h, w), (n, h, w, 1) or (n, h, w, 3); integers, or floats from 0 to 1.
        name: name used in error messages.
        source: source used in error messages.

    Raises:
        DataError: If the shape, type or values are invalid.
    """
    if array.ndim == 2:
        side = round(array.shape[1] ** 0.5)
        if side * side == array.shape[1]:
            array = array.reshape(-1, side, side)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in {3, 4} or (array.ndim == 4 and array.shape[3] != 3) or array.dtype.kind not in "uif":
        raise DataError(
            f"{source}: expected images of shape (n, height, width), with or without 1 or 3 channels at the end, got "
            f"{array.dtype} {array.shape} in {name}."
        )
    if array.dtype == np.uint8:
        return array
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255:
        raise DataError(
            f"{source}: expected pixels from 0 to 255 or from 0 to 1, got {low:g} to {high:g} in {name}."
        )
    scale = 255.0 if array.dtype.kind == "f" and high <= 1 else 1.0
    return np.asarray(np.round(array.astype(np.float32) * scale), np.uint8)


def _labels(array: NDArray[Any], name: str, source: str) -> list[str | int | None]:
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "uifb" and _is_one_hot(array):
        return [int(i) for i in array.argmax(axis=1)]
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"{source}: expected labels of shape (n,) or one-hot (n, classes), got {array.shape} in {name}."
        )
    if array.dtype.kind in "ui" or (array.dtype.kind == "f" and (array == np.round(array)).all()):
        return [None if value < 0 else int(value) for value in array.tolist()]
    if array.dtype.kind in "US" or (
        array.dtype.kind == "O" and all(isinstance(x, str) for x in array.tolist())
    ):
        return [decode_word(x) if isinstance(x, bytes) else str(x) for x in array.tolist()]
    raise DataError(f"{source}: expected labels as words or whole numbers, got {array.dtype} in {name}.")


def _is_one_hot(array: NDArray[Any]) -> bool:
    return bool(np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all())


def _read_frame(frame: Any, options: ReadOptions, progress: Progress | None) -> Dataset:
    columns = {str(name).lower(): name for name in reversed(list(frame.columns))}
    label, split = _first(columns, LABELS), _first(columns, SPLITS)
    image = _first(columns, (*PIXELS, "image", "images", *PATHS))
    if label is None or image is None:
        lacking = "labels (label or emotion)" if label is None else "images (image, pixels or path)"
        raise DataError(
            f"Expected a data frame with a column of {lacking}, got the columns "
            f"{quote(', '.join(map(str, frame.columns)))}."
        )
    if options.group is not None and options.group not in frame.columns:
        raise DataError(f"Expected group to be a column of the data frame, got {quote(options.group)}.")
    cells = frame[image].tolist()
    records = Records(
        "a data frame", _labels(np.asarray(frame[label].to_numpy()), str(label), "a data frame"),
        lambda row: _cell(cells[row], row),
        splits=None if split is None else [str(text) for text in frame[split].tolist()],
        groups=None if options.group is None else [str(group) for group in frame[options.group].tolist()],
        fer2013=str(label).lower() == "emotion" and str(image).lower() in PIXELS,
        files=_files(cells),
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _first(columns: Mapping[str, Any], wanted: Sequence[str]) -> Any:
    return next((columns[name] for name in wanted if name in columns), None)


def _files(cells: Sequence[Any]) -> list[str] | None:
    """Return the paths in a column, "" for cells that are no path; `None` if no cell is a path."""
    files = [str(cell) if isinstance(cell, str | Path) and len(str(cell)) < 1024 else "" for cell in cells]
    return files if any(files) else None


def _cell(value: Any, row: int) -> Any:
    """Return the image in a cell: an array, pixels as text, bytes, or a path."""
    if isinstance(value, str):
        numbers = value.strip("[] ").replace(",", " ").split()
        if len(numbers) < 16 * 16 or not all(number.isdigit() for number in numbers):
            return Path(value)
        value = np.array(numbers, np.int64)
    if isinstance(value, bytes | Path):
        return value
    array = np.asarray(value)
    return pixels_of(
        array.reshape(1, *array.shape) if array.ndim > 1 else array.reshape(1, -1), "image", f"row {row}"
    )[0]
