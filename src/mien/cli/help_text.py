"""The classes of the commands, the panels of `mien train`, and the examples at the end of `--help`.

app.command("train", cls=TrainCommand, epilog=examples("mien train --data fer2013.csv"))
"""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

from mien.cli.help_layout import print_help

_PANELS = {
    "Data": (
        "data", "labels", "class_names", "votes", "merge", "group", "shares", "split_seed", "detect", "keep_crops",
        "cache",
    ),
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
        "devices", "hosts", "host_index", "license_",
    ),
}  # fmt: skip
"""The options of `mien train` by help panel."""

_EXAMPLES = "Examples:"


class Command(TyperCommand):
    """A command whose help fits 80 columns without truncating names, values, ranges and defaults of parameters."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the help is printed directly
        """Print the help."""
        print_help(self, ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line, such as `[OPTIONS] MODEL [OTHER]`."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return [self.options_metavar or "", *map(_usage_of, arguments)]


class Group(TyperGroup):
    """A command with subcommands, with the same help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the help is printed directly
        """Print the help."""
        print_help(self, ctx)


def _usage_of(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name = name if argument.nargs == 1 else f"{name}..."
    return name if argument.required else f"[{name}]"


class TrainCommand(Command):
    """`mien train`, with its options in groups."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        panels = {name: panel for panel, names in _PANELS.items() for name in names}
        for parameter in self.params:
            parameter.rich_help_panel = panels.get(parameter.name or "")  # type: ignore[attr-defined]


def unwrapped(function: Any) -> str:
    """Return the docstring of a command with one line per paragraph, for the terminal to wrap."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def examples(*lines: str) -> str:
    """Return the examples at the end of a command's help, one per line."""
    return "\n".join([_EXAMPLES, *lines])
