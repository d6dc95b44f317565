"""Convert and validate arguments: finite numbers, numbers in [0, 1], integers, lists and booleans."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.quoting import quoted

TOLERANCE = 1e-3
"""Maximum distance of a probability from [0, 1], due to the rounding of float16 and int8 networks."""

MOST_THREADS = 256
"""Maximum number of threads; more would take longer to start than to do the work."""


def finite_float(value: Any, what: str) -> float:
    """Convert a value to a finite float.

    Args:
        value: an int, a float or a NumPy number.
        what: name of the value in error messages.

    Raises:
        DataError: If it is not a number, or is NaN or infinite.
    """
    if type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, int | np.floating | Real):
            raise DataError.from_parts(expected=f"the {what} as a number", received=quoted(value))
        try:
            value = float(value)
        except OverflowError as error:
            raise DataError.from_parts(
                expected=f"the {what} as a finite number", received=quoted(value)
            ) from error
    if not math.isfinite(value):
        raise DataError.from_parts(expected=f"the {what} as a finite number", received=f"{value}")
    return float(value)


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number."""
    try:
        finite_float(value, "value")
    except DataError:
        return False
    return True


def unit_float(value: Any, what: str) -> float:
    """Convert a value to a float in [0, 1]; values outside by at most `TOLERANCE` are clipped.

    Raises:
        DataError: If it is not a number in [0, 1].
    """
    number = finite_float(value, what)
    if 0 <= number <= 1:
        return number
    if not -TOLERANCE <= number <= 1 + TOLERANCE:
        percent = " Divide percentages by 100." if 1 < number <= 100 else ""
        raise DataError(f"Expected the {what} in [0, 1], got {number:g}.{percent}")
    return min(max(number, 0.0), 1.0)


def whole_number(value: Any, what: str, unit: str) -> int:
    """Convert a number without a fractional part to an int.

    Raises:
        DataError: If it is not a number or has a fractional part.
    """
    number = value if type(value) is int else finite_float(value, what)
    if number != int(number):
        raise DataError.from_parts(
            expected=f"the {what} in whole {unit}", received=f"{number:g}", remedy="Round it first."
        )
    return int(value)


def to_list(value: Any) -> list[Any] | None:
    """Convert an iterable to a list; `None` for strings, bytes, mappings and non-iterable values."""
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not is_iterable(value):
        return None
    return list(value)


def is_iterable(value: Any) -> bool:
    """Return whether a value is iterable."""
    try:
        iter(value)
    except (TypeError, NotImplementedError):  # the latter for a memoryview of several dimensions
        return False
    return True


def check_several(images: Any) -> None:
    """Raise an error for a single image, whose characters, bytes or rows would be treated as images, or a table.

    Args:
        images: the argument of `predict_batch`.

    Raises:
        DataError: If it is a single image, a table or not iterable.
    """
    remedy = "Put it into a list: predict_batch([image])."
    if isinstance(images, str | os.PathLike):
        got = "one path"
    elif isinstance(images, bytes | bytearray | memoryview):
        got = "the bytes of one image"
    elif isinstance(images, np.ndarray) and _is_one_image(images):
        got = f"one array of shape {images.shape}"
    elif hasattr(type(images), "columns"):  # iterating over it would return the names of its columns
        got, remedy = (
            f"a table ({type(images).__name__})",
            'Pass one of its columns: predict_batch(table["path"]).',
        )
    elif hasattr(images, "read") or isinstance(images, Mapping) or not is_iterable(images):
        got = f"one {type(images).__name__}"
    else:
        return
    raise DataError.from_parts(expected="a list of images", received=got, remedy=remedy)


def _is_one_image(array: np.ndarray[Any, Any]) -> bool:
    """Return whether an array is a single image, not a stack of images or an array of paths or images."""
    if array.dtype.kind in "OSU":
        return False
    return array.ndim < 3 or (array.ndim == 3 and array.shape[2] < 5)


def boolean(value: Any, what: str) -> bool:
    """Convert `True`, `False`, 1, 0 or `None` to a bool.

    Raises:
        DataError: If it is another value.
    """
    if value is None or (isinstance(value, Real | np.bool_) and value in {0, 1}):
        return bool(value)
    raise DataError.from_parts(expected=f"{what} as True or False", received=quoted(value))


def check_threads(threads: int) -> None:
    """Validate a number of threads.

    Raises:
        DataError: If it is not an integer from 0 to `MOST_THREADS`.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= MOST_THREADS:
        raise DataError.from_parts(
            expected=f"threads as an integer from 0 (all) to {MOST_THREADS}", received=quoted(threads)
        )
