"""Read tables other than FER2013: any class names, one column per pixel, other image sizes, and image paths.

    emotion,pixels,Usage       any words as labels; square images of any size
    label,pixel0,pixel1,…      one column per pixel
    path,label                 image files, with paths relative to the table

Rows are read one by one with the csv module, more slowly than by `mien.data.fer2013`, which reads the published table.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mien.data.cells import groups_of
from mien.data.csv_rows import LARGEST_SIDE, open_rows, place_of_row
from mien.data.dataset import SPLITS
from mien.data.fer2013.archive import open_tables
from mien.data.fer2013.columns import knows_columns, shorten
from mien.data.image_finder import ImageFinder, MissingImageError
from mien.data.records import Records
from mien.data.splits import is_table, split_of_table
from mien.data.text_encoding import TextDecoder
from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.labels import meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions
    from mien.data.table_header import TableHeader

_SMALLEST_SIDE = 16  # pixels
_ROWS_PEEKED = 200


@dataclass
class _Rows:
    """The columns of tables."""

    labels: list[str | int | None]
    images: list[NDArray[np.uint8] | Path | DataError]
    splits: list[str | None]
    groups: list[str]
    files: list[str]


def read_general(
    paths: Sequence[Path],
    options: ReadOptions,
    source: str,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read tables that `mien.data.fer2013` does not support.

    Args:
        paths: the files, plain or compressed.
        options: classes, groups and face detection.
        source: name of the source, used in messages and model cards.
        progress: called with the number of images read and the total.

    Raises:
        DataError: If a table has no column of labels or images, or a row is invalid.
    """
    rows = _Rows([], [], [], [], [])
    fer2013 = True
    notes: tuple[str, ...] = ()
    finder = ImageFinder([path.parent for path in paths], aligned=options.crop is None)
    for path in paths:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            for member in members:
                decoder = TextDecoder(member.name)
                header, lines = open_rows(member.name, member.stream, decoder)
                split = split_of_table(member.inner) or split_of_table(path.name)
                fer2013 &= header.is_fer2013
                _read_rows(member.name, header, lines, split, options.group, rows, finder)
                notes += decoder.notes
    records = Records(
        source, rows.labels, rows.images.__getitem__,
        splits=rows.splits if any(rows.splits) else None,
        groups=rows.groups if options.group else None,
        fer2013=fer2013,
        files=rows.files if any(rows.files) else None,
        notes=notes,
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _read_rows(
    name: str,
    header: TableHeader,
    lines: Iterator[list[str]],
    split: str | None,
    group: str | None,
    rows: _Rows,
    finder: ImageFinder,
) -> None:
    first, groups = len(rows.labels), []
    at = header.names.index(group) if group in header.names else None
    for number, fields in enumerate(lines, 1):
        place = place_of_row(name, number)
        if len(fields) != len(header.names):
            raise DataError(
                f"{place}: expected {len(header.names)} fields, got {len(fields)}. Is the file cut short, or has a "
                "field with a line end or a delimiter no quotation marks?"
            )
        try:
            rows.images.append(_image_of(header, fields, finder))
        except MissingImageError as error:
            rows.images.append(DataError(f"{place}: {error}"))
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
        rows.files.append("" if header.path is None else fields[header.path].strip())
        rows.labels.append(None if header.label is None else label_in(fields[header.label]))
        told = fields[header.split].strip() if header.split is not None else split
        rows.splits.append(told or split)
        groups.append("" if at is None else fields[at].strip())
    if group is not None:
        files = rows.files[first:] if header.path is not None else None
        rows.groups += groups_of(group, header.names, lambda: groups, files, name)


def label_in(text: str) -> str | int | None:
    """Return the label in a cell: a word or a number; `None` if it is empty."""
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,4}(\.0+)?", text):
        return int(float(text))
    return text


def _image_of(header: TableHeader, fields: Sequence[str], finder: ImageFinder) -> NDArray[np.uint8] | Path:
    if header.path is not None:
        return finder.find(fields[header.path].strip())
    if header.pixels is not None:
        text = fields[header.pixels].strip().strip("[]").replace(",", " ")
        words = text.split()
    else:
        words = [fields[column] for column in header.pixel_columns]
    try:
        values = np.array(words, np.float64)
    except ValueError as error:
        raise DataError(
            f"expected pixels to be numbers from 0 to 255, got something else ({shorten(str(error), 80)})."
        ) from error
    if values.size and (values.min() < 0 or values.max() > 255 or (values != np.round(values)).any()):
        worst = values[(values < 0) | (values > 255) | (values != np.round(values))][0]
        raise DataError(f"expected pixels to be whole numbers from 0 to 255, got {worst:g}.")
    side = math.isqrt(values.size)
    if side * side == values.size and _SMALLEST_SIDE <= side <= LARGEST_SIDE:
        return values.astype(np.uint8).reshape(side, side)
    side = math.isqrt(values.size // 3)
    if 3 * side * side == values.size and _SMALLEST_SIDE <= side <= LARGEST_SIDE:
        return values.astype(np.uint8).reshape(side, side, 3)
    smallest, largest = _SMALLEST_SIDE * _SMALLEST_SIDE, LARGEST_SIDE * LARGEST_SIDE
    raise DataError(
        f"expected the pixels of a square image, {smallest} (16x16) to {largest}, gray or three for each (RGB), got "
        f"{values.size}. Is the file cut short?"
    )


def is_general(path: Path) -> bool:
    """Return whether a file is a table that only this module reads.

    Such tables have one column per pixel, image paths, or column names that `mien.data.fer2013` does not know.
    """
    header = _peek(path)
    if header is None:
        return False
    return header.path is not None or bool(header.pixel_columns) or not knows_columns(header.names)


def has_other_rows(path: Path) -> bool:
    """Return whether the first rows of a table cannot be FER2013's: square images of another size, or other words."""
    words: Counter[str] = Counter()
    try:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            header, lines = open_rows("", next(members).stream)
            for number, fields in enumerate(islice(lines, _ROWS_PEEKED)):
                if number == 0 and header.pixels is not None:
                    side = math.isqrt(count := len(fields[header.pixels].split()))
                    if side * side == count and side != CROP_SIZE and _SMALLEST_SIDE <= side <= LARGEST_SIDE:
                        return True
                label = None if header.label is None else label_in(fields[header.label])
                if isinstance(label, str) and meaning(label) is None:
                    words[label] += 1
    except (DataError, OSError, StopIteration, IndexError):
        return False
    return any(count > 1 for count in words.values())


def has_words(path: Path) -> bool:
    """Return whether the first label of a table is a word."""
    try:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            header, lines = open_rows("", next(members).stream)
            label = None if header.label is None else label_in(next(lines)[header.label])
    except (DataError, OSError, StopIteration, IndexError):
        return False
    return isinstance(label, str)


def find_image_tables(folder: Path) -> list[Path]:
    """Find the tables in a folder with image paths or one column per pixel: one for each split, or a single one.

    Raises:
        DataError: If two tables belong to the same split.
    """
    tables = [
        path for path in sorted(folder.iterdir()) if is_table(path.name, packed=True) and is_general(path)
    ]
    by_split: dict[str | None, list[Path]] = {}
    for path in tables:
        by_split.setdefault(split_of_table(path.name), []).append(path)
    for split, paths in by_split.items():
        if len(paths) > 1:
            named = ", ".join(path.name for path in paths[:5])
            raise DataError(
                f"{folder}: expected one table for {split or 'all images'}, found {named}. Give the path of one, or "
                "move the others away."
            )
    return [path for split in (*SPLITS, None) for path in by_split.get(split, [])]


def _peek(path: Path) -> TableHeader | None:
    try:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            return open_rows("", next(members).stream)[0]
    except (DataError, OSError, StopIteration):
        return None
