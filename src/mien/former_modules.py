"""Support importing modules by their former names: each former name is an alias of the current module.

>>> from mien.evaluation.evaluate import evaluate
>>> evaluate.__module__
'mien.evaluation.scoring'
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

FORMER_MODULES = {
    "mien.bulk.containers": "mien.bulk.container_inputs",
    "mien.bulk.frames": "mien.bulk.data_frames",
    "mien.data.options": "mien.data.reading_options",
    "mien.data.synthetic.dataset": "mien.data.synthetic.drawn_faces",
    "mien.evaluation.evaluate": "mien.evaluation.scoring",
    "mien.evaluation.figures.faces": "mien.evaluation.figures.face_sheets",
    "mien.recognition.frames": "mien.recognition.video.frames",
    "mien.recognition.network_input": "mien.network_input",
    "mien.recognition.tracking": "mien.recognition.video.tracking",
    "mien.recognition.video_info": "mien.recognition.video.info",
    "mien.recognition.video_writer": "mien.recognition.video.writer",
    "mien.training.recipes": "mien.training.builtin_recipes",
    "mien.workflows.evaluate": "mien.workflows.evaluate_model",
    "mien.workflows.export": "mien.workflows.export_model",
    "mien.workflows.hub": "mien.workflows.model_hub",
    "mien.workflows.train": "mien.workflows.train_model",
}
"""Former name -> current name."""


class _Finder(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - what the import system passes
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        present = FORMER_MODULES.get(fullname)
        return None if present is None else ModuleSpec(fullname, _Loader(present))


class _Loader(Loader):
    def __init__(self, present: str) -> None:
        self._present = present

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        module = import_module(self._present)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import by its former name has replaced it


def install() -> None:
    """Add a finder for the former names to the import system, after all other finders."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
