"""Read the header and the rows of a table from a stream of bytes, with any line ends."""

from __future__ import annotations

import csv
from typing import IO, TYPE_CHECKING

from mien.data.fer2013.archive import explain_damage
from mien.data.fer2013.file_kinds import refuse_other_kinds
from mien.data.table_header import TableHeader, read_table_header
from mien.data.text_encoding import TextDecoder
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_SIDE = 1024
"""Maximum side length of an image in pixels."""

_LONGEST_FIELD = LARGEST_SIDE * LARGEST_SIDE * 5  # characters
_LONGEST_LINE = 16 << 20  # bytes
_BLOCK = 1 << 20  # bytes


def open_rows(
    name: str, stream: IO[bytes], decoder: TextDecoder | None = None
) -> tuple[TableHeader, Iterator[list[str]]]:
    """Return the header of a table and its rows, without blank ones.

    Args:
        name: name of the table, used in messages.
        stream: its text.
        decoder: decodes the text, by default a new one.

    Raises:
        DataError: If it is not a table, now or while its rows are read.
    """
    decoder = decoder or TextDecoder(name)
    lines = _lines(name, stream)
    text = ""
    while not text.strip():
        first = next(lines, b"")
        if not first:
            raise DataError(f"{name}: expected a table, got an empty file.")
        refuse_other_kinds(name, first[:4096])
        text = decoder.decode(first)
    header = read_table_header(name, text.encode())
    texts = (decoder.decode(line).replace("\0", "\ufffd") for line in lines)
    return header, _rows(name, texts, header.delimiter)


def place_of_row(name: str, number: int) -> str:
    """Return the place of a row for a message; the first row below the header has the number 1."""
    return f"{name} row {number} (counted from 1 below the header)"


def _rows(name: str, lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    number = 1
    try:
        for fields in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
            if any(map(str.strip, fields)):
                yield fields
                number += 1
    except csv.Error as error:
        raise DataError(
            f"{place_of_row(name, number)}: expected a row of CSV, got text that is none ({error}). Is a quotation "
            "mark missing?"
        ) from error


def _lines(name: str, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a text with their ends: LF, CRLF or CR."""
    rest = b""
    while True:
        with explain_damage(name):
            block = stream.read(_BLOCK)
        if not block:
            break
        *lines, rest = (rest + block).splitlines(keepends=True)
        if rest.endswith(b"\n"):  # unlike CR, to which an LF in the next block may belong
            lines, rest = [*lines, rest], b""
        yield from lines
        if len(rest) >= _LONGEST_LINE:
            refuse_other_kinds(name, rest[:4096])
            raise DataError(
                f"{name}: expected CSV text, got over {_LONGEST_LINE >> 20} MB without a line end."
            )
    if rest:
        yield rest
