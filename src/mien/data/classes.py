"""Map the names in a data source to classes: those of a label set, of `class_names`, or of the data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.class_names import LEAVE_OUT, parse_class_names
from mien.data.splits import is_split_word
from mien.errors import DataError
from mien.labels import CUSTOM, LabelSet, find_label_set, meaning, quote

if TYPE_CHECKING:
    from collections.abc import Collection

_MOST_CLASSES = 100
_LISTED = 8
_NUMBERED = re.compile(r"\s*([0-9]{1,3})\s*[\s_.\-]\s*(\S.*)")
_NEGATIONS = frozenset({"not", "no", "non", "without", "un"})

Merge = tuple[tuple[str, tuple[str, ...]], ...]
"""New class names, each with the names that become it."""


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


def parse_merge(given: Any) -> Merge:
    """Parse the option `merge`: names that are merged into one class.

    Args:
        given: `"happy=joy,laugh"`, a sequence of such texts, or `{"happy": ["joy", "laugh"]}`.

    Raises:
        DataError: If the value is invalid, or a name is merged into two classes.

    >>> parse_merge("happy=joy,laugh")
    (('happy', ('joy', 'laugh')),)
    """
    if not given:
        return ()
    pairs: list[tuple[str, Sequence[str]]] = []
    if isinstance(given, Mapping):
        pairs = [(str(new), [old] if isinstance(old, str) else list(old)) for new, old in given.items()]
    else:
        for text in [given] if isinstance(given, str) else given:
            if isinstance(text, tuple) and len(text) == 2:
                pairs.append((str(text[0]), list(text[1])))
                continue
            for part in str(text).split(";"):
                new, equals, old = part.partition("=")
                if not equals or not new.strip() or not old.strip():
                    raise DataError(f"Expected a merge such as happy=joy,laugh, got {quote(text)}.")
                pairs.append((new, old.split(",")))
    merge = tuple((new.strip(), tuple(name.strip() for name in old if name.strip())) for new, old in pairs)
    names = [_key(name) for _, old in merge for name in old]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"Expected each name to be merged into one class, got {quote(twice[0])} twice.")
    return merge


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
        class_names: the classes to use, in index order; images of other classes are left out.
        merge: words that are merged into one class, see `parse_merge`.
        in_training: the words in the split Training, if there are splits; all other words must be among them.

    Raises:
        DataError: If a word is not a class of `label_set`, a name in `class_names` or `merge` does not occur, or there
            are fewer than two classes.
    """
    ordered = sorted(names, key=_natural)
    renamed = _merged(ordered, merge, source)
    if label_set is not None:
        return ClassMap(label_set, {name: _index_in(renamed[name], label_set, source) for name in ordered})
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
    index: dict[str, int | None] = {}
    for name in ordered:
        word = kept.get(name) or _bare(renamed[name], renamed.values())
        index[name] = _index_in(word, chosen, source)
    return ClassMap(chosen, index, _notes(chosen, classes))


def parse_word(name: str, label_set: LabelSet) -> int | None:
    """Return the class index of a word or folder name; `None` if there is none or it is ambiguous.

    >>> from mien.labels import FER2013
    >>> [parse_word(name, FER2013) for name in ("Happiness", "03_happy", "happy faces", "happy or sad")]
    [3, 3, 3, None]
    """
    exact = [i for i, known in enumerate(label_set.classes) if _key(known) == _key(name)]
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


def _merged(names: Sequence[str], merge: Merge, source: str) -> dict[str, str]:
    """Return the class of each name after merging."""
    renamed = {name: name.strip() for name in names}
    for new, old in merge:
        for wanted in old:
            found = [name for name in names if _same(name, wanted)]
            if not found:
                raise DataError(
                    f"{source}: expected the names to merge to be among {_listed(names)}, got {quote(wanted)}."
                )
            renamed.update(dict.fromkeys(found, new))
        renamed.update({name: new for name in names if _key(name) == _key(new)})
    return renamed


def _same(name: str, wanted: str) -> bool:
    match = _NUMBERED.fullmatch(name)
    return _key(name) == _key(wanted) or (match is not None and _key(match[2]) == _key(wanted))


def _by_names(renamed: Mapping[str, str], class_names: tuple[str, ...], source: str) -> ClassMap:
    """Return the mapping to the given class names, in this order; other classes are left out."""
    chosen = LabelSet(CUSTOM, class_names)
    index = {name: parse_word(word, chosen) for name, word in renamed.items()}
    there = set(index.values())
    if missing := [name for i, name in enumerate(class_names) if i not in there]:
        raise DataError(
            f"{source}: expected the class names to be among {_listed(renamed)}, got "
            f"{', '.join(map(quote, missing[:_LISTED]))}. Correct `class_names`, or leave it out to use all classes."
        )
    _require_some(chosen, source)
    known = find_label_set(class_names)
    if known is not None and known.classes == class_names:
        chosen = known
    return ClassMap(chosen, index)


def _index_in(word: str, label_set: LabelSet, source: str) -> int | None:
    if word == LEAVE_OUT:
        return None
    index = parse_word(word, label_set)
    if index is None:
        raise DataError(
            f"{source}: found the class {quote(word)}, which is none of the classes of {label_set.name} "
            f"({_listed(label_set.classes)}). Leave `label_set` out to use the classes of the data, merge it into "
            "another class with `merge`, or give `class_names` without it."
        )
    return index


def _require_some(label_set: LabelSet, source: str) -> None:
    if not 2 <= len(label_set) <= _MOST_CLASSES:
        found = f"only {quote(label_set.classes[0])}" if len(label_set) == 1 else f"{len(label_set)}"
        raise DataError(f"{source}: expected 2 to {_MOST_CLASSES} classes, found {found}.")


def _notes(chosen: LabelSet, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a note if all classes but one or two are expressions: those may be misspelled."""
    if chosen.name != CUSTOM:
        return ()
    strange = [name for name in classes if meaning(name) is None]
    if not strange or len(strange) > 2 or len(classes) - len(strange) < 4:
        return ()
    what = "is" if len(strange) == 1 else "are"
    note = (
        f"{' and '.join(map(quote, strange))} {what} not a usual name of an expression and became a class of its own. "
        f" If it is a spelling error, merge it: `merge=CLASS={strange[0]}`."
    )
    return (note,)


def _first_spelling(words: Collection[str], *, numbered: bool) -> list[str]:
    """Return the words in order, without words that differ from another one in case only."""
    ordered = list(words) if numbered else sorted(words, key=_natural)
    seen: dict[str, str] = {}
    for word in ordered:
        seen.setdefault(_key(word), word)
    return list(seen.values())


def _all_numbered(words: Collection[str]) -> bool:
    """Return whether each name begins with a different number, such as `0_bored`, which defines the order."""
    numbers = [match[1] for word in words if (match := _NUMBERED.fullmatch(word))]
    return len(numbers) == len(words) > 0 and len(set(map(int, numbers))) == len(set(map(_key, words)))


def _bare(word: str, words: Collection[str]) -> str:
    """Return a name without its number."""
    if not _all_numbered(words):
        return word
    match = _NUMBERED.fullmatch(word)
    return match[2].strip() if match else word


def _key(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name.strip()).casefold()


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key for natural order: class 2 before class 10."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(0, int(part), "") if part.isdigit() and len(part) < 19 else (1, 0, part) for part in parts]


def _listed(names: Collection[str]) -> str:
    shown = [name[:40] for name in list(names)[:_LISTED]]
    return ", ".join([*shown, "…"] if len(names) > _LISTED else shown)
