"""The kinds of options of `mien serve`, each of which may be given as an environment variable instead."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer

from mien.cli.help_text import range_text
from mien.errors import DataError, MienError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPO = 0.87  # likeness of two names from which one is taken for a misspelling of the other

FORMER = {
    "max-images": "max-pictures",
    "max-video-bytes": "max-film-bytes",
    "max-video-frames": "max-film-frames",
    "video-deadline": "film-deadline",
    "videos": "films",
    "video-memory": "film-memory",
}
"""Options that had another name, which they keep as an alias, as do their variables."""


def number(
    name: str,
    told: str,
    *,
    value: str = "N",
    kind: type[int | float] = int,
    least: int = 1,
    most: int | None = None,
    panel: str | None = None,
) -> Any:
    """An option that is a number, or a variable of that name.

    Args:
        name: of the option, without its strokes.
        told: its help.
        value: its value in the help.
        kind: `int` or `float`; the bounds of a `float` are checked by the settings.
        least: of an `int`.
        most: likewise.
        panel: the subject under which the help shows it.

    Raises:
        MienError: when it is read and out of its bounds or no number; no ValueError, which Typer would put otherwise.
    """
    main = variable(name)
    span = f" of {least} or more" if most is None else f" from {least} to {most:,}"
    wanted = "a number" if kind is float else f"a whole number{span}"

    def read(given: object) -> int | float:
        try:
            found = kind(str(given))
        except ValueError:
            found = None
        if found is None or (kind is int and not least <= found <= (found if most is None else most)):
            raise MienError(
                f"Expected --{name} (or {main}) as {wanted}, got {str(given)[:80]!r}. "
                "Change it, or leave it out for its default."
            )
        return found

    former = FORMER.get(name)
    return typer.Option(
        envvar=[variable(one) for one in (name, former) if one] if former else main,
        show_envvar=False,
        metavar=value,
        parser=read,
        help=told if kind is float else f"{told} {range_text(least, most)}",
        rich_help_panel=panel,
    )


def seconds(name: str, told: str, panel: str) -> Any:
    """An option that is a number of seconds."""
    return number(name, told, value="SECONDS", kind=float, panel=panel)


def text(name: str, told: str, *, value: str, panel: str | None = None, **settings: Any) -> Any:
    """An option that is a text, or a variable of that name."""
    return typer.Option(
        envvar=variable(name),
        show_envvar=False,
        metavar=value,
        help=told,
        rich_help_panel=panel,
        **settings,
    )


def variable(name: str) -> str:
    """The environment variable of an option."""
    return f"MIEN_{name.upper().replace('-', '_')}"


def check_variables(names: Iterable[str]) -> None:
    """Refuse variables that are set and would be passed over: empty ones, and misspelled ones.

    Args:
        names: of the options.

    Raises:
        DataError: there is one. An empty key or host list, as an unset secret leaves it, would open the service.
    """
    known = [variable(name) for name in (*names, *FORMER.values())]
    for name in known:
        if not os.environ.get(name, "set").strip():
            raise DataError(f"{name} is set but empty. Give it a value, or unset it for the default.")
    others = [name for name in os.environ if name.startswith("MIEN_") and name not in known]
    for name in others:
        if close := get_close_matches(name, known, n=1, cutoff=_TYPO):
            raise DataError(f"Unknown variable {name[:80]}. Did you mean {close[0]}? Rename or unset it.")
