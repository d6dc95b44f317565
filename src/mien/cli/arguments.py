"""Check the command-line arguments of all commands, and quote them in messages."""

from __future__ import annotations

import os
import shlex
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.quoting import MOST, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_LONGEST_PATH = 1024


def refuse_empty_values(command: Any, arguments: Sequence[str]) -> None:
    """Refuse an option with an empty value, such as `--save "$FOLDER"` with an unset variable.

    As a path, an empty string would mean the current folder.

    Args:
        command: the command with its subcommands, as Typer creates it.
        arguments: the arguments after its name.

    Raises:
        DataError: If the value of an option is empty.
    """
    valued = set(_options_with_value(command))
    for word, following in pairwise([*arguments, None]):
        if word is None or word == "--":
            return
        name, equals, value = word.partition("=")
        if name in valued and not (value if equals else "x" if following is None else following).strip():
            raise DataError(
                f"{name}: expected a value, got an empty one. Check that the shell variable is set."
            )


def _options_with_value(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if not getattr(parameter, "is_flag", False):
            yield from (name for name in getattr(parameter, "opts", ()) if name.startswith("-"))
    for inner in getattr(command, "commands", {}).values():
        yield from _options_with_value(inner)


def in_command(path: str | Path) -> str:
    """Return a path as a word of a command that a message suggests, in quotes if necessary."""
    text = str(path)
    if sys.platform == "win32":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def bounded(message: str, arguments: Sequence[str]) -> str:
    """Shorten long arguments in a message, except for paths that exist."""
    for argument in sorted(arguments, key=len, reverse=True):
        for text in (argument, argument.partition("=")[2]):
            if len(text) > MOST and not _is_there(text):
                for form in (repr(text), text):
                    message = message.replace(form, quoted_path(text))
    return message


def _is_there(text: str) -> bool:
    try:
        return len(text) <= _LONGEST_PATH and os.path.exists(text)  # noqa: PTH110 - any string
    except ValueError:
        return False
