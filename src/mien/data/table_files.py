"""Which of the tables in a folder or an archive make up a data set."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from mien.data.dataset import SPLITS
from mien.data.fer2013.columns import peek_header
from mien.data.splits import PACKINGS, TABLE_SUFFIXES, base_name, is_table, split_of_table
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHOLE = ("fer2013.csv", "icml_face_data.csv")
"""Tables that are a whole data set by themselves, the better first."""

HEAD_BYTES = 4096
"""What is read of a table to see its header."""


def choose_tables(heads: Mapping[str, bytes], where: str) -> list[str]:
    """Those of some tables that make up a data set.

    That is one of `WHOLE`; else one for each split that a name tells (`train.csv`, `val.csv`, `test.csv` and other
    spellings), the one with labels where there are two; else the only table.

    Args:
        heads: the names of the tables, each with its first bytes, or nothing where they cannot be read.
        where: what holds them, for messages.

    Returns:
        Their names, in the order of the splits; none where none fits.

    Raises:
        DataError: two tables hold the same split.
    """
    bases = {_plain(name): name for name in reversed(list(heads))}
    for whole in WHOLE:
        if whole in bases:
            return [bases[whole]]
    by_split: dict[str, list[str]] = {}
    for name in heads:
        if (split := _split(name)) and _may_hold_pixels(heads[name]):
            by_split.setdefault(split, []).append(name)
    if by_split:
        return [_choose_one(by_split[split], heads, split, where) for split in SPLITS if split in by_split]
    return list(heads) if len(heads) == 1 else []


def find_tables(folder: Path) -> list[Path]:
    """The tables in a folder that make up a data set, plain or packed; nothing where there are none.

    Raises:
        DataError: the folder cannot be read, or two tables hold the same split.
    """
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder of data, but it cannot be read ({error.strerror})."
        ) from error
    packed = [WHOLE[0].removesuffix(".csv") + packing for packing in PACKINGS[1:]]  # fer2013.tar.gz
    tables = [path for path in files if is_table(path.name, packed=True) or path.name.lower() in packed]
    tables = [path for path in tables if _plain(path.name) in WHOLE or path.name.lower() in packed] or tables
    heads = {path.name: _read_head(path) for path in tables}
    if len(heads) == 1 and not any(map(_split, heads)) and not any(_plain(name) in WHOLE for name in heads):
        header = peek_header(next(iter(heads.values())))
        if header is None or header.pixels < 0:  # some other table beside images
            return []
    return [folder / name for name in choose_tables(heads, str(folder))]


def other_tables(folder: Path, chosen: list[Path]) -> list[str]:
    """The names of the tables in a folder that hold images too but were not chosen."""
    tables = [
        path for path in sorted(folder.iterdir()) if is_table(path.name, packed=True) and path.is_file()
    ]
    headers = {path.name: peek_header(_read_head(path)) for path in tables if path not in chosen}
    return [name for name, header in headers.items() if header is not None and header.pixels >= 0]


def is_fer2013(path: Path) -> bool:
    """Whether a table's labels stand in FER2013's own column."""
    header = peek_header(_read_head(path))
    return header is not None and header.is_fer2013


def _read_head(path: Path) -> bytes:
    from mien.data.fer2013.archive import open_tables

    try:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            return next(members).stream.read(HEAD_BYTES)
    except (DataError, OSError, StopIteration):  # whoever reads it will say what is wrong
        return b""


def _plain(name: str) -> str:
    """The name of a table without what it is packed in; `fer2013.tar.gz` is `fer2013.csv`."""
    base = base_name(name).lower()
    for packing in sorted(PACKINGS, key=len, reverse=True):
        if packing and base.endswith(packing):
            base = base.removesuffix(packing)
            return base if base.endswith(TABLE_SUFFIXES) else f"{base}.csv"
    return base


def _split(name: str) -> str | None:
    try:
        return split_of_table(name)
    except DataError:  # a name of two splits is said where the table is read alone
        return None


def _may_hold_pixels(head: bytes) -> bool:
    header = peek_header(head)
    return header is None or header.pixels >= 0


def _choose_one(names: list[str], heads: Mapping[str, bytes], split: str, where: str) -> str:
    """Of the tables of one split, the one with labels; of several such, the one that is called plainly."""
    labelled = [name for name in names if (header := peek_header(heads[name])) and header.label is not None]
    left = labelled or names
    plain = [name for name in left if _plain(name) in {"train.csv", "val.csv", "test.csv"}]
    if len(left) > 1 and len(plain) != 1:
        raise DataError(
            f"{where}: expected one table for the split {split}, found {', '.join(sorted(left)[:5])}. Give the path of "
            "one, or move the others away."
        )
    return left[0] if len(left) == 1 else plain[0]
