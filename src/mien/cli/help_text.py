"""The text of `--help`: a column of names, a column of descriptions, and examples at the end."""

from __future__ import annotations

import inspect
from copy import copy
from typing import Any

from typer.core import TyperCommand, TyperGroup

_PANELS = {
    "Data": (
        "data", "labels", "class_names", "votes", "merge", "group", "shares", "split_seed", "detect", "keep_crops",
        "cache",
    ),
    "Recipe (default: what the recipe says)": (
        "recipe", "epochs", "batch_size", "learning_rate", "schedule", "stopping_patience", "label_smoothing",
        "class_weights", "sampling", "loss", "focal_gamma", "select", "mixup", "precision", "seed", "joint",
    ),
    "Fine-tuning (default: what the recipe says)": ("start", "freeze", "frozen_epochs", "trunk_rate"),
    "Teachers and augmented copies (default: what the recipe says)": (
        "teacher", "distillation_weight", "augmented_copies", "augmentation_cache",
    ),
    "Run": (
        "out_folder", "resume", "save_every", "kfold", "find_lr", "tensorboard", "mlflow", "mlflow_uri", "backend",
        "devices", "hosts", "host_index", "license_", "cache",
    ),
}  # fmt: skip
"""The options of `mien train` by help panel."""


class Command(TyperCommand):
    """A command whose help fits 80 columns without truncating names, values, ranges and defaults of parameters."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        TyperCommand.format_help(_with_help_of_parameters(self, ctx), ctx, formatter)


class Group(TyperGroup):
    """A command with subcommands, with the same help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        TyperGroup.format_help(_with_help_of_parameters(self, ctx), ctx, formatter)


def _with_help_of_parameters(command: Any, ctx: Any) -> Any:
    """Return a copy of a command with its parameters as shown in the help."""
    parameters = [_in_help(one) for one in command.get_params(ctx)]
    shown = copy(command)
    shown.get_params = lambda _: parameters
    return shown


def _in_help(parameter: Any) -> Any:
    """Return a copy of a parameter for the help, with all of its names and its value in one column."""
    shown = copy(parameter)
    low, high = getattr(shown, "min", None), getattr(shown, "max", None)
    if low is not None or high is not None:
        shown.help = f"{shown.help} {range_text(low, high)}"
        shown.min = shown.max = None
    if shown.param_type_name == "argument":
        shown.display_type_rich = lambda ctx: None  # noqa: ARG005 - the metavar is its name
        return shown
    is_switch = bool(shown.secondary_opts)
    names = ", ".join(sorted(shown.opts, key=len)) + "".join(f"/{name}" for name in shown.secondary_opts[:1])
    value = "" if shown.is_flag else f" {shown.metavar or shown.name.upper()}"
    if is_switch:
        shown.help = f"{shown.help} \\[default: {'on' if shown.default else 'off'}]"
        shown.show_default = False
    shown.opts, shown.secondary_opts, shown.metavar = [f"{names}{value}"], [], ""
    return shown


def range_text(least: float | None, most: float | None) -> str:
    """Format the range of a number in brackets, like a default.

    >>> range_text(1, None), range_text(0, 1)
    ('[1 or more]', '[0 to 1]')
    """
    if most is None:
        return f"[{least:g} or more]"
    return f"[{most:g} or less]" if least is None else f"[{least:g} to {most:g}]"


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
    return "\n".join(["[bold]Examples[/]:", *(f"  {line}" for line in lines)])
