"""Compare the spellings of class names, and describe to the user how names were read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mien.labels import CUSTOM, FER2013, LabelSet, meaning, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_LISTED = 8


def plain_key(name: str) -> str:
    """Return the key of a name: equal for names that differ in case, spaces, hyphens or underscores only."""
    return re.sub(r"[\s_\-]+", " ", name.strip()).casefold()


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return the sort key for natural order: class 2 before class 10."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(0, int(part), "") if part.isdigit() and len(part) < 19 else (1, 0, part) for part in parts]


def is_same_class(name: str, other: str) -> bool:
    """Return whether two class names are equal but for their spelling, or mean the same expression.

    >>> is_same_class("Joy", "happiness"), is_same_class("on_task", "On task"), is_same_class("fear", "anger")
    (True, True, False)
    """
    return plain_key(name) == plain_key(other) or (
        meaning(name) is not None and meaning(name) == meaning(other)
    )


def renaming_notes(places: Iterable[tuple[str, int]], label_set: LabelSet) -> tuple[str, ...]:
    """Return a note about the class names that are read as other words of a label set; none if there are none.

    Args:
        places: class names of the data with their class index.
        label_set: the classes.

    >>> from mien.labels import FER2013
    >>> renaming_notes([("joy", 3), ("Sad faces", 4)], FER2013)
    ('Class names of the data are read as those of the label set fer2013: joy as happy.',)
    """
    told = [
        f"{word[:40]} as {label_set.classes[place]}"
        for word, place in dict.fromkeys(places)
        if not _contains(word, label_set.classes[place])
    ]
    if not told:
        return ()
    of = f"the label set {label_set.name}" if label_set.name != CUSTOM else "the chosen classes"
    return (f"Class names of the data are read as those of {of}: {list_names(told)}.",)


def _contains(word: str, name: str) -> bool:
    """Return whether a word is a class name, or contains it as one of its words, such as `03_happy` and `happy`."""
    words = re.sub(r"[\W\d_]+", " ", word)
    return plain_key(name) == plain_key(word) or f" {plain_key(name)} " in f" {plain_key(words)} "


def doubtful_notes(chosen: LabelSet, classes: Sequence[str]) -> tuple[str, ...]:
    """Return notes about classes with the same meaning, and about one or two classes that may be misspelled."""
    if chosen.name != CUSTOM:
        return ()
    alike = tuple(
        f"{' and '.join(map(quote, names))} usually mean the same expression, but are separate classes here. To merge "
        f"them: `merge={target}={','.join(name for name in names if name != target)}`."
        for names in _of_one_meaning(classes)
        for target in [next((name for name in names if name.lower() in FER2013.classes), names[0])]
    )
    strange = [name for name in classes if meaning(name) is None]
    if not strange or len(strange) > 2 or len(classes) - len(strange) < 4:
        return alike
    what = "is" if len(strange) == 1 else "are"
    note = (
        f"{' and '.join(map(quote, strange))} {what} not a usual name of an expression and became a class of its own. "
        f"If it is a spelling error, merge it: `merge=CLASS={strange[0]}`."
    )
    return (*alike, note)


def _of_one_meaning(classes: Sequence[str]) -> list[list[str]]:
    """Return the groups of two or more classes with the same meaning."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        if (known := meaning(name)) is not None:
            groups.setdefault(known, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def list_names(names: Collection[str]) -> str:
    """Return the first names, for a message."""
    shown = [name[:40] for name in list(names)[:_LISTED]]
    return ", ".join([*shown, "…"] if len(names) > _LISTED else shown)
