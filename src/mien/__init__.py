"""Train, evaluate and use facial expression recognizers.

Importing the package loads no other submodule than `former_modules`; each name is imported on first use.

>>> import mien
>>> mien.FER2013.classes[3]
'happy'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien import former_modules

if TYPE_CHECKING:
    from mien.bulk.job import batch
    from mien.card import ModelCard
    from mien.data import Dataset
    from mien.errors import DataError, MienError, MissingExtra, ModelError
    from mien.labels import FER2013, FERPLUS, LabelSet, Taxonomy
    from mien.recognition.classifier import Classifier
    from mien.recognition.faces import Box, Expression, Face
    from mien.recognition.recognizer import Recognizer
    from mien.training.keras_start import load_keras
    from mien.workflows.annotate import draw_faces, watch
    from mien.workflows.compare import compare
    from mien.workflows.cross_validate import cross_validate
    from mien.workflows.evaluate_model import evaluate
    from mien.workflows.export_model import export
    from mien.workflows.find_learning_rate import find_learning_rate
    from mien.workflows.list_runs import list_runs
    from mien.workflows.load_dataset import load
    from mien.workflows.model_hub import pull, push
    from mien.workflows.run import Run
    from mien.workflows.train_model import train

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
    "LabelSet",
    "MienError",
    "MissingExtra",
    "ModelCard",
    "ModelError",
    "Recognizer",
    "Run",
    "Taxonomy",
    "batch",
    "compare",
    "cross_validate",
    "draw_faces",
    "evaluate",
    "export",
    "find_learning_rate",
    "list_runs",
    "load",
    "load_keras",
    "pull",
    "push",
    "train",
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
    "LabelSet": "labels",
    "MienError": "errors",
    "MissingExtra": "errors",
    "ModelCard": "card",
    "ModelError": "errors",
    "Recognizer": "recognition.recognizer",
    "Run": "workflows.run",
    "Taxonomy": "labels",
    "compare": "workflows.compare",
    "cross_validate": "workflows.cross_validate",
    "batch": "bulk.job",
    "draw_faces": "workflows.annotate",
    "evaluate": "workflows.evaluate_model",
    "export": "workflows.export_model",
    "find_learning_rate": "workflows.find_learning_rate",
    "list_runs": "workflows.list_runs",
    "load": "workflows.load_dataset",
    "load_keras": "training.keras_start",
    "pull": "workflows.model_hub",
    "push": "workflows.model_hub",
    "train": "workflows.train_model",
    "watch": "workflows.annotate",
}

former_modules.install()


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(f"mien.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
