"""Read tables: FER2013 tables with the fast reader, others with the general one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.class_names import CLASS_ORDERS
from mien.data.fer2013.cache import read_cached
from mien.data.fer2013.reader import read_arrays
from mien.data.fer2013.rows import UnusualRowError
from mien.data.fer2013.table import ANY_NUMBER
from mien.data.general_table import has_words
from mien.data.table_files import is_fer2013
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LABEL_SETS, meaning

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.fer2013.reader import Progress
    from mien.data.reading_options import ReadOptions


def read_tables(
    tables: list[Path],
    place: Path,
    options: ReadOptions,
    votes: Path | None,
    *,
    cache: bool,
    progress: Progress | None,
) -> Dataset:
    """Read tables: FER2013 tables with the fast reader, others with the general one."""
    from mien.data.general_table import is_general, read_general

    general = options.group is not None or options.merge or options.label_set in _OTHER_SETS
    words = options.class_names is not None and options.names_for_words is not None
    if (general or any(map(is_general, tables))) and votes is None:
        return read_general(tables, options, str(place), progress)
    try:
        return _load_fer2013(tables, place, options, votes, cache=cache, progress=progress)
    except UnusualRowError as error:  # another image size, or other class names
        if votes is not None:
            raise
        try:
            dataset = read_general(tables, options, str(place), progress)
        except DataError:
            raise error from None
        if _has_slips(dataset):
            raise
        return dataset
    except DataError:
        if not words or votes is not None or not all(map(has_words, tables)):
            raise
        return read_general(tables, options, str(place), progress)


def _has_slips(dataset: Dataset) -> bool:
    """Return whether a class has a single image while others are expressions: probably a misspelled word."""
    known = [meaning(name) for name in dataset.label_set.classes]
    counts = np.bincount(dataset.labels[dataset.labels >= 0], minlength=len(known))
    return len(set(known) - {None}) >= 4 and any(
        name is None and count < 2 for name, count in zip(known, counts.tolist(), strict=True)
    )


_OTHER_SETS = tuple(label_set for label_set in LABEL_SETS.values() if label_set not in {FER2013, FERPLUS})


def _load_fer2013(
    tables: list[Path],
    place: Path,
    options: ReadOptions,
    votes: Path | None,
    *,
    cache: bool,
    progress: Progress | None,
) -> Dataset:
    read = read_cached if cache else read_arrays
    label_set, order = options.label_set or FER2013, options.order
    if order is CLASS_ORDERS[FER2013.name] and all(map(is_fer2013, tables)):
        order = None
    if order is not None:
        if votes is not None:
            raise DataError(
                f"{place}: the FER+ votes belong to FER2013's own table. Leave `votes` or `class_names` out."
            )
        table = read(tables, classes=ANY_NUMBER, progress=progress)
        return table.to_dataset(options.label_set or table.label_set(order), str(place), order)
    table = read(tables, classes=len(FER2013), progress=progress)
    if options.label_set is None and votes is None:
        return table.to_dataset(table.label_set(), str(place))
    if label_set is not FERPLUS and votes is None:
        return table.to_dataset(label_set, str(place))
    from mien.data.ferplus import attach_votes, join_votes

    try:
        votes = find_votes(tables[0].parent) if votes is None else votes
    except DataError:
        if table.has_words:  # words need no class order
            return table.to_dataset(label_set, str(place))
        raise
    join = join_votes if label_set is FERPLUS else attach_votes
    return join(table.to_dataset(FER2013, str(place)), votes)


def find_votes(folder: Path) -> Path:
    """Find the FER+ votes next to a table.

    Raises:
        DataError: If there are none.
    """
    for place in (folder, folder / "ferplus", folder / "FERPlus", folder / "FERPlus" / "data"):
        if (place / "FER2013Train" / "label.csv").is_file():
            return place
        if (place / "fer2013new.csv").is_file():
            return place / "fer2013new.csv"
    raise DataError(
        f"{folder}: expected the FER+ votes (fer2013new.csv or FER2013Train/label.csv) beside the table, "
        "found none. Get them at https://github.com/microsoft/FERPlus and give them with `votes=PATH`."
    )
