"""Read FER2013 tables: the Kaggle `fer2013.csv` and its variants, plain or compressed.

>>> from mien.data.fer2013 import read_table

The names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.data.fer2013.reader import read_arrays, read_table

__all__ = ["read_arrays", "read_table"]

_HOMES = {"read_arrays": "reader", "read_table": "reader"}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
