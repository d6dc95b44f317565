"""Read Parquet files of images and labels, as in Hugging Face data sets: `data/train-00000-of-00001.parquet`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.arrays import pixels_of
from mien.data.records import Records
from mien.data.splits import split_of_table
from mien.data.table_header import LABELS, PATHS, PIXELS, SPLITS
from mien.data.text_encoding import decode_word
from mien.errors import DataError, MissingExtra
from mien.labels import quote
from mien.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

_MAGIC = b"PAR1"
_IMAGES = ("image", "images", "img", "face", "picture", "bytes", *PIXELS)
_FEWEST_PIXELS = 4
_MOST = 1 << 20  # above all pixel values: larger values are reduced to it, and it is rejected


def is_parquet(path: Path) -> bool:
    """Return whether a file starts like a Parquet file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def find_parquet(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder or its subfolder `data` or `default`; empty if there are none."""
    for place in (folder, folder / "data", folder / "default"):
        if place.is_dir() and (files := sorted(place.glob("*.parquet"))):
            return files
    return []


def read_parquet(
    paths: Sequence[Path],
    options: ReadOptions,
    source: str,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read Parquet files with a column of images (bytes, or a struct of them) and one of labels.

    Args:
        paths: the files; without a split column, the splits are read from their names.
        options: classes, groups and face detection.
        source: name of the source, used in messages and model cards.
        progress: called with the number of images read and the total.

    Raises:
        DataError: If a file cannot be read, or a column is missing.
        MissingExtra: If pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingExtra("pyarrow, which reads Parquet", "parquet") from error
    labels: list[str | int | None] = []
    images: list[Any] = []
    splits: list[str | None] = []
    groups: list[str] = []
    names: dict[int, str] = {}
    for path in paths:
        table = _read_table(path)
        columns = {name.lower(): name for name in reversed(table.column_names)}
        label = _first(columns, LABELS)
        image = _first(columns, (*_IMAGES, *PATHS))
        if label is None or image is None:
            lacking = "labels (label or emotion)" if label is None else "images (image or pixels)"
            raise DataError(
                f"{path}: expected a column of {lacking}, got the columns {quote(', '.join(table.column_names))}."
            )
        named = _class_names(table.schema.metadata, label)
        if names and named and names != named:
            raise DataError(f"{path}: expected the same class names in every file, got others than before.")
        names = names or named
        for value in _cells(table, label, path):
            labels.append(_label(value, f"{source} row {len(labels) + 1}"))
        images += _cells(table, image, path)
        where = _first(columns, SPLITS)
        told = split_of_table(path.name.split("-")[0] + ".csv")
        splits += map(_word, _cells(table, where, path)) if where else [told] * len(table)
        if options.group is not None:
            if options.group not in table.column_names:
                raise DataError(
                    f"{path}: expected group to be one of its columns, got {quote(options.group)}."
                )
            groups += [str(value) for value in _cells(table, options.group, path)]
    divided = any(split is not None for split in splits)
    folder = paths[0].parent
    records = Records(
        source, labels, lambda row: _image(images[row], folder, f"{source} row {row + 1}"),
        splits=[split or "train" for split in splits] if divided else None,
        groups=groups if options.group else None, names=names,
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _first(columns: dict[str, str], wanted: Sequence[str]) -> str | None:
    return next((columns[name] for name in wanted if name in columns), None)


def _class_names(metadata: dict[bytes, bytes] | None, column: str) -> dict[int, str]:
    """Return the class names of a column with Hugging Face's `ClassLabel`."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
        return {number: str(name) for number, name in enumerate(names)}
    except (KeyError, ValueError, TypeError):
        return {}


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _cells(table: Any, column: str, path: Path) -> list[Any]:
    try:
        cells: list[Any] = table.column(column).to_pylist()
    except (ValueError, OverflowError) as error:  # for example, text that is not UTF-8, or invalid dates
        raise _unreadable(path, error) from error
    return cells


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = (str(error).splitlines() or ["damaged"])[0]
    return DataError(f"{path}: expected a Parquet file, got one that cannot be read ({reason[:80]}).")


def _word(value: Any) -> str | None:
    """Return the text of a cell; `None` if it is empty."""
    if isinstance(value, bytes):
        value = decode_word(value)
    return None if value is None or value == "" else str(value)


def _label(value: Any, name: str) -> str | int | None:
    if value is None or isinstance(value, str | bytes):
        return _word(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, ArithmeticError):  # for example, a list, a date or NaN
        number = None
    if number is None or number != value:
        raise DataError(f"{name}: expected a label as a word or a whole number, got {quoted(value)}.")
    return None if number < 0 else number


def _image(value: Any, folder: Path, name: str) -> Any:
    """Return the image of a cell: bytes, a struct of bytes or a path, or pixels."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        value = _numbers(value) or _place(folder, value)
    if isinstance(value, bytes | Path):
        return value
    if not isinstance(value, list) or not value:
        raise DataError(f"{name}: expected the bytes of an image, got nothing that is one.")
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{name}: expected rows of pixels of one length, got others.") from error
    return pixels_of(array.reshape(1, *array.shape), "image", name)[0]


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
