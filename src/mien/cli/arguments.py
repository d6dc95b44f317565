"""What was typed, checked as text and quoted within bounds, for all commands alike."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.quoting import MOST, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST_PATH = 1024


def refuse_empty_values(command: Any, arguments: Sequence[str]) -> None:
    """Refuse an option with an empty value, such as `--save "$FOLDER"` of a variable that is not set.

    As a path, an empty text would be the folder that one is in.

    Args:
        command: the command with its subcommands, as Typer makes it.
        arguments: what was typed after its name.

    Raises:
        DataError: an option has no value.
    """
    valued = set(_options_with_value(command))
    for word, following in pairwise([*arguments, None]):
        if word is None or word == "--":
            return
        name, equals, value = word.partition("=")
        if name in valued and not (value if equals else "x" if following is None else following).strip():
            raise DataError(
                f"{name}: expected a value, got an empty one. Is a variable of the shell not set?"
            )


def _options_with_value(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if not getattr(parameter, "is_flag", False):
            yield from (name for name in getattr(parameter, "opts", ()) if name.startswith("-"))
    for inner in getattr(command, "commands", {}).values():
        yield from _options_with_value(inner)


def bounded(message: str, arguments: Sequence[str]) -> str:
    """A message in which long arguments are cut, but for the paths of files that are there."""
    for argument in sorted(arguments, key=len, reverse=True):
        for text in (argument, argument.partition("=")[2]):
            if len(text) > MOST and not _is_there(text):
                for form in (repr(text), text):
                    message = message.replace(form, quoted_path(text))
    return message


def _is_there(text: str) -> bool:
    try:
        return len(text) <= _LONGEST_PATH and os.path.exists(text)  # noqa: PTH110 - of any form
    except ValueError:
        return False
