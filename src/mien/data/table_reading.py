"""Read tables: FER2013 tables with the fast reader, others with the general one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mien.class_names import CLASS_ORDERS
from mien.data.class_spelling import is_same_class
from mien.data.fer2013.cache import read_cached
from mien.data.fer2013.reader import read_arrays
from mien.data.fer2013.rows import UnusualRowError
from mien.data.fer2013.table import ANY_NUMBER
from mien.data.general_table import has_other_rows, has_words, is_general, read_general
from mien.data.reading_options import refuse_unused
from mien.data.records import note_renamed
from mien.data.table_files import is_fer2013
from mien.data.text_encoding import TextEncodingError
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LABEL_SETS, meaning

if TYPE_CHECKING:
    from pathlib import Path

    from mien.class_names import ClassOrder
    from mien.data.dataset import Dataset
    from mien.data.fer2013.reader import Progress
    from mien.data.fer2013.table import Table
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
    general = options.group is not None or options.merge or options.label_set in _OTHER_SETS
    selected = _selects_from_fer2013(options, tables)
    _refuse_with_votes(tables, place, options, votes, selected=selected)
    words = options.class_names is not None and options.names_for_words is not None
    if (general or selected or any(map(is_general, tables))) and votes is None:
        return read_general(tables, options, str(place), progress)
    try:
        dataset = _load_fer2013(tables, place, options, votes, cache=cache, progress=progress)
    except UnusualRowError as error:  # another image size, or other class names
        if votes is not None:
            raise
        try:
            dataset = read_general(tables, options, str(place), progress)
        except TextEncodingError:
            raise
        except DataError:
            if any(map(has_other_rows, tables)):
                raise
            raise error from None
        if _has_slips(dataset):
            raise
        return dataset
    except DataError:
        if not words or votes is not None or not all(map(has_words, tables)):
            raise
        return read_general(tables, options, str(place), progress)
    refuse_unused(options, f"{place}: its images are crops of faces of 48x48 pixels already", "crop")
    return replace(dataset, fer2013_labels=all(map(is_fer2013, tables)))


def _refuse_with_votes(
    tables: list[Path], place: Path, options: ReadOptions, votes: Path | None, *, selected: bool
) -> None:
    """Refuse options that would drop the FER+ votes: given ones, or those beside the table for FER+'s label set.

    Raises:
        DataError: If there is such an option.
    """
    if votes is not None and options.label_set not in {None, FER2013, FERPLUS}:
        raise DataError(
            f"{place}: the FER+ votes are for the label sets {FER2013.name} and {FERPLUS.name}, got "
            f"{options.label_set.name if options.label_set else ''}. Leave `votes` or `label_set` out."
        )
    if votes is None:
        if options.label_set is not FERPLUS or not all(map(is_fer2013, tables)):
            return
        try:
            find_votes(tables[0].parent)
        except DataError:
            return
    unused = ["merge", "group", *(["class_names"] if selected else [])]
    refuse_unused(options, f"{place}: the FER+ votes count for the whole table and its own classes", *unused)


def _selects_from_fer2013(options: ReadOptions, tables: list[Path]) -> bool:
    """Return whether class names choose among FER2013's classes or reorder them, which the general reader does."""
    order = options.given_order
    if order is None or not options.selects_from(FERPLUS.classes):
        return False
    listed = list(order.names.values())
    usual = len(listed) >= len(FER2013) and all(map(is_same_class, listed, (*FER2013.classes, "contempt")))
    return not usual and all(map(is_fer2013, tables))


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
        dataset = table.to_dataset(options.label_set or table.label_set(order), str(place), order)
        return _with_renamed(dataset, table, order) if all(map(is_fer2013, tables)) else dataset
    table = read(tables, classes=len(FER2013), progress=progress)
    if table.has_synonyms and options.label_set is None and votes is None:  # classes of their own
        return read_general(tables, options, str(place), progress)
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


def _with_renamed(dataset: Dataset, table: Table, order: ClassOrder) -> Dataset:
    """Return the data set with a note about the numbers of FER2013's column that class names give another meaning."""
    numbers = {int(code) for code in np.unique(table.labels) if 0 <= code < ANY_NUMBER}
    names = {number: name for number, name in order.fit(numbers).items() if number in numbers}
    notes = note_renamed(dataset.source, dict(enumerate(FER2013.classes)), names)
    left_out = replace(dataset.left_out, remarks=(*dataset.left_out.remarks, *notes))
    return replace(dataset, left_out=left_out) if notes else dataset


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
