"""Parse the rows of a FER2013 table: a block of rows at once, or a single row with a precise error message.

A block is parsed with array operations. A row that they do not accept is parsed again by itself by the rules of CSV,
which either succeeds (tabs between pixels, a comma in quotes) or raises an error for the row.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mien.class_names import CLASS_ORDERS, HOW_TO_ORDER
from mien.data.dataset import PRIVATE_TEST, SPLITS, TRAINING, UNLABELED
from mien.data.fer2013.columns import Header, shorten, split_fields
from mien.data.fer2013.table import ANY_NUMBER, PIXELS, Table
from mien.data.splits import parse_split
from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.labels import EXPRESSION_WORDS, meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.data.fer2013.scanner import Scan

    Field = tuple[NDArray[np.int64], NDArray[np.int64]]  # start and end of the field of a column in each row

_WORD_WIDTH = 16  # bytes: the usual spellings of splits and expressions fit
_AGAIN = "Correct the row or download the file again."


class UnusualRowError(DataError):
    """A row that may belong to another table: another image size, or another class."""


@dataclass(frozen=True)
class Columns:
    """How to parse the fields of a table.

    Args:
        header: the columns.
        numbers: labels can be numbers below this; 0 if numbers are refused because their order is not known.
        split: index into `SPLITS` of all rows of a table without a split column.
    """

    header: Header
    numbers: int
    split: int


class Block:
    """Complete lines of a table, ending in a line feed, with the positions of their fields.

    Positions are offsets into the text. A field is a pair of arrays `(start, stop)` with one entry per row.
    """

    def __init__(self, text: NDArray[np.uint8], scan: Scan, columns: Columns) -> None:
        self.text, self.scan, self.columns, self.header = text, scan, columns, columns.header
        marks = text[scan.foreign]
        self.commas = scan.foreign[marks == ord(self.header.delimiter)]
        stops = scan.foreign[marks == ord("\n")]
        starts, stops = self._trim_blanks(np.concatenate([[0], stops[:-1] + 1]), stops)
        filled = starts < stops
        self.starts, self.stops = starts[filled], stops[filled]

    def __len__(self) -> int:
        return len(self.starts)

    def parse(self, name: str, row: int) -> Table:
        """Return all rows as arrays.

        Args:
            name: name of the file, used in messages.
            row: number of rows before this block.

        Raises:
            DataError: For the first invalid row.
        """
        columns, good = self._columns()
        images, good_pixels = self._pixels(columns[self.header.pixels])
        labels, good_labels = self._labels(columns)
        splits, good_splits = self._splits(columns)
        good &= good_pixels & good_labels & good_splits
        for i in np.flatnonzero(~good):
            line = self.text[self.starts[i] : self.stops[i]].tobytes()
            try:
                images[i], labels[i], splits[i] = _parse_row(line, self.columns)
            except DataError as error:
                raise type(error)(
                    f"{name} row {row + i + 1} (counted from 1 below the header): {error}"
                ) from None
        return Table(images.reshape(-1, CROP_SIZE, CROP_SIZE), labels, splits)

    def _columns(self) -> tuple[list[Field], NDArray[np.bool_]]:
        """Return the fields of each column, and which rows have as many as the header; other rows get empty fields."""
        between = len(self.header.names) - 1
        first, count = _find(self.commas, (self.starts, self.stops))
        good = count == between
        edges = np.repeat(self.starts[:, None], between + 2, axis=1)
        edges[good, 0] -= 1
        edges[good, 1:-1] = self.commas[first[good, None] + np.arange(between)]
        edges[good, -1] = self.stops[good]
        return [self._trim(edges[:, i] + 1, edges[:, i + 1]) for i in range(between + 1)], good

    def _pixels(self, field: Field) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return pixels uint8 (rows, 2304), and which rows are certainly valid."""
        first, count = self._numbers_in(field)
        good = count == PIXELS
        if good.all():
            return sliding_window_view(self.scan.values, PIXELS)[first], good
        images = np.zeros((len(self), PIXELS), np.uint8)
        if good.any():
            images[good] = sliding_window_view(self.scan.values, PIXELS)[first[good]]
        return images, good

    def _labels(self, columns: list[Field]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Return labels int8 (rows,), and which rows are certainly valid."""
        labels = np.full(len(self), UNLABELED, np.int8)
        if self.header.label is None:
            return labels, np.ones(len(self), np.bool_)
        first, count = self._numbers_in(columns[self.header.label])
        good = count == 1
        number = self.scan.values[first[good]]
        known = number < self.columns.numbers
        good[good] = known
        labels[good] = number[known]
        words = np.flatnonzero(~good)
        if words.size:
            start, stop = columns[self.header.label]
            codes, told = self._read_words((start[words], stop[words]), _word)
            labels[words[told]] = codes[told]
            good[words] = told
        return labels, good

    def _read_words(
        self, field: Field, parse: Callable[[str], int]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the code of the text in each field, int64 (rows,), and which rows have one."""
        start, stop = field
        at = start[:, None] + np.arange(_WORD_WIDTH)
        letters = np.where(at < stop[:, None], self.text[np.minimum(at, len(self.text) - 1)], 0)
        words, which = np.unique(
            np.ascontiguousarray(letters, np.uint8).view(f"S{_WORD_WIDTH}"), return_inverse=True
        )
        codes = np.array([parse(word.decode("latin-1")) for word in words.ravel()], np.int64)[which.ravel()]
        return codes, (codes >= 0) & (stop - start <= _WORD_WIDTH)

    def _numbers_in(self, field: Field) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the index of the first number in the field of each row, and their count; -1 if it has other text."""
        first, count = _find(self.scan.ends, field)
        for positions in (self.scan.foreign, self.scan.doubtful):
            count[_find(positions, field)[1] > 0] = -1
        return first, count

    def _splits(self, columns: list[Field]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return indices into `SPLITS` uint8 (rows,), and which rows are certainly valid."""
        if self.header.usage is None:
            return np.full(len(self), self.columns.split, np.uint8), np.ones(len(self), np.bool_)
        codes, good = self._read_words(columns[self.header.usage], _usage)
        return np.where(good, codes, 0).astype(np.uint8), good

    def _trim(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Field:
        """Return the fields without surrounding spaces and quotes."""
        start, stop = self._trim_blanks(start, stop)
        quoted = (stop - start >= 2) & (self.text[start] == ord('"')) & (self.text[stop - 1] == ord('"'))
        return self._trim_blanks(start + quoted, stop - quoted) if quoted.any() else (start, stop)

    def _trim_blanks(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Field:
        while (move := (start < stop) & self._is_blank(start)).any():
            start = start + move
        while (move := (start < stop) & self._is_blank(stop - 1)).any():
            stop = stop - move
        return start, stop

    def _is_blank(self, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        blank: NDArray[np.bool_] = self.text[at] == ord(" ")
        return blank if self.header.delimiter == "\t" else blank | (self.text[at] == ord("\t"))


def _find(positions: NDArray[np.int64], field: Field) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the index of the first of some ascending positions inside each field, and their number."""
    first = np.searchsorted(positions, field[0])
    return first, np.searchsorted(positions, field[1]) - first


def _parse_row(line: bytes, columns: Columns) -> tuple[NDArray[np.uint8], int, int]:
    """Parse the pixels uint8 (2304,), label and split of one row.

    Raises:
        DataError: If it is invalid; the message does not contain the file and row.
    """
    header = columns.header
    fields = split_fields(line, header.delimiter)
    if len(fields) != len(header.names):
        short = "Is the file cut short?" if len(fields) < len(header.names) else _AGAIN
        names = shorten(", ".join(header.names), 60)
        raise DataError(f"expected {len(header.names)} columns ({names}), got {len(fields)}. {short}")
    label = UNLABELED if header.label is None else _parse_label(fields[header.label].strip(), columns)
    split = columns.split if header.usage is None else _parse_usage(fields[header.usage], header)
    return _parse_pixels(fields[header.pixels]), label, split


def _parse_label(text: str, columns: Columns) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if 0 <= number < columns.numbers:
        return number
    if (code := _word(text)) >= 0:
        return code
    name = columns.header.label_name
    if number >= 0 and not columns.numbers:
        raise DataError(
            f"expected {name} to be the name of an expression, got the number {shorten(text)!r}: every data set "
            f"numbers them in another order. To say which, {HOW_TO_ORDER}."
        )
    what = f"{name} to be a whole number from 0 to {columns.numbers - 1}, or the name of an expression"
    if parse_split(text) is not None:
        raise DataError(
            f"expected {what}, got {shorten(text)!r}, which is a split. Are the column names correct?"
        )
    if columns.numbers <= number < ANY_NUMBER:
        raise UnusualRowError(
            f"expected {what}, got {shorten(text)!r}. Correct the row; or, for a table whose order is not "
            f"FER2013's, give `class_names`: one of {', '.join(CLASS_ORDERS)}, or the name of each number, such "
            "as 0=neutral,1=happy."
        )
    raise UnusualRowError(f"expected {what}, got {shorten(text)!r}. {_AGAIN}")


def _word(text: str) -> int:
    """Return the code of a label that is a word; -1 if it is not an expression."""
    word = text.strip().lower()
    return ANY_NUMBER + EXPRESSION_WORDS.index(word) if word in EXPRESSION_WORDS else -1


def _parse_usage(text: str, header: Header) -> int:
    split = _usage(text)
    if split < 0:
        name = header.names[header.usage or 0]
        remedy = "Are the column names correct?" if meaning(text) else _AGAIN
        raise DataError(f"expected {name} to be {', '.join(SPLITS)}, got {shorten(text.strip())!r}. {remedy}")
    return split


def _usage(text: str) -> int:
    """Return the index into `SPLITS`; -1 if it is not a split."""
    split = parse_split(text)
    return -1 if split is None else SPLITS.index(split)


def default_split(header: Header) -> int:
    """Return the index into `SPLITS` for a table without splits: Training with labels, PrivateTest without."""
    return SPLITS.index(PRIVATE_TEST if header.label is None else TRAINING)


def _parse_pixels(text: str) -> NDArray[np.uint8]:
    words = re.findall("[^ \t]+", text)
    values = [int(word) if re.fullmatch(r"[0-9]{1,9}", word) else -1 for word in words]
    for i, value in enumerate(values):
        if not 0 <= value <= 255:
            raise DataError(
                f"expected pixels to be whole numbers from 0 to 255, got {shorten(words[i])!r} "
                f"as pixel {i + 1}. {_remedy_of_pixel(words[i], words)}"
            )
    if len(words) != PIXELS:
        raise UnusualRowError(
            f"expected {PIXELS} pixels ({CROP_SIZE}x{CROP_SIZE}), got {len(words)}{_remedy_of_count(len(words))}"
        )
    return np.array(values, np.uint8)


def _remedy_of_pixel(word: str, words: list[str]) -> str:
    if word == "..." and len(words) < PIXELS:
        return "NumPy has abbreviated the row where the table was written: write all its numbers."
    if re.fullmatch(r"-?[0-9]*\.[0-9]*(?:e-?[0-9]+)?", word):
        within = all(re.fullmatch(r"(?:0?\.[0-9]+|[01](?:\.0*)?|[0-9.]+e-[0-9]+)", other) for other in words)
        return (
            "They run from 0 to 1: multiply them by 255 first, and round." if within else "Round them first."
        )
    return _AGAIN


def _remedy_of_count(count: int) -> str:
    """Return the end of the message about a wrong number of pixels."""
    if count == 3 * PIXELS:
        return ", three for each: colors. Turn the images gray first."
    side = math.isqrt(count)
    if side * side == count and side >= 20:
        return f" ({side}x{side}). Resize the images first."
    return ". Is the file cut short?" if count < PIXELS else f". {_AGAIN}"
