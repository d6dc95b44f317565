"""Merge classes: the option `merge`, such as `happy=joy,laugh`, and the names of a data source that it applies to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from mien.data.class_spelling import list_names, plain_key
from mien.errors import DataError
from mien.labels import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NUMBERED = re.compile(r"\s*([0-9]{1,3})\s*[\s_.\-]\s*(\S.*)")
"""A class name that begins with its number, such as `0_bored`."""

Merge = tuple[tuple[str, tuple[str, ...]], ...]
"""New class names, each with the names that become it."""

_LONGEST_EXAMPLE = 80


def parse_merge(given: Any) -> Merge:
    """Parse the option `merge`: names that are merged into one class.

    Args:
        given: `"happy=joy,laugh"`, a sequence of such texts, or `{"happy": ["joy", "laugh"]}`.

    Raises:
        DataError: If the value is invalid, a name is merged into two classes, or a new name is merged itself.

    >>> parse_merge("happy=joy,laugh")
    (('happy', ('joy', 'laugh')),)
    >>> parse_merge(["happy=joy", "happy=laugh"])
    (('happy', ('joy', 'laugh')),)
    """
    if not given:
        return ()
    merge: dict[str, tuple[str, tuple[str, ...]]] = {}
    for new, old in _merge_pairs(given):
        first, before = merge.get(plain_key(new), (new.strip(), ()))
        names = tuple(name.strip() for name in old if name.strip())
        if not first or not names:
            raise _invalid_merge(given)
        merge[plain_key(new)] = (first, (*before, *names))
    counts = Counter(plain_key(name) for _, old in merge.values() for name in old)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(f"Expected each name to be merged into one class, got {quote(twice[0])} twice.")
    _refuse_chains(tuple(merge.values()))
    return tuple(merge.values())


def _merge_pairs(given: Any) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each new name and the names that become it, as in the option `merge`."""
    if isinstance(given, Mapping):
        given = tuple(given.items())
    elif isinstance(given, str):
        given = given.split(";")
    if not isinstance(given, Collection):
        raise _invalid_merge(given)
    for item in given:
        if isinstance(item, tuple) and len(item) == 2:
            new, old = item
            names = [old] if isinstance(old, str) else old
            if not isinstance(names, Collection):
                raise _invalid_merge({new: old})
            yield str(new), [str(name) for name in names]
            continue
        for part in str(item).split(";"):
            new, equals, old = part.partition("=")
            if not equals:
                raise _invalid_merge(part)
            yield new, old.split(",")


def _invalid_merge(given: Any) -> DataError:
    return DataError(f"Expected a merge such as happy=joy,laugh, got {quote(given)}.")


def _refuse_chains(merge: Merge) -> None:
    """Raise an error if the new name of a merge is merged into another class: the order would decide about it."""
    for new, old in merge:
        for other, names in merge:
            if other != new and plain_key(new) in map(plain_key, names):
                whole = f"{other}={','.join(dict.fromkeys((*names, *old)))}"
                raise DataError(
                    f"Expected the new name of a merge not to be merged itself, got {quote(new)}, which becomes "
                    f"{quote(other)}. Write one merge for all of the names, such as {whole[:_LONGEST_EXAMPLE]}."
                )


def merge_names(names: Sequence[str], merge: Merge, source: str) -> dict[str, str]:
    """Return the class of each name after merging.

    Raises:
        DataError: If a name to merge does not occur, or a name would become two classes.
    """
    merged: dict[str, str] = {}
    for new, old in merge:
        for wanted in old:
            if not any(_same(name, wanted) for name in names):
                raise DataError(
                    f"{source}: expected the names to merge to be among {list_names(names)}, got {quote(wanted)}."
                )
        becoming = [name for name in names if any(_same(name, wanted) for wanted in (new, *old))]
        if twice := [name for name in becoming if name in merged]:
            raise DataError(
                f"{source}: expected each name to be merged into one class, got {quote(twice[0])} for "
                f"{quote(merged[twice[0]])} and {quote(new)}."
            )
        merged.update(dict.fromkeys(becoming, new))
    return {name: name.strip() for name in names} | merged


def _same(name: str, wanted: str) -> bool:
    match = NUMBERED.fullmatch(name)
    return plain_key(name) == plain_key(wanted) or (
        match is not None and plain_key(match[2]) == plain_key(wanted)
    )
