"""Every error that mien raises on purpose.

    MienError                  anything below; catch this one to catch them all
    ├── DataError (ValueError)      a file, a row or an image is not what it should be
    │   ├── NotEnoughMemoryError        this machine has not enough memory to decode it; another time it may
    │   ├── TooLargeError               an image has more pixels than are decoded
    │   └── BatchError                  some of several images failed; it holds the results of the others
    ├── ModelError (ValueError)     a model file, a run folder or a training is at fault
    └── MissingExtra (ImportError)  an optional package is not installed; the message says how to get it

A message says what was expected, what was received and what to do, in one sentence or two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MienError(Exception):
    """The root of all errors that mien raises on purpose."""


class DataError(MienError, ValueError):
    """A file, a row or an image is not what it should be."""


class TooLargeError(DataError):
    """An image has more pixels than are decoded."""


class NotEnoughMemoryError(DataError):
    """There is not enough memory to decode a file that may be good."""


class BatchError(DataError):
    """Some of several images failed; the others are not lost.

    Args:
        message: which failed, and why.
        errors: the error of each that failed, by its place in the batch, from 0.
        results: what came of each, in order; `None` where it failed.
    """

    def __init__(self, message: str, errors: Mapping[int, MienError], results: Sequence[Any]) -> None:
        super().__init__(message)
        self.errors = dict(errors)
        self.results = list(results)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errors, self.results)


class ModelError(MienError, ValueError):
    """A model file, a run folder or a training is at fault."""


class MissingExtra(MienError, ImportError):  # noqa: N818 - named for what the reader must do
    """An optional package is not installed.

    Args:
        package: the package that could not be imported.
        extra: the extra of mien that brings it.
        note: a further sentence on how to get it.
    """

    def __init__(self, package: str, extra: str, note: str = "") -> None:
        from mien.installation import install_command  # reads files; only where it is needed

        super().__init__(
            f"This needs {package}, which is not installed. Get it with: {install_command(extra)}"
            + (f". {note}" if note else "")
        )
        self.package = package
        self.extra = extra
        self.note = note

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        """What pickle needs to make it again."""
        return type(self), (self.package, self.extra, self.note)
