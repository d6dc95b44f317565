"""Map the names in a data source to classes: those of a label set, of `class_names`, or of the data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.class_names import LEAVE_OUT, parse_class_names
from mien.data.class_spelling import (
    doubtful_notes,
    list_names,
    natural_key,
    plain_key,
    renaming_notes,
)
from mien.data.merging import NUMBERED, Merge, merge_names, parse_merge
from mien.data.splits import is_split_word
from mien.errors import DataError
from mien.labels import CKPLUS, CUSTOM, LabelSet, find_label_set, meaning, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["ClassMap", "Merge", "choose_classes", "is_left_out", "parse_merge", "parse_word"]

_MOST_CLASSES = 100
_LISTED = 8
_NEGATIONS = frozenset({"not", "no", "non", "without", "un"})


@dataclass(frozen=True)
class ClassMap:
    """Mapping from the names in a data source to classes.

    Args:
        label_set: the classes.
        index: class index of each name; `None` for names whose images are left out.
        notes: sentences about how the classes were chosen, for the user.
    """

    label_set: LabelSet
    index: Mapping[str, int | None]
    notes: tuple[str, ...] = ()


def choose_classes(
    names: Collection[str],
    *,
    source: str,
    label_set: LabelSet | None = None,
    class_names: str | Sequence[Any] | Mapping[Any, Any] | None = None,
    merge: Merge = (),
    in_training: Collection[str] | None = None,
) -> ClassMap:
    """Choose the classes of a source whose labels are words.

    Args:
        names: the words, as spelled in the source.
        source: name of the source, used in error messages.
        label_set: the label set to use; by default the classes are those of the words.
        class_names: the classes to use, in index order; images of other classes are left out. With a label set, the
            order is that of the label set.
        merge: words that are merged into one class, see `parse_merge`.
        in_training: the words in the split Training, if there are splits; all other words must be among them.

    Raises:
        DataError: If a word is not a class of `label_set`, a name in `class_names` or `merge` does not occur, or there
            are fewer than two classes.
    """
    ordered = sorted(names, key=natural_key)
    renamed = merge_names(ordered, merge, source)
    if label_set is not None:
        used: Collection[str] = renamed
        if class_names is not None:
            listed = _by_names(renamed, parse_class_names(class_names), source)
            used = {name for name, index in listed.index.items() if index is not None}
        index = {
            name: _index_in(renamed[name], label_set, source) if name in used else None for name in ordered
        }
        return ClassMap(label_set, index, renaming_notes(_renamed(index, renamed), label_set))
    if class_names is not None:
        return _by_names(renamed, parse_class_names(class_names), source)
    shown = {name: renamed[name] for name in ordered if in_training is None or name in in_training}
    merged_to = {new for new, _ in merge}
    kept = {
        name: _bare(word, shown.values()) if word not in merged_to else word for name, word in shown.items()
    }
    classes = list(dict.fromkeys(_first_spelling(kept.values(), numbered=_all_numbered(shown.values()))))
    known = find_label_set(classes)
    chosen = known or LabelSet(CUSTOM, tuple(classes))
    _require_some(chosen, source)
    words = {name: kept.get(name) or _bare(renamed[name], renamed.values()) for name in ordered}
    places = {name: _index_in(word, chosen, source) for name, word in words.items()}
    notes = (*renaming_notes(_renamed(places, words), chosen), *doubtful_notes(chosen, classes))
    return ClassMap(chosen, places, notes)


def _renamed(index: Mapping[str, int | None], words: Mapping[str, str]) -> list[tuple[str, int]]:
    """Return the word and the class index of each name that is not left out."""
    return [(words[name], place) for name, place in index.items() if place is not None]


def parse_word(name: str, label_set: LabelSet) -> int | None:
    """Return the class index of a word or folder name; `None` if there is none or it is ambiguous.

    >>> from mien.labels import FER2013
    >>> [parse_word(name, FER2013) for name in ("Happiness", "03_happy", "happy faces", "happy or sad")]
    [3, 3, 3, None]
    """
    exact = [i for i, known in enumerate(label_set.classes) if plain_key(known) == plain_key(name)]
    if exact:
        return exact[0]
    words = re.findall(r"[^\W\d_]+", name.casefold())
    found = {index for word in words if (index := _index_of_word(word, label_set)) is not None}
    doubtful = any(word in _NEGATIONS or is_split_word(word) for word in words)
    return found.pop() if len(found) == 1 and not doubtful else None


def _index_of_word(word: str, label_set: LabelSet) -> int | None:
    try:
        return label_set.index(word)
    except DataError:
        return None


def is_left_out(name: str, label_set: LabelSet) -> bool:
    """Return whether the images of a class are left out of a label set: those of `neutral` in CK+.

    CK+ has an eighth class for the neutral face at the start of each sequence, which its label set does not contain.
    """
    return label_set == CKPLUS and meaning(name) == "neutral"


def _by_names(renamed: Mapping[str, str], class_names: tuple[str, ...], source: str) -> ClassMap:
    """Return the mapping to the given class names, in this order; other classes are left out."""
    chosen = LabelSet(CUSTOM, class_names)
    exact = {place for word in renamed.values() if (place := _exactly(word, chosen)) is not None}
    index: dict[str, int | None] = {}
    for name, word in renamed.items():
        place = parse_word(word, chosen)
        # A synonym is used only if the data have no class of that very name: calm is not neutral if both exist.
        index[name] = None if place in exact and _exactly(word, chosen) is None else place
    there = set(index.values())
    if missing := [name for i, name in enumerate(class_names) if i not in there]:
        raise DataError(
            f"{source}: expected the class names to be among {list_names(renamed)}, got "
            f"{', '.join(map(quote, missing[:_LISTED]))}. Correct `class_names`, or leave it out to use all classes."
        )
    _require_some(chosen, source)
    known = find_label_set(class_names)
    if known is not None and known.classes == class_names:
        chosen = known
    return ClassMap(chosen, index, renaming_notes(_renamed(index, renamed), chosen))


def _exactly(word: str, label_set: LabelSet) -> int | None:
    """Return the index of the class that a name contains literally, such as `happy` in `03_happy`; else `None`."""
    place = parse_word(word, label_set)
    if place is None or renaming_notes([(word, place)], label_set):
        return None
    return place


def _index_in(word: str, label_set: LabelSet, source: str) -> int | None:
    if word == LEAVE_OUT or is_left_out(word, label_set):
        return None
    index = parse_word(word, label_set)
    if index is None:
        raise DataError(
            f"{source}: found the class {quote(word)}, which is none of the classes of {label_set.name} "
            f"({list_names(label_set.classes)}). Leave `label_set` out to use the classes of the data, merge it into "
            "another class with `merge`, or give `class_names` without it."
        )
    return index


def _require_some(label_set: LabelSet, source: str) -> None:
    if not 2 <= len(label_set) <= _MOST_CLASSES:
        found = f"only {quote(label_set.classes[0])}" if len(label_set) == 1 else f"{len(label_set)}"
        raise DataError(f"{source}: expected 2 to {_MOST_CLASSES} classes, found {found}.")


def _first_spelling(words: Collection[str], *, numbered: bool) -> list[str]:
    """Return the words in order, without words that differ from another one in case only."""
    ordered = list(words) if numbered else sorted(words, key=natural_key)
    seen: dict[str, str] = {}
    for word in ordered:
        seen.setdefault(plain_key(word), word)
    return list(seen.values())


def _all_numbered(words: Collection[str]) -> bool:
    """Return whether each name begins with a different number, such as `0_bored`, which defines the order."""
    numbers = [match[1] for word in words if (match := NUMBERED.fullmatch(word))]
    return len(numbers) == len(words) > 0 and len(set(map(int, numbers))) == len(set(map(plain_key, words)))


def _bare(word: str, words: Collection[str]) -> str:
    """Return a name without its number."""
    if not _all_numbered(words):
        return word
    match = NUMBERED.fullmatch(word)
    return match[2].strip() if match else word
