"""Read Parquet files of images and labels, as in Hugging Face data sets: `data/train-00000-of-00001.parquet`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mien.data.cells import files_of, groups_of, image_of, label_of, word_of
from mien.data.fer2013.columns import column_key
from mien.data.records import Records
from mien.data.splits import split_of_table, splits_of_names, splits_within
from mien.data.table_header import LABELS, PATHS, PIXELS, SPLITS
from mien.errors import DataError, MissingExtra
from mien.labels import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

_MAGIC = b"PAR1"
_IMAGES = ("image", "images", "img", "face", "picture", "bytes", *PIXELS)


@dataclass
class _Rows:
    """The columns of all files, and the class names of the numbers."""

    labels: list[str | int | None] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)


def is_parquet(path: Path) -> bool:
    """Return whether a file starts like a Parquet file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def find_parquet(folder: Path) -> list[Path]:
    """Return the Parquet files of the data set in a folder; empty if there are none, or there are folders of images.

    They may be in subfolders named for a configuration and a split, as on Hugging Face:
    `plain_text/train-00000-of-00001.parquet`, `default/train/0000.parquet`.

    Raises:
        DataError: If there are several configurations, none of which is `default`.
    """
    for place in (folder, folder / "data", folder / "default"):
        if place.is_dir() and (files := sorted(place.glob("*.parquet"))):
            return files
    files = [path for path in sorted(folder.rglob("*.parquet")) if not _is_hidden(path.relative_to(folder))]
    if not files or _holds_images(folder):
        return []
    by_configuration: dict[str, list[Path]] = {}
    for path in files:
        parts = path.relative_to(folder).parts[:-1]
        name = "/".join(part for part in parts if not splits_within(part))
        by_configuration.setdefault(name, []).append(path)
    chosen = by_configuration.get("default", by_configuration.get("data"))
    if chosen is None and len(by_configuration) > 1:
        named = ", ".join(name or "no folder" for name in by_configuration)
        raise DataError(
            f"{folder}: expected the Parquet files of one data set, found those of {quote(named)}. Give the path of one."
        )
    return chosen or files


def _holds_images(folder: Path) -> bool:
    from mien.data.folder_plan import holds_class_folders

    try:
        return holds_class_folders(folder)
    except DataError:  # splits below the folders of several configurations
        return False


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _splits(paths: Sequence[Path], root: Path) -> list[str | None]:
    """Return the split of each file: that in its name, else that in the name of the nearest folder below `root`."""
    named = []
    for path in paths:
        folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
        stem = re.sub(r"-[0-9]{3,}-of-[0-9]{3,}$", "", path.stem)
        named.append(next((name for name in (stem, *reversed(folders)) if splits_within(name)), ""))
    splits = splits_of_names(named)
    return [splits[name] or split_of_table(f"{name}.parquet") for name in named]


def read_parquet(
    paths: Sequence[Path],
    options: ReadOptions,
    source: str,
    progress: Callable[[int, int], object] | None = None,
    *,
    root: Path | None = None,
) -> Dataset:
    """Read Parquet files with a column of images (bytes, or a struct of them) and one of labels.

    Args:
        paths: the files; without a split column, the splits are read from their names or those of their folders.
        options: classes, groups and face detection.
        source: name of the source, used in messages and model cards.
        progress: called with the number of images read and the total.
        root: the folder of the data set, below which the names of folders may be splits.

    Raises:
        DataError: If a file cannot be read, or a column is missing.
        MissingExtra: If pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingExtra("pyarrow, which reads Parquet", "parquet") from error
    rows = _Rows()
    for path, split in zip(paths, _splits(paths, root or paths[0].parent), strict=True):
        _read_rows(path, split, options.group, rows, source)
    records = Records(
        source, rows.labels,
        lambda row: image_of(rows.images[row], f"{source} row {row + 1}", rows.folders[row]),
        splits=rows.splits if any(rows.splits) else None,
        groups=rows.groups if options.group else None,
        names=rows.names,
        files=rows.files if any(rows.files) else None,
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _read_rows(path: Path, split: str | None, group: str | None, rows: _Rows, source: str) -> None:
    """Append the rows of a file, of which `split` is the split if it has no column of splits."""
    table = _read_table(path)
    columns = {column_key(name): name for name in reversed(table.column_names)}
    label, where = _first(columns, LABELS), _first(columns, SPLITS)
    image = _first(columns, (*_IMAGES, *PATHS))
    if label is None or image is None:
        lacking = "labels (label or emotion)" if label is None else "images (image or pixels)"
        raise DataError(
            f"{path}: expected a column of {lacking}, got the columns {quote(', '.join(table.column_names))}."
        )
    named = _class_names(table.schema.metadata, label)
    if rows.names and named and rows.names != named:
        raise DataError(f"{path}: expected the same class names in every file, got others than before.")
    rows.names = rows.names or named
    for value in _cells(table, label, path):
        rows.labels.append(label_of(value, f"{source} row {len(rows.labels) + 1}"))
    images = _cells(table, image, path)
    files = files_of(images)
    rows.images += images
    rows.folders += [path.parent] * len(images)
    rows.files += files or [""] * len(images)
    rows.splits += map(word_of, _cells(table, where, path)) if where else [split] * len(images)
    if group is not None:
        cells = partial(_cells, table, group, path)
        rows.groups += groups_of(group, table.column_names, cells, files, str(path))


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
