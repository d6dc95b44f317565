"""Option types of `mien serve`; each option can also be set by an environment variable."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer

from mien.errors import DataError, MienError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPO = 0.87  # minimum similarity of two names for one to count as a misspelling of the other

FORMER = {
    "model-class-names": "model-labels",
    "max-images": "max-pictures",
    "max-video-bytes": "max-film-bytes",
    "max-video-frames": "max-film-frames",
    "video-deadline": "film-deadline",
    "videos": "films",
    "video-memory": "film-memory",
}
"""Former names of options, which still work as aliases, also for their environment variables."""


def number(
    name: str,
    told: str,
    *,
    value: str = "N",
    kind: type[int | float] = int,
    least: int = 1,
    most: int | None = None,
    panel: str | None = None,
    default: str | None = None,
) -> Any:
    """Return a numeric option, which can also be set by an environment variable.

    Args:
        name: name of the option, without the leading dashes.
        told: its help.
        value: its metavar in the help.
        kind: `int` or `float`; the bounds of a `float` are checked by the settings.
        least: minimum of an `int`.
        most: maximum of an `int`; `None` for no maximum.
        panel: its help panel.
        default: the default as shown in the help; by default its value.

    Raises:
        MienError: On parsing, if the value is not a number or out of bounds; Typer would reword a ValueError.
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

    return typer.Option(
        envvar=variables(name),
        show_envvar=False,
        metavar=value,
        parser=read,
        min=None if kind is float else least,
        max=most,
        help=told,
        rich_help_panel=panel,
        show_default=True if default is None else default,
    )


def seconds(name: str, told: str, panel: str) -> Any:
    """Return an option that is a number of seconds."""
    return number(name, told, value="SECONDS", kind=float, panel=panel)


def text(name: str, told: str, *, value: str, panel: str | None = None, **settings: Any) -> Any:
    """Return a text option, which can also be set by an environment variable."""
    return typer.Option(
        envvar=variables(name),
        show_envvar=False,
        metavar=value,
        help=told,
        rich_help_panel=panel,
        **settings,
    )


def flag(names: str, told: str, *, panel: str | None = None) -> Any:
    """Return an option that is on or off, such as `--logits` or `--flip-tta/--no-flip-tta`, or set by its variable."""
    name = names.partition("/")[0].removeprefix("--")
    return typer.Option(names, envvar=variables(name), show_envvar=False, help=told, rich_help_panel=panel)


def variable(name: str) -> str:
    """Return the name of an option's environment variable."""
    return f"MIEN_{name.upper().replace('-', '_')}"


def variables(name: str) -> list[str]:
    """Return the names of an option's environment variable: the current one, and the former one if there is one."""
    return [variable(one) for one in (name, FORMER.get(name)) if one]


def check_variables(names: Iterable[str]) -> None:
    """Refuse environment variables that would be ignored because they are empty or misspelled.

    An empty API key or host list, for example from an unset secret, would leave the service unprotected.

    Args:
        names: names of the options.

    Raises:
        DataError: If there is such a variable.
    """
    known = [variable(name) for name in (*names, *FORMER.values())]
    for name in known:
        if not os.environ.get(name, "set").strip():
            raise DataError(f"{name} is set but empty. Give it a value, or unset it for the default.")
    others = [name for name in os.environ if name.startswith("MIEN_") and name not in known]
    for name in others:
        if close := get_close_matches(name, known, n=1, cutoff=_TYPO):
            raise DataError(f"Unknown variable {name[:80]}. Did you mean {close[0]}? Rename or unset it.")
