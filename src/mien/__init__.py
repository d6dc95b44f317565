"""Train, judge and use a facial expression recognizer.

Importing this does nothing but define names; what a name needs is loaded when the name is first used.

>>> import mien
>>> mien.FER2013.classes[3]
'happy'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.bulk.job import batch
    from mien.card import ModelCard
    from mien.data import Dataset, load
    from mien.errors import DataError, MienError, MissingExtra, ModelError
    from mien.labels import FER2013, FERPLUS, Taxonomy
    from mien.recognition.classifier import Classifier
    from mien.recognition.faces import Box, Expression, Face
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.video import watch

__version__ = "0.1.0"

__all__ = [
    "FER2013",
    "FERPLUS",
    "Box",
    "Classifier",
    "DataError",
    "Dataset",
    "Expression",
    "Face",
    "MienError",
    "MissingExtra",
    "ModelCard",
    "ModelError",
    "Recognizer",
    "Taxonomy",
    "batch",
    "load",
    "watch",
]

_HOMES = {
    "FER2013": "labels",
    "FERPLUS": "labels",
    "Box": "recognition.faces",
    "Classifier": "recognition.classifier",
    "DataError": "errors",
    "Dataset": "data",
    "Expression": "recognition.faces",
    "Face": "recognition.faces",
    "MienError": "errors",
    "MissingExtra": "errors",
    "ModelCard": "card",
    "ModelError": "errors",
    "Recognizer": "recognition.recognizer",
    "Taxonomy": "labels",
    "batch": "bulk.job",
    "load": "data",
    "watch": "recognition.video",
}


def __getattr__(name: str) -> Any:
    """A public name, from the room it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(f"mien.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
