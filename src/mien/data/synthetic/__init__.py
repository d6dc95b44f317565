"""Drawn faces with known expressions, for demos and tests without any data of people.

A face is a list of shapes: closed polygons of one gray tone each, painted in order. Coordinates are in face units: x
to the right and y down from the center of the face, with a head about 2 wide and 2.5 high. Tones range from 0
(black) to 255. All functions are pure and take a random generator as an argument.

>>> from mien.data.synthetic import draw_face, synthetic_dataset

The names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.data.synthetic.drawn_faces import draw_face, synthetic_dataset, write_csv

__all__ = ["draw_face", "synthetic_dataset", "write_csv"]

_HOMES = {"draw_face": "drawn_faces", "synthetic_dataset": "drawn_faces", "write_csv": "drawn_faces"}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
