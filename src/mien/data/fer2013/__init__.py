"""FER2013 tables: the Kaggle `fer2013.csv` and its relatives, plain or packed.

>>> from mien.data.fer2013 import read_table

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.data.fer2013.reader import read_arrays, read_table

__all__ = ["read_arrays", "read_table"]

_HOMES = {"read_arrays": "reader", "read_table": "reader"}


def __getattr__(name: str) -> Any:
    """A public name, from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
