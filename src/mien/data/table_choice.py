"""Which of several tables make up a data set, told by their names and their first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.dataset import SPLITS
from mien.data.fer2013.columns import peek_header
from mien.data.splits import PACKINGS, TABLE_SUFFIXES, base_name, split_of_table
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """The name of a table without what it is packed in; `fer2013.tar.gz` is `fer2013.csv`."""
    base = base_name(name).lower()
    for packing in sorted(PACKINGS, key=len, reverse=True):
        if packing and base.endswith(packing):
            base = base.removesuffix(packing)
            return base if base.endswith(TABLE_SUFFIXES) else f"{base}.csv"
    return base


def split_or_none(name: str) -> str | None:
    """The split that a table's name tells, `None` where it tells none or two."""
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
    plain = [name for name in left if plain_name(name) in {"train.csv", "val.csv", "test.csv"}]
    if len(left) > 1 and len(plain) != 1:
        raise DataError(
            f"{where}: expected one table for the split {split}, found {', '.join(sorted(left)[:5])}. Give the path of "
            "one, or move the others away."
        )
    return left[0] if len(left) == 1 else plain[0]
