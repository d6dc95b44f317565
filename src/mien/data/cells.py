"""Values of cells in data frames and Parquet files: labels, words, paths and images."""

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
    from mien.data.arrays import pixels_of

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
