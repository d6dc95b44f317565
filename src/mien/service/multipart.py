"""A parser of multipart/form-data (RFC 7578) that keeps files in memory.

The form parsers of web frameworks write large files to temporary files on disk; here, images are never written to disk.
The grammar is that of python-multipart; `mien.service.limits` limits the size of the body as it arrives.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from python_multipart.multipart import MultipartCallbacks

_ENCODED = re.compile(rb";\s*filename\*\s*=\s*\"?(?:[\w-]*'[\w-]*')?([^;\"\s]*)", re.IGNORECASE)

# Outside the logger hierarchy, so that the logging configuration of a mounting application does not enable it.
_SILENT = logging.Logger("mien.service.multipart")  # noqa: LOG001
_SILENT.disabled = True

Part = tuple[str, str | None, bytes]
"""Name of a part, its file name (`None` if it is not a file), and its bytes."""


class FormError(ValueError):
    """The form is invalid or incomplete; the message says what was received."""


class Form:
    """Parses the body of a form incrementally.

    Args:
        content_type: Content-Type header, which contains the boundary.
        admit: callback that receives the name and the file name of each part before its bytes are kept; may raise.

    Raises:
        FormError: the header contains no boundary, or one that is too long.
    """

    def __init__(self, content_type: str, admit: Callable[[str, str | None], None]) -> None:
        self._admit = admit
        self._parts: list[Part] = []
        self._ended = False
        self._disposition = self._header = self._value = b""
        self._names: tuple[str, str | None] = ("", None)
        self._pieces: list[bytes] = []
        _, options = parse_options_header(content_type.encode("latin-1", "replace"))
        try:
            self._parser = MultipartParser(options.get(b"boundary", b"") or _missing(), self._callbacks())
        except FormParserError as error:
            raise FormError("one with a boundary that is too long") from error
        self._parser.logger = _SILENT  # it would log bytes of the request

    def write(self, data: bytes) -> None:
        """Parse the next piece.

        Raises:
            FormError: the form is invalid.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise FormError("one that cannot be read") from error

    def parts(self) -> list[Part]:
        """Return all parts, once the body is complete.

        Raises:
            FormError: the form is incomplete.
        """
        if not self._ended:
            raise FormError("one that breaks off")
        return self._parts

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
            "on_end": self._end_form,
        }

    def _begin(self) -> None:
        self._disposition, self._pieces = b"", []

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        file = options.get(b"filename")
        name = _encoded_name(self._disposition) if file is None else _text(file)
        self._names = _text(options.get(b"name", b"")), name
        self._admit(*self._names)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _end(self) -> None:
        self._parts.append((*self._names, b"".join(self._pieces)))
        self._pieces = []

    def _end_form(self) -> None:
        self._ended = True


def _missing() -> bytes:
    raise FormError("one whose content type names no boundary")


def _encoded_name(disposition: bytes) -> str | None:
    """Return the file name in the encoding of RFC 8187, `None` if there is none."""
    found = _ENCODED.search(disposition)
    return unquote_to_bytes(found[1]).decode(errors="replace") if found else None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
