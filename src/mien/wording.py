"""Format parts of messages: counts with their noun, and suggestions for misspelled names.

>>> counted(1, "epoch"), counted(2000, "image"), counted(2, "class", "classes")
('1 epoch', '2,000 images', '2 classes')
>>> did_you_mean("smal", ["tiny", "small", "large"])
'Did you mean small?'
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST_NAME = 80
"""Maximum number of characters of a name that are compared."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 file`, `2,000 files`.

    Args:
        number: the count.
        one: the singular of the noun.
        many: its plural; by default the singular with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def and_of(names: Sequence[str]) -> str:
    """Return an enumeration of one or more names: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def one_of(names: Iterable[str]) -> str:
    """Return an enumeration of two or more names: `.csv, .json or .parquet`."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests the closest known name for a misspelled one; empty if none is close.

    Args:
        name: the name as given.
        known: the known names.
    """
    by_folded = {other.casefold(): other for other in known}
    close = get_close_matches(name[:_LONGEST_NAME].casefold(), by_folded, 1)
    return f"Did you mean {by_folded[close[0]]}?" if close else ""
