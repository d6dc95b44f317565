"""Parse lists of class names: the meaning of class numbers in a data set, or of the outputs of a model.

Every data set numbers the seven or eight expressions in a different order, so a number alone does not identify a class.
Lists can be plain text, or Python objects as printed by a notebook.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.labels import AFFECTNET8, FER2013, FERPLUS, JAFFE, RAFDB, quote

if TYPE_CHECKING:
    from collections.abc import Collection

LEAVE_OUT = "-"
"""The class name that leaves the images of a number out."""

_MOST_CLASSES = 100
_QUOTED = 60


@dataclass(frozen=True)
class ClassOrder:
    """The class name of each number of a data set.

    Args:
        names: `{number: class name}`; `LEAVE_OUT` for numbers whose images are left out.
        counted: whether the numbers are known. Those of a plain list are not: they start at 0 or 1 as in the data set,
            and at 0 in `names`.
    """

    names: Mapping[int, str]
    counted: bool = True

    def fit(self, numbers: Collection[int]) -> Mapping[int, str]:
        """Return the names by number for a data set with these numbers.

        Raises:
            DataError: If a plain list could start at 0 as well as at 1.
        """
        last = len(self.names)
        if self.counted or not numbers or min(numbers) == 0 or max(numbers) > last:
            return self.names
        if max(numbers) < last:
            named = ", ".join(f"{number}={name}" for number, name in self.names.items())
            raise DataError(
                f"Expected the number 0 or {last} among the data's numbers ({spell_numbers(numbers)}), which shows "
                f"whether the {last} class names count from 0 or from 1. Give each name its number: {named}"
            )
        return {number + 1: name for number, name in self.names.items()}


def _count(names: Sequence[str], start: int = 0) -> dict[int, str]:
    return dict(enumerate(names, start))


_CKPLUS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")

CLASS_ORDERS = {
    "rafdb": ClassOrder(_count(RAFDB.classes, 1)),  # http://www.whdeld.cn/var/RAF/model1.html
    "affectnet7": ClassOrder(_count(AFFECTNET8.classes[:7])),
    # Mollahosseini et al. 2017, https://arxiv.org/abs/1708.03985
    "affectnet8": ClassOrder(_count(AFFECTNET8.classes)),
    "ckplus": ClassOrder(_count(_CKPLUS)),  # Lucey et al. 2010, https://doi.org/10.1109/CVPRW.2010.5543262
    JAFFE.name: ClassOrder(_count(JAFFE.classes)),  # alphabetical, as folders are numbered by image loaders
    FER2013.name: ClassOrder(_count(FER2013.classes)),
    FERPLUS.name: ClassOrder(_count(FERPLUS.classes)),
}
"""The orders of known data sets, by name."""

HOW_TO_ORDER = (
    f"give `class_names`: one of {', '.join(CLASS_ORDERS)}, or the names in the order of the numbers, such as "
    f"{','.join(FER2013.classes)}"
)
"""What to do about numbers whose order is not known, as the end of a sentence."""


def get_class_order(class_names: str | Sequence[str | None] | Mapping[Any, Any] | ClassOrder) -> ClassOrder:
    """Return the order of class names: a known order by its name, or a list of names.

    Args:
        class_names: a key of `CLASS_ORDERS`, names in the order of the numbers, or `{number: name}`; as Python
            objects or as printed by a notebook. `"-"` or `None` instead of a name leaves out the images of its
            number.

    Raises:
        DataError: If it is none of these.

    >>> get_class_order("0: angry, 2: happy").names
    {0: 'angry', 2: 'happy'}
    """
    if isinstance(class_names, ClassOrder):
        return class_names
    if isinstance(class_names, str) and (known := CLASS_ORDERS.get(_plain(class_names))):
        return known
    names = _parse_names(class_names)
    if isinstance(names, dict):
        return ClassOrder(names)
    if isinstance(class_names, str) and len(names) == 1:
        raise DataError(
            f"Expected `class_names` to be one of {', '.join(CLASS_ORDERS)}, or names in the order of the numbers "
            f"({','.join(FER2013.classes)}), got {quote(class_names)}."
        )
    return ClassOrder(_count(names), counted=False)


def parse_class_names(class_names: str | Sequence[str] | Mapping[Any, Any]) -> tuple[str, ...]:
    """Parse class names in index order from a list or the text of one.

    Args:
        class_names: `angry,disgust`, `['angry', 'disgust']`, `0: angry, 1: disgust`, a dict in either direction, or
            such Python objects.

    Raises:
        DataError: If it is not such a list, a name is missing or repeated, or the numbers do not start at 0.

    >>> parse_class_names("['angry', 'happy']"), parse_class_names("{'happy': 1, 'angry': 0}")
    (('angry', 'happy'), ('angry', 'happy'))
    """
    names = _parse_names(class_names)
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise DataError(
                f"Expected class names numbered from 0 to {len(names) - 1}, got the numbers {spell_numbers(names)}."
            )
        names = [names[number] for number in sorted(names)]
    if LEAVE_OUT in names:
        raise DataError(f"Expected a class name in each place, got {LEAVE_OUT!r} in {quote(class_names)}.")
    return tuple(names)


def as_ordered(class_names: Any) -> Any:
    """Return class names as a list if they are an array or a column of a table; others are returned unchanged.

    Raises:
        DataError: If they are a set, which has no order.
    """
    if isinstance(class_names, set | frozenset):
        what = type(class_names).__name__
        raise DataError(f"Expected class names in index order, got {what}, which has no order. Give a list.")
    return class_names.tolist() if hasattr(class_names, "tolist") else class_names


def in_index_order(class_names: Any) -> Any:
    """Return the class names of a model in index order; those of a mapping, such as Keras's `class_indices`, by number.

    Raises:
        DataError: If they are a set, or a mapping that does not number them from 0.
    """
    return parse_class_names(class_names) if isinstance(class_names, Mapping) else as_ordered(class_names)


def spell_numbers(numbers: Collection[int]) -> str:
    """Format numbers for a message: `0 to 6`, or `1, 3 and 5`."""
    ordered = sorted(numbers)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    words = [str(number) for number in ordered[:10]]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _plain(name: str) -> str:
    return re.sub(r"[\s_+-]", "", name).casefold()


def _parse_names(given: Any) -> list[str] | dict[int, str]:
    """Parse and check names: in order, or by number if there are numbers."""
    found = _read_text(given) if isinstance(given, str) else as_ordered(given)
    if isinstance(found, Mapping):
        names: list[str] | dict[int, str] = _read_mapping(found, given)
        listed = list(names.values()) if isinstance(names, dict) else names
    elif isinstance(found, list | tuple):
        names = listed = [_read_name(name, given) for name in found]
    else:
        raise _no_names(given, f"got {type(given).__name__}")
    if not 0 < len(listed) <= _MOST_CLASSES:
        raise _no_names(given, f"got {len(listed)} names")
    kept = [name.casefold() for name in listed if name != LEAVE_OUT]
    if twice := sorted({name for name in kept if kept.count(name) > 1}):
        raise _no_names(given, f"got {quote(twice[0])} twice")
    return names


def _read_text(text: str) -> Any:
    """Parse the text of a list or mapping, as printed by Python or NumPy, or separated by commas."""
    inner = re.sub(
        r"^\s*(?:np\.|numpy\.)?array\((.*?)(?:,\s*dtype=.*)?\)\s*$", r"\1", text, flags=re.DOTALL
    ).strip()
    if inner.startswith(("[", "(", "{")):
        if inner[-1] != {"[": "]", "(": ")", "{": "}"}[inner[0]]:
            raise _no_names(text, "got brackets that are not closed")
        if re.search(r"""['"]\s+['"]""", inner):  # NumPy prints arrays without commas
            inner = re.sub(r"""(['"])\s+(['"])""", r"\1, \2", inner)
        try:
            return ast.literal_eval(inner)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            inner = inner.strip("[](){} \n")  # [angry, disgust], without quotes
    parts = [part.strip().strip("'\"").strip() for part in re.split(r"[,;\n]", inner.strip().rstrip(","))]
    if len(parts) == 1 and re.search(r"\s", parts[0]) and not re.search("[:=]", parts[0]):
        parts = parts[0].split()
    pairs = [re.fullmatch(r"['\"]?(\d+)['\"]?\s*[:=]\s*['\"]?(.*?)['\"]?", part, re.DOTALL) for part in parts]
    if any(pairs):
        if not all(pairs):
            raise _no_names(text, "got numbers for some of the names only")
        numbers = [int(pair[1]) for pair in pairs if pair]
        if len(set(numbers)) < len(numbers):
            raise _no_names(text, "got a number twice")
        return {int(pair[1]): pair[2] for pair in pairs if pair}
    return parts


def _read_mapping(found: Mapping[Any, Any], given: object) -> dict[int, str]:
    """Return `{number: name}`, also for `{name: number}`, such as Keras's `class_indices`."""
    if found and all(_is_number(value) for value in found.values()):
        if len(set(map(int, found.values()))) < len(found):
            raise _no_names(given, "got a number twice")
        found = {value: key for key, value in found.items()}
    if not all(_is_number(key) for key in found):
        raise _no_names(given, "got keys that are no numbers")
    return {
        int(key): _read_name(name, given)
        for key, name in sorted(found.items(), key=lambda item: int(item[0]))
    }


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return (hasattr(value, "__index__") and 0 <= int(value) < 1000) or (
        isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}", value.strip()) is not None
    )


def _read_name(name: object, given: object) -> str:
    if name is None:
        return LEAVE_OUT
    text = str(name).strip() if isinstance(name, str) else ""
    if (
        not text
        or not text.isprintable()
        or re.search(r"""[\[\]{}()'"]""", text)
        or re.fullmatch(r"\d+", text)
    ):
        raise _no_names(given, f"got {quote(name)} for a name")
    return text


def _no_names(given: object, what: str) -> DataError:
    ending = "" if len(repr(given)) > _QUOTED else f" ({given!r})"
    return DataError(
        f"Expected class names separated by commas, for example {','.join(FER2013.classes)}, {what}{ending}."
    )
