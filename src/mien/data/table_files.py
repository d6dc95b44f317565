"""Find the tables in a folder that form a data set."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from mien.data.fer2013.archive import open_tables
from mien.data.fer2013.columns import peek_header
from mien.data.splits import PACKINGS, is_table
from mien.data.table_choice import HEAD_BYTES, WHOLE, choose_tables, plain_name, split_or_none
from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def find_tables(folder: Path) -> list[Path]:
    """Return the tables in a folder that form a data set, plain or compressed; empty if there are none.

    Raises:
        DataError: If the folder cannot be read, or two tables contain the same split.
    """
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder of data, but it cannot be read ({error.strerror})."
        ) from error
    packed = [WHOLE[0].removesuffix(".csv") + packing for packing in PACKINGS[1:]]  # fer2013.tar.gz
    tables = [path for path in files if is_table(path.name, packed=True) or path.name.lower() in packed]
    tables = [
        path for path in tables if plain_name(path.name) in WHOLE or path.name.lower() in packed
    ] or tables
    heads = {path.name: _read_head(path) for path in tables}
    if (
        len(heads) == 1
        and not any(map(split_or_none, heads))
        and not any(plain_name(name) in WHOLE for name in heads)
    ):
        header = peek_header(next(iter(heads.values())))
        if header is None or header.pixels < 0:  # another table next to images
            return []
    return [folder / name for name in choose_tables(heads, str(folder))]


def other_tables(folder: Path, chosen: list[Path]) -> list[str]:
    """Return the names of the other tables in a folder that contain images."""
    tables = [
        path for path in sorted(folder.iterdir()) if is_table(path.name, packed=True) and path.is_file()
    ]
    headers = {path.name: peek_header(_read_head(path)) for path in tables if path not in chosen}
    return [name for name, header in headers.items() if header is not None and header.pixels >= 0]


def is_fer2013(path: Path) -> bool:
    """Return whether the labels of a table are in FER2013's column."""
    header = peek_header(_read_head(path))
    return header is not None and header.is_fer2013


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file, closing(open_tables(path, file)) as members:
            return next(members).stream.read(HEAD_BYTES)
    except (DataError, OSError, StopIteration):  # reading the table reports the error
        return b""
