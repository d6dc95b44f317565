"""Values that results are made of: numbers that are native, finite and in range, lists, flags; whatever came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.quoting import quoted

TOLERANCE = 1e-3
"""How far a probability may be outside [0, 1]: what float16 and int8 networks are off by."""


def finite(value: Any, what: str) -> float:
    """A finite number as a float.

    Args:
        value: an int, a float or a number of NumPy's.
        what: what to call it in an error.

    Raises:
        DataError: it is no number, or NaN or infinite.
    """
    if type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, int | np.floating | Real):
            raise DataError(f"Expected the {what} as a number, got {quoted(value)}.")
        try:
            value = float(value)
        except OverflowError as error:
            raise DataError(f"Expected the {what} as a finite number, got {quoted(value)}.") from error
    if not math.isfinite(value):
        raise DataError(f"Expected the {what} as a finite number, got {value}.")
    return float(value)


def share(value: Any, what: str) -> float:
    """A number in [0, 1] as a float; what is outside by rounding alone is set to 0 or 1.

    Raises:
        DataError: it is not.
    """
    number = finite(value, what)
    if 0 <= number <= 1:
        return number
    if not -TOLERANCE <= number <= 1 + TOLERANCE:
        percent = " Divide percentages by 100." if 1 < number <= 100 else ""
        raise DataError(f"Expected the {what} in [0, 1], got {number:g}.{percent}")
    return min(max(number, 0.0), 1.0)


def whole(value: Any, what: str, unit: str) -> int:
    """A whole number as an int.

    Raises:
        DataError: it is not.
    """
    number = value if type(value) is int else finite(value, what)
    if number != int(number):
        raise DataError(f"Expected the {what} in whole {unit}, got {number:g}. Round it first.")
    return int(value)


def items_of(value: Any) -> list[Any] | None:
    """What is in a list, an array or anything else that gives one item after another; `None` where it is none.

    Text, bytes and mappings are none.
    """
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not is_iterable(value):
        return None
    return list(value)


def is_iterable(value: Any) -> bool:
    """Whether something gives one item after another."""
    try:
        iter(value)
    except TypeError:
        return False
    return True


def flag(value: Any, what: str) -> bool:
    """A setting that is on or off.

    Raises:
        DataError: it is neither `True` or 1 nor `False`, 0 or `None`.
    """
    if value is None or (isinstance(value, Real | np.bool_) and value in {0, 1}):
        return bool(value)
    raise DataError(f"Expected {what} as True or False, got {quoted(value)}.")
