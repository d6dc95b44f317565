"""Parse the header of a table: columns of labels, splits, and images as pixels, one column per pixel, or paths."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.data.fer2013.columns import FER_LABEL, column_key, shorten
from mien.data.fer2013.file_kinds import refuse_other_kinds
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

PIXELS = ("pixels", "pixel", "image_pixels")
LABELS = (
    FER_LABEL, "emotions", "expression", "expressions", "label", "labels", "class", "classes", "target", "category",
    "class_name", "label_name", "emotion_label", "sentiment", "y",
)  # fmt: skip
SPLITS = ("usage", "split", "subset", "partition", "set")
PATHS = (
    "path", "image", "image_path", "img_path", "filepath", "file_path", "file", "filename", "file_name", "image_name",
    "img", "pth", "subdirectory_filepath", "images",
)  # fmt: skip
_PIXEL_COLUMN = re.compile(r"(?:pixel|pix|px|p|v|x)?[_ ]?([0-9]{1,7})", re.IGNORECASE)
_FEWEST_COLUMNS = 16 * 16
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class TableHeader:
    """The columns of a table.

    Args:
        names: column names as spelled in the file.
        delimiter: the character between two fields.
        label: index of the column of labels, or `None`.
        split: index of the column of splits, or `None`.
        pixels: index of the column with all pixels, or `None`.
        path: index of the column of paths, or `None`.
        pixel_columns: indices of the columns with one pixel each, in order.
    """

    names: tuple[str, ...]
    delimiter: str
    label: int | None
    split: int | None
    pixels: int | None
    path: int | None
    pixel_columns: tuple[int, ...]

    @property
    def is_fer2013(self) -> bool:
        """Whether the labels are in FER2013's column."""
        return (
            self.label is not None and column_key(self.names[self.label]) == FER_LABEL and self.path is None
        )


def read_table_header(name: str, head: bytes) -> TableHeader:
    """Parse the header of a table.

    Args:
        name: name of the file, used in messages.
        head: the start of the file, with at least the first line.

    Raises:
        DataError: If it is not a table, or has no column of labels or images.
    """
    refuse_other_kinds(name, head[:4096])
    text = head.decode("utf-8-sig", "replace").lstrip()
    line = re.split(r"\r\n|\r|\n", text, maxsplit=1)[0]
    header = max((_parse(line, delimiter) for delimiter in _DELIMITERS), key=_likelihood)
    lacking = []
    if header.label is None:
        lacking.append("labels (emotion, label or expression)")
    if header.pixels is None and header.path is None and not header.pixel_columns:
        lacking.append("images (pixels, a column for each pixel, or path)")
    if lacking:
        raise DataError(
            f"{name}: expected a column of {' and one of '.join(lacking)}, got the columns "
            f"{shorten(', '.join(header.names), 60)!r}. Name the columns so, in the first line."
        )
    return header


def pixel_columns(names: Sequence[str], others: Collection[int | None] = ()) -> tuple[int, ...]:
    """Return the indices of the columns with one pixel each, in order; empty if there are fewer than 256.

    Args:
        names: the names of all columns.
        others: indices of columns that are something else.
    """
    numbered = {
        int(match[1]): i
        for i, name in enumerate(names)
        if i not in others and (match := _PIXEL_COLUMN.fullmatch(name.strip()))
    }
    return tuple(numbered[i] for i in sorted(numbered)) if len(numbered) >= _FEWEST_COLUMNS else ()


def _parse(line: str, delimiter: str) -> TableHeader:
    try:
        names = tuple(
            field.strip()
            for field in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        )
    except csv.Error:
        names = ()
    where = {column_key(field): i for i, field in reversed(list(enumerate(names)))}

    def first(wanted: tuple[str, ...]) -> int | None:
        return next((where[column] for column in wanted if column in where), None)

    label, split = first(LABELS), first(SPLITS)
    columns = pixel_columns(names, {label, split})
    pixels = first(PIXELS)
    path = None if columns or pixels is not None else first(PATHS)
    return TableHeader(names, delimiter, label, split, pixels, path, columns)


def _likelihood(header: TableHeader) -> tuple[int, bool]:
    found = sum(x is not None for x in (header.label, header.split, header.pixels, header.path))
    return found + bool(header.pixel_columns), header.delimiter == ","
