"""Labels, words, paths and images in the cells of data frames and Parquet files, and in arrays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.text_encoding import decode_word
from mien.errors import DataError
from mien.labels import quote
from mien.quoting import quoted
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

_FEWEST_PIXELS = 4
_MOST = 1 << 20  # above all pixel values: larger values are reduced to it, and it is rejected
_LONGEST_PATH = 1024


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: `None`, NaN, `pandas.NA` or an empty text."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return isinstance(value, str | bytes) and not value


def word_of(value: Any) -> str | None:
    """Return the text of a cell; `None` if it is empty."""
    if is_missing(value):
        return None
    return decode_word(value) if isinstance(value, bytes) else str(value)


def label_of(value: Any, name: str) -> str | int | None:
    """Return the label in a cell: a word, or a whole number; `None` if it is empty or negative.

    Raises:
        DataError: If it is neither; the message begins with `name`.
    """
    if is_missing(value) or isinstance(value, str | bytes):
        return word_of(value)
    try:
        number = int(value)
    except (TypeError, ValueError, ArithmeticError):  # for example, a list, a date or infinity
        number = None
    if number is None or number != value or isinstance(value, bool | np.bool_):
        raise DataError(f"{name}: expected a label as a word or a whole number, got {quoted(value)}.")
    return None if number < 0 else number


def image_of(value: Any, name: str, folder: Path | None = None) -> bytes | Path | NDArray[np.uint8]:
    """Return the image in a cell: encoded bytes, the path of a file, or pixels.

    Args:
        value: bytes, a path, a dict of `bytes` or `path` as in Hugging Face data sets, or pixels: an array, nested
            lists, or text.
        name: name of the row, used in messages.
        folder: the folder that paths are relative to; a file that is not there is an error.

    Raises:
        DataError: If it is none of these.
    """
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        value = _numbers(value) or (Path(value) if folder is None else _place(folder, value))
    if isinstance(value, bytes):
        return value
    if isinstance(value, Path):
        return value
    if is_missing(value) or (isinstance(value, list | tuple) and not value):
        raise DataError(f"{name}: expected the bytes of an image, got nothing that is one.")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.ndim:  # rows of pixels that are arrays
            array = np.array([np.asarray(row).tolist() for row in array])
    except (ValueError, OverflowError) as error:
        raise DataError(f"{name}: expected rows of pixels of one length, got others.") from error
    pixels: NDArray[np.uint8] = pixels_of(array.reshape(1, *array.shape), "image", name)[0]
    return pixels


def files_of(cells: Sequence[Any]) -> list[str] | None:
    """Return the paths in a column, "" for cells without one; `None` if no cell has a path."""
    paths = [cell.get("path") if isinstance(cell, dict) else cell for cell in cells]
    files = [str(path) if _is_path(path) else "" for path in paths]
    return files if any(files) else None


def groups_of(
    group: str,
    columns: Collection[str],
    column: Callable[[], Sequence[Any]],
    files: Sequence[str] | None,
    source: str,
) -> list[str]:
    """Return the group of each row: the column of that name, else the part of its path that a regular expression finds.

    Args:
        group: the name of a column, or a regular expression with one capturing group.
        columns: the names of the columns.
        column: returns the cells of the column `group`.
        files: the path of each row's image, if images are files.
        source: name of the source, used in messages.

    Raises:
        DataError: If there is no such column, and no paths in which the expression could be searched.
    """
    if group in columns:
        return [word_of(value) or "" for value in column()]
    if files is None or group == "folder" or "(" not in group:
        named = ", ".join(map(str, columns))[:60]
        raise DataError(f"{source}: expected `group` to be one of its columns ({named}), got {quote(group)}.")
    from mien.data.folders import find_groups

    found = find_groups([(name, name) for name in files], group, source)
    return [] if found is None else found.tolist()


def separate_groups(groups: Sequence[str] | None, source: str) -> tuple[list[str] | None, tuple[str, ...]]:
    """Return the groups with a group of its own for each empty cell, and a note for the user about them.

    Args:
        groups: the group of each row, if there are groups.
        source: name of the source, used in the note.
    """
    if groups is None:
        return None, ()
    separate = [group or f"row {row}" for row, group in enumerate(groups, 1)]
    if not (count := sum(not group for group in groups)):
        return separate, ()
    what = counted(count, "row has no group and is a group", "rows have no group and are groups")
    return separate, (f"{source}: {what} of {'its' if count == 1 else 'their'} own.",)


def _is_path(value: Any) -> bool:
    if isinstance(value, Path):
        return True
    return isinstance(value, str) and len(value) < _LONGEST_PATH and _numbers(value) is None


def _numbers(text: str) -> list[float] | list[int] | None:
    """Parse pixels written as text; `None` if the text is something else, such as a path."""
    words = text.strip("[] \t\r\n").replace(",", " ").split()
    if len(words) < _FEWEST_PIXELS:
        return None
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    if all(word.isdecimal() for word in words):
        return [int(min(number, _MOST)) for number in numbers]
    return numbers


def _place(folder: Path, text: str) -> Path | None:
    """Return the file that a cell names; `None` if it does not exist."""
    try:
        return folder / text if (folder / text).is_file() else None
    except (OSError, ValueError):  # for example, a name that is too long
        return None


def pixels_of(array: NDArray[Any], name: str, source: str) -> NDArray[np.uint8]:
    """Convert images to gray or RGB values from 0 to 255.

    Args:
        array: (n, pixels) of square images, (n, h, w), (n, h, w, 1), (n, h, w, 3), or channels first as in PyTorch,
            (n, 1, h, w) or (n, 3, h, w); integers, or floats from 0 to 1.
        name: name used in error messages.
        source: source used in error messages.

    Raises:
        DataError: If the shape, type or values are invalid.
    """
    if array.ndim == 2:
        side = round(array.shape[1] ** 0.5)
        if side * side == array.shape[1]:
            array = array.reshape(-1, side, side)
    if array.ndim == 4 and array.shape[1] in {1, 3} and array.shape[3] not in {1, 3}:
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in {3, 4} or (array.ndim == 4 and array.shape[3] != 3) or array.dtype.kind not in "uif":
        raise DataError(
            f"{source}: expected images of shape (n, height, width), with or without 1 or 3 channels at the end or "
            f"before the height, got "
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


def labels_of(array: NDArray[Any], name: str, source: str) -> list[str | int | None]:
    """Return the label of each image: a word, or a whole number; `None` for empty or negative values.

    Args:
        array: words or numbers, (n,) or (n, 1), or one-hot rows (n, classes).
        name: name used in error messages.
        source: source used in error messages.

    Raises:
        DataError: If the shape is invalid, or a value is neither a word nor a whole number.
    """
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "uifb" and is_one_hot(array):
        return [int(i) for i in array.argmax(axis=1)]
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"{source}: expected labels of shape (n,) or one-hot (n, classes), got {array.shape} in {name}."
        )
    if array.dtype.kind not in "uifUSO":
        raise DataError(f"{source}: expected labels as words or whole numbers, got {array.dtype} in {name}.")
    return [label_of(value, f"{source} row {row}") for row, value in enumerate(array.tolist(), 1)]


def is_one_hot(array: NDArray[Any]) -> bool:
    """Return whether each row of an array has a single 1 and zeros."""
    return bool(np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all())
