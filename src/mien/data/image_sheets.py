"""Read faces from sheets: a folder with `labels.csv` and images that each contain a grid of square faces.

    labels.csv   sheet,place,label[,source][,group]     one row per face
    00.png       ten faces across, place 0 at the top left, row by row

All faces belong to PublicTest: such a collection has no splits and is used for model selection.
"""

from __future__ import annotations

import codecs
import csv
from typing import TYPE_CHECKING

import numpy as np

from mien.data.cells import separate_groups
from mien.data.dataset import PUBLIC_TEST, Dataset, LeftOut
from mien.data.text_encoding import TextDecoder
from mien.errors import DataError
from mien.images import read_image, to_crop

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.labels import LabelSet

TABLE = "labels.csv"
ACROSS = 10
"""Faces in a row of a sheet."""

_NEEDED = ("sheet", "place", "label")


def is_sheets(folder: Path) -> bool:
    """Return whether a folder contains sheets: a `labels.csv` with the columns sheet, place and label."""
    try:
        with (folder / TABLE).open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline(1000)
    except OSError:
        return False
    return set(_NEEDED) <= {name.strip() for name in header.split(",")}


def read_sheets(folder: Path, label_set: LabelSet) -> Dataset:
    """Read all faces listed in the table.

    Args:
        folder: contains `labels.csv` and its sheets.
        label_set: the label set of the labels.

    Returns:
        The faces as crops of 48x48, resized by area averaging, in the order of the table; with `sources` and `groups` if
        the table has these columns. A row with an empty group is a group of its own; a note counts these rows.

    Raises:
        DataError: If a row has no valid place or label, or a sheet cannot be read.
    """
    decoder = TextDecoder(str(folder / TABLE))
    raw = (folder / TABLE).read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        rows = list(csv.DictReader(decoder.decode(line) for line in raw.splitlines(keepends=True)))
    except csv.Error as error:
        raise DataError(
            f"{folder / TABLE}: expected CSV text, got text that is none ({error}). Is a quotation mark missing?"
        ) from error
    if not rows:
        raise DataError(f"{folder / TABLE}: expected a row for each face, got none.")
    sheets: dict[str, NDArray[np.uint8]] = {}
    images = np.empty((len(rows), 48, 48), np.uint8)
    labels = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        where = f"{folder / TABLE} row {i + 2}"
        name = row["sheet"] or ""
        if name not in sheets:
            if not name or "/" in name or "\\" in name:
                raise DataError(f"{where}: expected the name of a sheet beside the table, got {name[:80]!r}.")
            sheets[name] = read_image(folder / name)
        images[i] = to_crop(_face(sheets[name], row["place"], where))
        try:
            labels[i] = label_set.index(row["label"] or "")
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    groups, group_notes = separate_groups(_column(rows, "group"), str(folder))
    sources = _column(rows, "source")
    return Dataset(
        images=images,
        targets=np.eye(len(label_set), dtype=np.float32)[labels],
        split=np.full(len(rows), PUBLIC_TEST),
        label_set=label_set,
        source=str(folder),
        left_out=LeftOut(remarks=(*decoder.notes, *group_notes)),
        sources=None if sources is None else np.array(sources, np.str_),
        groups=None if groups is None else np.array(groups, np.str_),
    )


def _face(sheet: NDArray[np.uint8], place: str | None, where: str) -> NDArray[np.uint8]:
    """Return the face at a place of a sheet, (side, side, 3)."""
    side = sheet.shape[1] // ACROSS
    rows = sheet.shape[0] // side if side else 0
    if not (place or "").isdecimal() or int(place or 0) >= rows * ACROSS:
        raise DataError(
            f"{where}: expected a place from 0 to {max(rows * ACROSS - 1, 0)} on the sheet, got {str(place)[:80]!r}."
        )
    row, column = divmod(int(place or 0), ACROSS)
    return sheet[row * side : (row + 1) * side, column * side : (column + 1) * side]


def _column(rows: list[dict[str, str]], name: str) -> list[str] | None:
    """Return the texts of a column, "" for empty cells; `None` if the table has no such column."""
    return [(row[name] or "").strip() for row in rows] if name in rows[0] else None
