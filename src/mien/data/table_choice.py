"""Choose the tables that form a data set, by their names and first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.dataset import SPLITS
from mien.data.fer2013.columns import peek_header
from mien.data.splits import PACKINGS, TABLE_SUFFIXES, base_name, split_of_table
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE = ("fer2013.csv", "icml_face_data.csv")
"""Names of tables that contain a complete data set, in order of preference."""

HEAD_BYTES = 4096
"""Number of bytes read from a table to parse its header."""


def choose_tables(heads: Mapping[str, bytes], where: str) -> list[str]:
    """Choose the tables that form a data set.

    This is a table named in `WHOLE`; else one table for each split in the names (`train.csv`, `val.csv`, `test.csv` and
    other spellings), the one with labels if a split has two; else the only table.

    Args:
        heads: the first bytes of each table by name; empty if it cannot be read.
        where: the folder or archive, used in messages.

    Returns:
        Their names, in the order of the splits; empty if there is no such table.

    Raises:
        DataError: If two tables contain the same split.
    """
    bases = {plain_name(name): name for name in reversed(list(heads))}
    for whole in WHOLE:
        if whole in bases:
            return [bases[whole]]
    by_split: dict[str, list[str]] = {}
    for name in heads:
        if (split := split_or_none(name)) and _may_hold_pixels(heads[name]):
            by_split.setdefault(split, []).append(name)
    if by_split:
        return [_choose_one(by_split[split], heads, split, where) for split in SPLITS if split in by_split]
    return list(heads) if len(heads) == 1 else []


def plain_name(name: str) -> str:
    """Return the name of a table without its compression suffix: `fer2013.csv` for `fer2013.tar.gz`."""
    base = base_name(name).lower()
    for packing in sorted(PACKINGS, key=len, reverse=True):
        if packing and base.endswith(packing):
            base = base.removesuffix(packing)
            return base if base.endswith(TABLE_SUFFIXES) else f"{base}.csv"
    return base


def split_or_none(name: str) -> str | None:
    """Return the split in the name of a table; `None` if there is none or more than one."""
    try:
        return split_of_table(name)
    except DataError:  # reading this table alone reports the error
        return None


def _may_hold_pixels(head: bytes) -> bool:
    header = peek_header(head)
    return header is None or header.pixels >= 0


def _choose_one(names: list[str], heads: Mapping[str, bytes], split: str, where: str) -> str:
    """Return the table with labels among those of one split; if there are several, the one with the plain name."""
    labeled = [name for name in names if (header := peek_header(heads[name])) and header.label is not None]
    left = labeled or names
    plain = [name for name in left if plain_name(name) in {"train.csv", "val.csv", "test.csv"}]
    if len(left) > 1 and len(plain) != 1:
        raise DataError(
            f"{where}: expected one table for the split {split}, found {', '.join(sorted(left)[:5])}. Give the path of "
            "one, or move the others away."
        )
    return left[0] if len(left) == 1 else plain[0]
