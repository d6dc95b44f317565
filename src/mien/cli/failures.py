"""What went wrong in `mien predict` without ending it, told at the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from mien.cli.console import err, silence_output
from mien.cli.prediction_output import shown
from mien.errors import DataError, MienError, MissingExtra
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LISTED = 20
"""Failures that are named; past these, only counted."""


class Failures:
    """Reasons, of inputs that could not be looked at and of copies and rows that could not be written.

    Args:
        keeps_files: whether files are written, which go on when the reader of standard output has hung up.
    """

    def __init__(self, *, keeps_files: bool = False) -> None:
        self._reasons: list[str] = []
        self._notes: list[str] = []
        self._inputs = 0
        self._keeps_files = keeps_files

    def add_input(self, reason: str) -> None:
        """An input that could not be looked at."""
        self._reasons.append(reason)
        self._inputs += 1

    def add_note(self, note: str) -> None:
        """Something to say of an input that was looked at."""
        self._notes.append(note)

    @contextmanager
    def of_output(self, name: str) -> Iterator[None]:
        """What cannot be written inside is noted; what was found stands in the other outputs all the same."""
        try:
            yield
        except BrokenPipeError:
            if not self._keeps_files:  # there is nobody left to work for
                raise
            silence_output()
        except MienError as error:
            reason, named = str(error), quoted_path(name)
            self._reasons.append(f"{named}: {reason}" if isinstance(error, MissingExtra) else reason)
        except OSError as error:
            place = error.filename or f"what is written of {name}"
            self._reasons.append(f"{place}: cannot be written ({error.strerror or error}).")

    def any_left(self, total: int) -> bool:
        """Whether any of so many inputs could be looked at."""
        return self._inputs < total

    def end(self, total: int, passed_over: Sequence[str] = ()) -> None:
        """Say what was left out and name what failed: an error where nothing else was asked for, else a list.

        Args:
            total: how many inputs there were.
            passed_over: sentences on files that were no inputs.

        Raises:
            DataError: the one input failed.
            typer.Exit: with 1 where something was done, with 2 where nothing was.
        """
        for sentence in (*_listed(self._notes, "such notes"), *passed_over):
            err.print(shown(sentence))
        if not self._reasons:
            return
        if total == 1 and self._inputs:
            raise DataError(shown(self._reasons[0]))
        copies = len(self._reasons) - self._inputs
        if self._inputs:
            err.print(
                f"{self._inputs:,} of {total:,} inputs failed{', and something of others' if copies else ''}:"
            )
        else:
            err.print("Not everything could be written:")
        for reason in _listed(self._reasons):
            err.print(f"  {shown(reason)}")
        raise typer.Exit(1 if self.any_left(total) else 2)


def _listed(sentences: Sequence[str], what: str = "") -> list[str]:
    """The first of some sentences, and how many more there are."""
    more = len(sentences) - _LISTED
    return [*sentences[:_LISTED], *([f"… and {more:,} more {what}".rstrip()] if more > 0 else [])]
