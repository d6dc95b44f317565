"""Find the label set of data before they are read, from folder names and the first rows of tables, to name a run."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from mien.class_names import LEAVE_OUT, get_class_order
from mien.data.csv_rows import open_rows
from mien.data.fer2013.archive import open_tables
from mien.data.folder_plan import label_set_of_folders
from mien.data.general_table import label_in
from mien.data.image_archive import class_folder_names
from mien.data.table_files import find_tables
from mien.errors import DataError
from mien.labels import CUSTOM, FER2013, FERPLUS, find_label_set

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mien.data.reading_options import ReadOptions
    from mien.labels import LabelSet

_ROWS = 1000


def preview_label_set(place: Path, options: ReadOptions) -> LabelSet | None:
    """Return the known label set that data will probably have; `None` for classes of their own, and for other data.

    Args:
        place: an existing file or folder.
        options: class names and merged classes.

    Raises:
        DataError: If the data cannot be read.
    """
    if place.is_dir():
        tables = find_tables(place)
        if tables:
            return _label_set_of_table(tables[0], options)
        found = label_set_of_folders(place, options)
        return None if found is None or found.name == CUSTOM else found
    if names := class_folder_names(place):
        return _known(names, options)
    return _label_set_of_table(place, options)


def _label_set_of_table(path: Path, options: ReadOptions) -> LabelSet | None:
    words: set[str] = set()
    numbers: set[int] = set()
    try:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            header, lines = open_rows("", next(members).stream)
            rows = list(islice(lines, _ROWS))
    except (DataError, OSError, StopIteration):
        return None
    column = len(header.names) if header.label is None else header.label
    for row in rows:
        label = label_in(row[column]) if column < len(row) else None
        words |= {label} if isinstance(label, str) else set()
        numbers |= {label} if isinstance(label, int) else set()
    if words or not numbers:
        return _known(words, options)
    if options.class_names is not None:
        order = options.given_order
        return (
            None
            if order is None or options.merge
            else find_label_set(set(order.names.values()) - {LEAVE_OUT})
        )
    if not header.is_fer2013 or options.merge:
        return None
    if len(FER2013) in numbers:
        return FERPLUS
    return FER2013 if len(rows) == _ROWS or numbers == set(range(len(FER2013))) else None


def _known(words: Collection[str], options: ReadOptions) -> LabelSet | None:
    """Return the known label set of class names, if no other classes are made of them."""
    if options.merge:
        return None
    given = options.names_for_words
    if given is None:
        return options.label_set_for_words or find_label_set(words)
    return find_label_set(set(get_class_order(given).names.values()) - {LEAVE_OUT})
