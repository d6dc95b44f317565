"""Parquet files of images and labels, as Hugging Face's data sets are: `data/train-00000-of-00001.parquet`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.records import Records
from mien.data.splits import split_of_table
from mien.data.table_header import LABELS, PATHS, PIXELS, SPLITS
from mien.errors import DataError, MissingExtra
from mien.labels import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.options import ReadOptions

_MAGIC = b"PAR1"
_IMAGES = ("image", "images", "img", "face", "picture", "bytes", *PIXELS)


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def find_parquet(folder: Path) -> list[Path]:
    """The Parquet files in a folder, or in its folder `data`; nothing where there are none."""
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
        paths: the files; their names tell the splits where no column does.
        options: classes, groups and the finding of faces.
        source: where they come from, for messages and cards.
        progress: called with the images done and in all.

    Raises:
        DataError: a file cannot be read, or lacks a column.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow, which reads Parquet", "parquet") from error
    labels: list[str | int | None] = []
    images: list[Any] = []
    splits: list[str | None] = []
    groups: list[str] = []
    names: dict[int, str] = {}
    for path in paths:
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            reason = (str(error).splitlines() or ["damaged"])[0]
            raise DataError(
                f"{path}: expected a Parquet file, got one that cannot be read ({reason[:80]})."
            ) from error
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
        labels += [_label(value) for value in table.column(label).to_pylist()]
        images += table.column(image).to_pylist()
        where = _first(columns, SPLITS)
        told = split_of_table(path.name.split("-")[0] + ".csv")
        splits += table.column(where).to_pylist() if where else [told] * len(table)
        if options.group is not None:
            if options.group not in table.column_names:
                raise DataError(
                    f"{path}: expected group to be one of its columns, got {quote(options.group)}."
                )
            groups += [str(value) for value in table.column(options.group).to_pylist()]
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
    """The names that Hugging Face's `ClassLabel` gives to the numbers of a column."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
        return {number: str(name) for number, name in enumerate(names)}
    except (KeyError, ValueError, TypeError):
        return {}


def _label(value: Any) -> str | int | None:
    if value is None or isinstance(value, str):
        return value or None
    number = int(value)
    return None if number < 0 else number


def _image(value: Any, folder: Path, name: str) -> Any:
    """The image of a cell: bytes, a struct of bytes or a path, or pixels."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        if (folder / value).is_file():
            return folder / value
        numbers = value.split()
        value = [int(number) for number in numbers] if all(number.isdigit() for number in numbers) else None
    if isinstance(value, bytes):
        return value
    pixels = np.asarray(value, dtype=object) if isinstance(value, list) and value else None
    if pixels is None:
        raise DataError(f"{name}: expected the bytes of an image, got nothing that is one.")
    array = np.array(value)
    side = round(array.size**0.5)
    if array.ndim == 1 and side * side == array.size:
        array = array.reshape(side, side)
    return array.astype(np.uint8)
