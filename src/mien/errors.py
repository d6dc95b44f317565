"""Exceptions raised by mien.

    MienError                       base class; catch it to catch all of the following
    ├── DataError (ValueError)          invalid data: a file, a table row, an image or an argument
    │   ├── NotEnoughMemoryError            not enough free memory to decode a file; retrying later may work
    │   ├── TooLargeError                   an image has more pixels than the limit
    │   └── BatchError                      some images of a batch failed; holds the results of the others
    ├── ModelError (ValueError)         an invalid model file, run folder or training configuration
    └── MissingExtra (ImportError)      an optional package is not installed; the message says how to install it

`str(error)` is the whole message. The attributes `expected`, `received` and `remedy` hold its parts, where the error has
them, so that programs need not parse the message:

    try:
        mien.load("fer2013.csv")
    except mien.MienError as error:
        print(error)
        print(error.expected, error.received, error.remedy)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MienError(Exception):
    """Base class of all exceptions that mien raises on purpose.

    Args:
        message: the whole message, remedy included.
        expected: what was expected, as a noun phrase.
        received: what was received instead, as a noun phrase.
        remedy: what to do about it, as one or more sentences.

    Attributes:
        expected: as given; `None` if unknown.
        received: as given; `None` if unknown.
        remedy: as given; `None` if unknown.
    """

    def __init__(
        self,
        message: str = "",
        *,
        expected: str | None = None,
        received: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.received = received
        self.remedy = remedy

    @classmethod
    def from_parts(cls, name: str = "", *, expected: str, received: str, remedy: str = "") -> Self:
        """Create an exception whose message is composed of its parts.

        Args:
            name: what the error is about, such as a file name; starts the message.
            expected: what was expected, as a noun phrase.
            received: what was received instead, as a noun phrase.
            remedy: what to do about it, as one or more sentences.

        >>> print(DataError.from_parts("a.csv", expected="a table", received="an empty file", remedy="Get it again."))
        a.csv: expected a table, got an empty file. Get it again.
        """
        start = f"{name}: expected" if name else "Expected"
        message = f"{start} {expected}, got {received}. {remedy}".rstrip()
        return cls(message, expected=expected, received=received, remedy=remedy or None)


class DataError(MienError, ValueError):
    """Invalid data: a file, a table row, an image or an argument."""


class TooLargeError(DataError):
    """An image has more pixels than the limit."""


class NotEnoughMemoryError(DataError):
    """There is not enough free memory to decode a file. The file itself may be valid."""


class BatchError(DataError):
    """Some images of a batch failed. The results of the others are kept.

    Args:
        message: which images failed, and why.
        errors: the exception of each failed image, by its index in the batch (from 0).
        results: the result of each image, in order; `None` for failed images.
    """

    def __init__(self, message: str, errors: Mapping[int, MienError], results: Sequence[Any]) -> None:
        super().__init__(message)
        self.errors = dict(errors)
        self.results = list(results)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errors, self.results)


class ModelError(MienError, ValueError):
    """An invalid model file, run folder or training configuration."""


class MissingExtra(MienError, ImportError):  # noqa: N818 - the name says what to install
    """An optional package is not installed.

    Args:
        package: the package that could not be imported.
        extra: the extra of mien that installs it; empty for a package that none installs.
        note: a further sentence on how to install it.
    """

    def __init__(self, package: str, extra: str, note: str = "") -> None:
        from mien.installation import install_command, install_line  # read files: imported only here

        command = install_command(extra) if extra else install_line(package)
        remedy = f"Get it with: {command}" + (f". {note}" if note else "")
        super().__init__(
            f"This needs {package}, which is not installed. {remedy}",
            expected=f"the package {package}",
            received="an environment without it",
            remedy=remedy,
        )
        self.package = package
        self.extra = extra
        self.note = note

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        """Support pickling."""
        return type(self), (self.package, self.extra, self.note)
