"""Classes of folder names: words, or numbers whose order is given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mien.class_names import HOW_TO_ORDER, LEAVE_OUT, spell_numbers
from mien.data.classes import is_left_out, parse_word
from mien.data.fer2013.table import lacking
from mien.errors import DataError
from mien.labels import BUNDLED_LABEL_SETS, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mien.class_names import ClassOrder
    from mien.labels import LabelSet

_NUMBER = re.compile(r"(?:class|label|emotion|expression|category)?[\s_-]*([0-9]{1,3})", re.IGNORECASE)
_LISTED = 5  # maximum number of names in one sentence


def parse_number(name: str) -> int | None:
    """Return the number in a folder name, or `None`.

    >>> [parse_number(name) for name in ("3", "03", "class_3", "3_happy", "happy")]
    [3, 3, 3, None, None]
    """
    match = _NUMBER.fullmatch(name.strip())
    return int(match[1]) if match else None


def names_of_numbers(root: Path, folders: Sequence[Path], order: ClassOrder | None) -> Mapping[int, str]:
    """Return the class names of folders named by numbers.

    Raises:
        DataError: If there are numbers without an order, or an order without numbers.
    """
    numbers = {number for folder in folders if (number := parse_number(folder.name)) is not None}
    if order is None and numbers:
        raise DataError(
            f"{root}: its folders are named by numbers ({spell_numbers(numbers)}), and every data set numbers the "
            f"expressions in another order. To say which, {HOW_TO_ORDER}."
        )
    if order is not None and not numbers and folders:
        raise DataError(
            f"{root}: expected folders named by numbers, which `class_names` would name, found words "
            f"({', '.join(sorted({folder.name for folder in folders})[:_LISTED])}). Leave `class_names` out."
        )
    return {} if order is None else order.fit(numbers)


def class_words(root: Path, folders: Sequence[Path], order: ClassOrder | None) -> dict[Path, str]:
    """Return the class name of each folder; numbers are replaced by the names of their order.

    Raises:
        DataError: If there are numbers without an order, or numbers that the order does not contain.
    """
    numbers = {folder: number for folder in folders if (number := parse_number(folder.name)) is not None}
    names = names_of_numbers(root, folders, order if numbers else None)
    words = {}
    for folder in folders:
        number = numbers.get(folder)
        if number is not None and number not in names:
            raise DataError(
                f"{folder}: `class_names` names the numbers {spell_numbers(names)} only. Name this one too, or "
                f"leave its images out with {LEAVE_OUT!r} in its place."
            )
        words[folder] = folder.name if number is None else names[number]
    return words


def find_label(folder: Path, label_set: LabelSet, names: Mapping[int, str]) -> int | None:
    """Return the class index of the images in a folder; `None` if they are left out.

    Raises:
        DataError: If the name is not a class.
    """
    number = parse_number(folder.name)
    if number is None:
        if (label := parse_word(folder.name, label_set)) is not None:
            return label
        if is_left_out(folder.name, label_set):
            return None
        others = [
            other.name for other in BUNDLED_LABEL_SETS.values() if parse_word(folder.name, other) is not None
        ]
        choose = f", or choose `label_set={others[0]}`, which has it" if others else ""
        raise DataError(
            f"{folder}: expected a folder named for one of the labels {', '.join(label_set.classes)}, "
            f"got {quote(folder.name)}. Rename it or move it away{choose}."
        )
    name = names.get(number)
    if name is None:
        raise DataError(
            f"{folder}: `class_names` names the numbers {spell_numbers(names)} only. Name this one too, or "
            f"leave its images out with {LEAVE_OUT!r} in its place."
        )
    if name == LEAVE_OUT or is_left_out(name, label_set):
        return None
    label = parse_word(name, label_set)
    if label is None:
        raise DataError(
            f"{folder}: `class_names` calls this {quote(name)}, {lacking(name, label_set, numbered=True)}"
        )
    return label
