"""The text of `--help`: paragraphs without hard line breaks, and examples at the end."""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand

_PANELS = {
    "Data": ("data", "labels", "class_names", "votes", "merge", "group", "shares", "split_seed", "detect", "keep_crops"),
    "Recipe": (
        "recipe", "epochs", "batch_size", "learning_rate", "schedule", "stopping_patience", "label_smoothing",
        "class_weights", "sampling", "loss", "focal_gamma", "select", "mixup", "precision", "seed", "joint",
    ),
    "Fine-tuning": ("start", "freeze", "frozen_epochs", "trunk_rate"),
    "Teachers and augmented copies": (
        "teacher", "distillation_weight", "augmented_copies", "augmentation_cache",
    ),
    "Run": (
        "out_folder", "resume", "save_every", "kfold", "find_lr", "tensorboard", "mlflow", "mlflow_uri", "backend",
        "devices", "hosts", "host_index", "license_", "cache",
    ),
}  # fmt: skip
"""The options of `mien train` by subject, under which its help shows them."""


class TrainCommand(TyperCommand):
    """`mien train`, with its options in groups."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        panels = {name: panel for panel, names in _PANELS.items() for name in names}
        for parameter in self.params:
            parameter.rich_help_panel = panels.get(parameter.name or "")  # type: ignore[attr-defined]


def unwrapped(function: Any) -> str:
    """The docstring of a command as paragraphs of one line each, which the terminal wraps."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def examples(*lines: str) -> str:
    """The end of a command's help: examples, one per line."""
    return "\n".join(["[bold]Examples[/]:", *(f"  {line}" for line in lines)])
