"""Words for messages: counts with their noun, and the known name that a misspelled one may stand for.

>>> counted(1, "epoch"), counted(2000, "image"), counted(2, "class", "classes")
('1 epoch', '2,000 images', '2 classes')
>>> did_you_mean("smal", ["tiny", "small", "large"])
'Did you mean small?'
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_NAME = 80
"""Characters of a name that are compared; longer input is no misspelled name."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 file`, `2,000 files`.

    Args:
        number: how many.
        one: the noun in the singular.
        many: the plural, where it is not the singular with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the known name that is closest to a misspelled one; empty if none is close.

    Args:
        name: what was given.
        known: the names that there are.
    """
    by_folded = {other.casefold(): other for other in known}
    close = get_close_matches(name[:_LONGEST_NAME].casefold(), by_folded, 1)
    return f"Did you mean {by_folded[close[0]]}?" if close else ""
