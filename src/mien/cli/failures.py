"""Failures of single inputs and outputs of `mien predict`, reported at the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from mien.cli.console import err, silence_output
from mien.cli.prediction_output import shown
from mien.errors import DataError, MienError, MissingExtra
from mien.quoting import quoted_path
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LISTED = 20
"""Maximum number of failures that are listed; further ones are only counted."""


class Failures:
    """Collect the reasons of inputs that cannot be read and of copies and rows that cannot be written.

    Args:
        keeps_files: whether files are written; then work continues after a broken pipe on standard output.
    """

    def __init__(self, *, keeps_files: bool = False) -> None:
        self._reasons: list[str] = []
        self._notes: list[str] = []
        self._inputs = 0
        self._keeps_files = keeps_files

    def add_input(self, reason: str) -> None:
        """Add an input that failed."""
        self._reasons.append(reason)
        self._inputs += 1

    def add_note(self, note: str) -> None:
        """Add a note about an input that was processed."""
        self._notes.append(note)

    @contextmanager
    def of_output(self, name: str) -> Iterator[None]:
        """Record a write error inside the block; the other outputs continue."""
        try:
            yield
        except BrokenPipeError:
            if not self._keeps_files:  # standard output was the only destination
                raise
            silence_output()
        except MienError as error:
            reason, named = str(error), quoted_path(name)
            self._reasons.append(f"{named}: {reason}" if isinstance(error, MissingExtra) else reason)
        except OSError as error:
            place = error.filename or f"the output for {name}"
            self._reasons.append(f"{place}: cannot be written ({error.strerror or error}).")

    def any_left(self, total: int) -> bool:
        """Return whether any of the inputs succeeded."""
        return self._inputs < total

    def end(self, total: int, passed_over: Sequence[str] = ()) -> None:
        """Print notes, skipped files and failures. A single failed input is an error; several are listed.

        Args:
            total: number of inputs.
            passed_over: sentences about skipped files.

        Raises:
            DataError: If the only input failed.
            typer.Exit: with 1 if some inputs succeeded, with 2 if none did.
        """
        for sentence in (*_listed(self._notes, "such notes"), *passed_over):
            err.print(shown(sentence))
        if not self._reasons:
            return
        if total == 1 and self._inputs:
            raise DataError(shown(self._reasons[0]))
        copies = len(self._reasons) - self._inputs
        if self._inputs:
            also = ", and some outputs could not be written" if copies else ""
            err.print(f"{self._inputs:,} of {counted(total, 'input')} failed{also}:")
        else:
            err.print("Some outputs could not be written:")
        for reason in _listed(self._reasons):
            err.print(f"  {shown(reason)}")
        raise typer.Exit(1 if self.any_left(total) else 2)


def _listed(sentences: Sequence[str], what: str = "") -> list[str]:
    """Return the first sentences, and the number of the remaining ones."""
    more = len(sentences) - _LISTED
    return [*sentences[:_LISTED], *([f"… and {more:,} more {what}".rstrip()] if more > 0 else [])]
