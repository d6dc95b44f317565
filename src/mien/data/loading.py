"""The one front door to data: tells what a path is and hands it to the room that reads it."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.class_names import CLASS_ORDERS, get_class_order
from mien.data.fer2013.cache import read_cached
from mien.data.fer2013.reader import read_arrays
from mien.data.fer2013.table import ANY_NUMBER
from mien.data.image_sheets import is_sheets, read_sheets
from mien.data.table_files import find_tables, is_fer2013, other_tables
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, Taxonomy, get_taxonomy, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.class_names import ClassOrder
    from mien.data.dataset import Dataset
    from mien.data.fer2013.reader import Progress

__all__ = ["find_tables", "find_votes", "load"]

SYNTHETIC = "synthetic"
SYNTHETIC_FACES = 4200
"""How many faces are drawn unless a number is given: enough to learn from in a minute."""

MOST_FACES = 1_000_000
"""More take gigabytes and a quarter of an hour."""

_MOST_WRAPPERS = 4
_LONGEST_NAME = 200  # characters of a path that a message repeats where there is no such file
_BASE64 = re.compile(r"(?:data:[\w/+.-]*;base64,)?[A-Za-z0-9+/_\s-]{200,}={0,2}\s*")


def load(
    path: str | os.PathLike[str],
    labels: str = FER2013.name,
    *,
    class_names: str | Sequence[str | None] | Mapping[Any, Any] | None = None,
    votes: str | os.PathLike[str] | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set, whatever its form.

    Args:
        path: a FER2013 table or an archive of one, a folder that holds one, a folder of images in folders
            named for their labels, a folder of sheets (see `mien.data.image_sheets`), or `synthetic`, `synthetic:N`,
            `synthetic:N:SEED` for N drawn faces.
        labels: name of the label set, `fer2013` or `ferplus`.
        class_names: what the numbers stand for by which folders or labels are given, for every data set counts in an
            order of its own: `rafdb`, `affectnet7`, `affectnet8`, `fer2013` or `ferplus`; the names in the order of
            the numbers, counted from 0 or 1 as the data do; or `{number: name}`. The images of a number that is
            called `"-"` are left out. FER2013's own column `emotion` needs none.
        votes: the FER+ votes for a table: `fer2013new.csv`, or the folder that holds `FER2013Train`; looked
            for beside the table when not given. With the labels `fer2013` they are attached to the images
            where they are named, for a training that learns both.
        cache: keep the arrays of a table for the next time, see `mien.data.fer2013.cache`.
        progress: called with what is done and what is in all: bytes of a table, images of a folder.

    Returns:
        The data set; its `left_out` names the images that could not be read and counts the files passed over.

    Raises:
        DataError: there is nothing at the path, it is not what it should be, or an argument is of another kind.
    """
    taxonomy = get_taxonomy(labels)
    order = None if class_names is None else get_class_order(class_names)
    spec = str(path) if isinstance(path, str | os.PathLike) else ""
    if spec.partition(":")[0] == SYNTHETIC:
        if order is not None:
            raise DataError("Drawn faces have no numbers that class_names would name. Leave class_names out.")
        if votes is not None:
            raise DataError("The FER+ votes belong to FER2013's table, not to drawn faces. Leave votes out.")
        return _draw(spec, taxonomy)
    place = _find_place(path, "a data set")
    votes = None if votes is None else _find_place(votes, "the FER+ votes")
    if place.is_dir() and is_sheets(place):
        if votes is not None or order is not None:
            raise DataError(f"{place}: its labels are words. Leave votes and class_names out.")
        return read_sheets(place, taxonomy)
    tables = _descend_to_tables(place) if place.is_dir() else [place]
    if tables:
        dataset = _load_tables(tables, place, taxonomy, order, votes, cache=cache, progress=progress)
        others = tuple(other_tables(tables[0].parent, tables)) if place.is_dir() else ()
        return replace(dataset, left_out=replace(dataset.left_out, tables=others)) if others else dataset
    from mien.data.folders import read_folders

    if votes is not None:
        raise DataError(
            f"{place}: the FER+ votes belong to FER2013's table, not to a folder of images. Leave votes out."
        )
    return read_folders(place, taxonomy, order, progress=progress)


def _descend_to_tables(folder: Path) -> list[Path]:
    """The tables in a folder, or in the only folder in it, as unpacked archives often are."""
    for _ in range(_MOST_WRAPPERS):
        if tables := find_tables(folder):
            return tables
        inner = [
            entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))
        ]
        if len(inner) != 1:
            break
        folder = inner[0]
    return []


def _load_tables(
    tables: list[Path],
    place: Path,
    taxonomy: Taxonomy,
    order: ClassOrder | None,
    votes: Path | None,
    *,
    cache: bool,
    progress: Progress | None,
) -> Dataset:
    read = read_cached if cache else read_arrays
    if order is CLASS_ORDERS[FER2013.name] and all(map(is_fer2013, tables)):
        order = None
    if order is not None:
        if votes is not None:
            raise DataError(
                f"{place}: the FER+ votes belong to FER2013's own table. Leave votes or class_names out."
            )
        return read(tables, classes=ANY_NUMBER, progress=progress).to_dataset(taxonomy, str(place), order)
    table = read(tables, classes=len(FER2013), progress=progress)
    if taxonomy is not FERPLUS and votes is None:
        return table.to_dataset(taxonomy, str(place))
    from mien.data.ferplus import attach_votes, join_votes

    try:
        votes = find_votes(tables[0].parent) if votes is None else votes
    except DataError:
        if table.has_words:  # which say what they mean by themselves
            return table.to_dataset(taxonomy, str(place))
        raise
    join = join_votes if taxonomy is FERPLUS else attach_votes
    return join(table.to_dataset(FER2013, str(place)), votes)


def _find_place(path: Any, what: str) -> Path:
    """A path that may lead somewhere.

    Raises:
        DataError: it is none, or what it leads to cannot be looked at.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(name := os.fspath(path), str):
        raise DataError(f"Expected the path of {what}, as text or a Path, got {type(path).__name__}.")
    if not name.strip():
        raise DataError(f"Expected the path of {what}, got an empty one.")
    if _BASE64.fullmatch(name[:5000]) and not os.path.lexists(name[:255]):
        raise DataError(
            f"Expected the path of {what}, got {len(name):,} characters that look like base64. Decode them and write "
            "them into a file first."
        )
    if re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE):
        raise DataError(f"{_cut(name)}: expected the path of {what}, got an address. Download it first.")
    try:
        mode = Path(name).stat().st_mode
    except FileNotFoundError as error:
        raise DataError(
            f"{_cut(name)}: expected {what}, found no such file or folder. Is the path right?"
        ) from error
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links, bytes that no name has
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{_cut(name)}: expected the path of {what}, but it cannot be opened ({reason})."
        ) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # reading a pipe would wait for its writer
        raise DataError(
            f"{_cut(name)}: expected {what}, found a pipe or a device. Write it into a file first."
        )
    return Path(name)


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME and name.isprintable() else quote(name)


def _draw(spec: str, taxonomy: Taxonomy) -> Dataset:
    _, *numbers = spec.split(":")
    if len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,18}", number) for number in numbers):
        raise DataError(
            f"Expected {SYNTHETIC}, {SYNTHETIC}:N or {SYNTHETIC}:N:SEED with whole numbers, got {quote(spec)}."
        )
    from mien.data.synthetic.dataset import synthetic_dataset

    n, seed = [*map(int, numbers), *(SYNTHETIC_FACES, 0)[len(numbers) :]]
    if n > MOST_FACES:
        raise DataError(f"Expected {MOST_FACES:,} drawn faces at most, got {n:,}.")
    return synthetic_dataset(n=n, seed=seed, taxonomy=taxonomy)


def find_votes(folder: Path) -> Path:
    """The FER+ votes beside a table.

    Raises:
        DataError: there are none.
    """
    for place in (folder, folder / "ferplus", folder / "FERPlus", folder / "FERPlus" / "data"):
        if (place / "FER2013Train" / "label.csv").is_file():
            return place
        if (place / "fer2013new.csv").is_file():
            return place / "fer2013new.csv"
    raise DataError(
        f"{folder}: expected the FER+ votes (fer2013new.csv or FER2013Train/label.csv) beside the table, "
        "found none. Get them at https://github.com/microsoft/FERPlus and name them with --votes PATH."
    )
