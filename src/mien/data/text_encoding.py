"""Decode text of tables and labels: UTF-8, else Windows-1252, which includes Latin-1's letters.

Bytes are never replaced by a placeholder: that would turn two class names such as `müde` and `möde` into one.
"""

from __future__ import annotations

from mien.errors import DataError

FALLBACK = "cp1252"
_NAMED = "Windows-1252"


class TextEncodingError(DataError):
    """Text that is in no supported encoding, or in two."""


def decode_word(value: bytes) -> str:
    """Decode a single word, such as a label.

    Raises:
        DataError: If it is neither UTF-8 nor Windows-1252.

    >>> decode_word("müde".encode()), decode_word("müde".encode("latin-1"))
    ('müde', 'müde')
    """
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_fallback(value)


class TextDecoder:
    """Decode a text line by line, with one encoding for all of its lines.

    Args:
        name: name of the text, used in messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0
        self._encoding: str | None = None  # unknown while all lines are ASCII

    def decode(self, line: bytes) -> str:
        """Return the text of the next line, or of the whole text.

        Raises:
            DataError: If it is neither UTF-8 nor Windows-1252, or not in the encoding of the lines before it.
        """
        self.line += 1
        if line.isascii():
            return line.decode("ascii")
        try:
            text, encoding = line.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            try:
                text, encoding = _decode_fallback(line), FALLBACK
            except TextEncodingError as error:
                raise TextEncodingError(f"{self.name} line {self.line}: {error}") from None
        if self._encoding not in {None, encoding}:
            names = {"utf-8": "UTF-8", FALLBACK: _NAMED}
            raise TextEncodingError(
                f"{self.name} line {self.line}: expected text in {names[str(self._encoding)]}, like the lines before, "
                f"got {names[encoding]}. Save the file as UTF-8."
            )
        self._encoding = encoding
        return text

    @property
    def notes(self) -> tuple[str, ...]:
        """A note for the user if the text is not UTF-8."""
        if self._encoding != FALLBACK:
            return ()
        return (
            f"{self.name} is not UTF-8 and is read as {_NAMED}. If letters look wrong, save the file as UTF-8.",
        )


def _decode_fallback(value: bytes) -> str:
    try:
        return value.decode(FALLBACK)
    except UnicodeDecodeError as error:
        raise TextEncodingError(
            f"expected text in UTF-8 or {_NAMED}, got the byte 0x{value[error.start]:02x}. Save the file as UTF-8."
        ) from None
