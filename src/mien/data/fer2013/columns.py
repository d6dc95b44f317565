"""Parse the header of a FER2013 table: delimiter, and columns of pixels, labels and splits."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.data.fer2013.file_kinds import refuse_other_kinds
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

FER_LABEL = "emotion"
"""FER2013's own column of labels: its numbers are in FER2013's order."""

_PIXELS = ("pixels", "pixel")
_LABELS = (FER_LABEL, "emotions", "expression", "expressions", "label", "labels", "class", "target")
_SPLITS = ("usage", "split", "subset", "partition")
_DELIMITERS = ",;\t|"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Header:
    """The columns of a table.

    Args:
        names: column names as spelled in the file.
        pixels: index of the column of pixels.
        label: index of the column of labels, or `None`.
        usage: index of the column of splits, or `None`.
        delimiter: the character between two fields.
    """

    names: tuple[str, ...]
    pixels: int
    label: int | None
    usage: int | None
    delimiter: str = ","

    @property
    def label_name(self) -> str:
        """Name of the column of labels, as spelled in the file."""
        return "" if self.label is None else self.names[self.label]

    @property
    def is_fer2013(self) -> bool:
        """Whether the labels are in FER2013's column."""
        return self.label_name.lower() == FER_LABEL


def read_header(name: str, text: bytes) -> tuple[Header, bytes]:
    """Parse the header of a table and return it with the rest of the text.

    Args:
        name: name of the file, used in messages.
        text: the first lines, with line feeds.

    Raises:
        DataError: If it is not a table, or columns are missing.
    """
    refuse_other_kinds(name, text[:4096])
    line, _, rest = text.removeprefix(_BOM).lstrip().partition(b"\n")
    if not line:
        raise DataError(f"{name}: expected a FER2013 table, got an empty file. Download it again.")
    header = _parse(line)
    missing = ["emotion"] if header.label is None else []
    missing += ["pixels"] if header.pixels < 0 else []
    if missing and not (
        header.pixels == 0 and len(header.names) == 1
    ):  # pixels alone: the competition's test.csv
        raise DataError(
            f"{name}: expected the columns emotion, pixels and Usage, got {shorten(', '.join(header.names), 60)!r} "
            f"(no {' and no '.join(missing)}). {_remedy(header)}"
        )
    return header, rest


def column_key(name: str) -> str:
    """Return a column name in lower case with underscores: `image_name` for `Image Name`."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def knows_columns(names: Sequence[str]) -> bool:
    """Return whether column names include one of labels and one of pixels that `read_header` recognizes."""
    keys = {column_key(name) for name in names}
    return bool(keys & set(_LABELS)) and bool(keys & set(_PIXELS))


def peek_header(head: bytes) -> Header | None:
    """Return the header at the start of a file; `None` if there is no complete line of text."""
    line, end, _ = head.removeprefix(_BOM).lstrip().replace(b"\r", b"\n").partition(b"\n")
    if not line or not end or b"\0" in line:
        return None
    try:
        return _parse(line)
    except DataError:
        return None


def split_fields(line: bytes, delimiter: str = ",") -> list[str]:
    """Split a line into fields by the rules of CSV; spaces and tabs before a quote are allowed."""
    text = line.decode("utf-8", "replace").replace("\0", "\ufffd")
    if delimiter != "\t":
        text = text.replace("\t", " ")
    try:
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error as error:
        raise DataError(f"expected a row of CSV, got {shorten(text)!r} ({error}).") from error


def shorten(text: str, length: int = 20) -> str:
    """Return the text, shortened to the length that messages quote."""
    return text if len(text) <= length else f"{text[:length]}..."


def _parse(line: bytes) -> Header:
    return max((_parse_with(line, delimiter) for delimiter in _DELIMITERS), key=_likelihood)


def _parse_with(line: bytes, delimiter: str) -> Header:
    names = tuple(field.strip() for field in split_fields(line, delimiter))
    where = {column_key(field): i for i, field in reversed(list(enumerate(names)))}
    pixels, label, usage = (_first(where, columns) for columns in (_PIXELS, _LABELS, _SPLITS))
    return Header(names, -1 if pixels is None else pixels, label, usage, delimiter)


def _likelihood(header: Header) -> tuple[int, int]:
    found = (header.pixels >= 0) + (header.label is not None) + (header.usage is not None)
    return found, header.delimiter == ","


def _first(where: dict[str, int], columns: Sequence[str]) -> int | None:
    return next((where[column] for column in columns if column in where), None)


def _remedy(header: Header) -> str:
    """Return the remedy for a header without a required column."""
    if header.pixels < 0 and len(header.names) > 48:
        return "If it has a column for each pixel, name them pixel0, pixel1 and so on."
    if header.pixels < 0 and header.label is not None:
        return "Name the column of pixels pixels, or the column of image files path."
    return "Is this FER2013's table, with its header line?"
