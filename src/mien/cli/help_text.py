"""The text of `--help`: paragraphs without hard line breaks, and examples at the end."""

from __future__ import annotations

import inspect
from typing import Any


def unwrapped(function: Any) -> str:
    """The docstring of a command as paragraphs of one line each, which the terminal wraps."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def examples(*lines: str) -> str:
    """The end of a command's help: examples, one per line."""
    return "\n".join(["[bold]Examples[/]:", *(f"  {line}" for line in lines)])
