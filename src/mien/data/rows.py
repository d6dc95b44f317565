"""The rows of a FER2013 table: a block of many at once, or one with all its faults.

The block is read by whole-array operations. A row that these do not find perfect is read again by itself, by
the rules of CSV, which either makes sense of it (tabs between pixels, a comma in quotes) or names the fault.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mien.data.dataset import PRIVATE_TEST, SPLITS, TRAINING, UNLABELLED, Dataset
from mien.data.folders import parse_split
from mien.errors import DataError
from mien.images import CROP_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.digits import Scan
    from mien.labels import Taxonomy

    Field = tuple[NDArray[np.int64], NDArray[np.int64]]  # start and stop of a column's field in each row

PIXELS = CROP_SIZE * CROP_SIZE

_USAGE_WIDTH = 16  # bytes: the usual spellings fit
_AGAIN = "Correct the row or download the file again."


@dataclass(frozen=True)
class Header:
    """Which columns there are: their names as they stand, and where the three that matter are (or `None`)."""

    names: tuple[str, ...]
    pixels: int
    emotion: int | None
    usage: int | None


@dataclass(frozen=True)
class Table:
    """The contents of a table as plain arrays, the form that the cache keeps.

    Args:
        images: uint8 (n, 48, 48).
        labels: int8 (n,), index of the class or -1 where there is no label.
        splits: uint8 (n,), index into `mien.data.dataset.SPLITS`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int8]
    splits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def to_dataset(self, taxonomy: Taxonomy, source: str) -> Dataset:
        """The same as a `Dataset` with one-hot targets."""
        one_hot = np.eye(len(taxonomy) + 1, len(taxonomy), dtype=np.float32)  # the last row, -1, is all zeros
        return Dataset(
            self.images, one_hot[self.labels], np.array(SPLITS)[self.splits], taxonomy, source=source
        )


class Block:
    """Whole lines of a table, ending in a line feed, and where their fields begin and end.

    Positions are offsets into the text. A field is a pair of arrays `(start, stop)` with an entry a row.
    """

    def __init__(self, text: NDArray[np.uint8], scan: Scan, header: Header, classes: int) -> None:
        self.text, self.scan, self.header, self.classes = text, scan, header, classes
        marks = text[scan.foreign]
        self.commas = scan.foreign[marks == ord(",")]
        stops = scan.foreign[marks == ord("\n")]
        starts, stops = self._trim_blanks(np.concatenate([[0], stops[:-1] + 1]), stops)
        filled = starts < stops
        self.starts, self.stops = starts[filled], stops[filled]

    def __len__(self) -> int:
        return len(self.starts)

    def parse(self, name: str, row: int) -> Table:
        """All rows as arrays.

        Args:
            name: the file, for messages.
            row: how many rows came before this block.

        Raises:
            DataError: the first row at fault.
        """
        columns, good = self._columns()
        images, good_pixels = self._pixels(columns[self.header.pixels])
        labels, good_labels = self._labels(columns)
        splits, good_splits = self._splits(columns)
        good &= good_pixels & good_labels & good_splits
        for i in np.flatnonzero(~good):
            line = self.text[self.starts[i] : self.stops[i]].tobytes()
            try:
                images[i], labels[i], splits[i] = _parse_row(line, self.header, self.classes)
            except DataError as error:
                raise DataError(
                    f"{name} row {row + i + 1} (counted from 1 below the header): {error}"
                ) from None
        return Table(images.reshape(-1, CROP_SIZE, CROP_SIZE), labels, splits)

    def _columns(self) -> tuple[list[Field], NDArray[np.bool_]]:
        """The fields of every column, and the rows with as many as the header; those of others are empty."""
        between = len(self.header.names) - 1
        first, count = _find(self.commas, (self.starts, self.stops))
        good = count == between
        edges = np.repeat(self.starts[:, None], between + 2, axis=1)
        edges[good, 0] -= 1
        edges[good, 1:-1] = self.commas[first[good, None] + np.arange(between)]
        edges[good, -1] = self.stops[good]
        return [self._trim(edges[:, i] + 1, edges[:, i + 1]) for i in range(between + 1)], good

    def _pixels(self, field: Field) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels uint8 (rows, 2304), and the rows where they are beyond doubt."""
        first, count = self._numbers_in(field)
        good = count == PIXELS
        if good.all():
            return sliding_window_view(self.scan.values, PIXELS)[first], good
        images = np.zeros((len(self), PIXELS), np.uint8)
        if good.any():
            images[good] = sliding_window_view(self.scan.values, PIXELS)[first[good]]
        return images, good

    def _labels(self, columns: list[Field]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Labels int8 (rows,), and the rows where they are beyond doubt."""
        labels = np.full(len(self), UNLABELLED, np.int8)
        if self.header.emotion is None:
            return labels, np.ones(len(self), np.bool_)
        first, count = self._numbers_in(columns[self.header.emotion])
        good = count == 1
        number = self.scan.values[first[good]]
        known = number < self.classes
        good[good] = known
        labels[good] = number[known]
        return labels, good

    def _numbers_in(self, field: Field) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index of the first number in the field of each row, and how many there are; -1 if it holds more."""
        first, count = _find(self.scan.ends, field)
        for positions in (self.scan.foreign, self.scan.doubtful):
            count[_find(positions, field)[1] > 0] = -1
        return first, count

    def _splits(self, columns: list[Field]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Indices into `SPLITS` uint8 (rows,), and the rows where they are beyond doubt."""
        if self.header.usage is None:
            return np.full(len(self), _default_split(self.header), np.uint8), np.ones(len(self), np.bool_)
        start, stop = columns[self.header.usage]
        at = start[:, None] + np.arange(_USAGE_WIDTH)
        letters = np.where(at < stop[:, None], self.text[np.minimum(at, len(self.text) - 1)], 0)
        words, which = np.unique(
            np.ascontiguousarray(letters, np.uint8).view(f"S{_USAGE_WIDTH}"), return_inverse=True
        )
        codes = np.array([_usage(word.decode("latin-1")) for word in words.ravel()], np.int64)[which.ravel()]
        good = (codes >= 0) & (stop - start <= _USAGE_WIDTH)
        return np.where(good, codes, 0).astype(np.uint8), good

    def _trim(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Field:
        """The same fields without blanks around them, and without a pair of quotes."""
        start, stop = self._trim_blanks(start, stop)
        quoted = (stop - start >= 2) & (self.text[start] == ord('"')) & (self.text[stop - 1] == ord('"'))
        return self._trim_blanks(start + quoted, stop - quoted) if quoted.any() else (start, stop)

    def _trim_blanks(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Field:
        while (move := (start < stop) & _is_blank(self.text[start])).any():
            start = start + move
        while (move := (start < stop) & _is_blank(self.text[stop - 1])).any():
            stop = stop - move
        return start, stop


def _is_blank(text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    blank: NDArray[np.bool_] = (text == ord(" ")) | (text == ord("\t"))
    return blank


def _find(positions: NDArray[np.int64], field: Field) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Index of the first of some ascending positions that lies in each field, and how many do."""
    first = np.searchsorted(positions, field[0])
    return first, np.searchsorted(positions, field[1]) - first


def _parse_row(line: bytes, header: Header, classes: int) -> tuple[NDArray[np.uint8], int, int]:
    """Pixels uint8 (2304,), label and split of one row.

    Raises:
        DataError: what is wrong with it, without file and row.
    """
    fields = split_fields(line)
    if len(fields) != len(header.names):
        short = "Is the file cut short?" if len(fields) < len(header.names) else _AGAIN
        names = shorten(", ".join(header.names), 60)
        raise DataError(f"expected {len(header.names)} columns ({names}), got {len(fields)}. {short}")
    label = UNLABELLED if header.emotion is None else _parse_label(fields[header.emotion].strip(), classes)
    split = _default_split(header) if header.usage is None else _parse_usage(fields[header.usage])
    return _parse_pixels(fields[header.pixels]), label, split


def split_fields(line: bytes) -> list[str]:
    """The fields of a line by the rules of CSV; blanks and tabs before a quote are allowed."""
    text = line.decode("utf-8", "replace").replace("\0", "\ufffd").replace("\t", " ")
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as error:
        raise DataError(f"expected a row of CSV, got {shorten(text)!r} ({error}).") from error


def _parse_label(text: str, classes: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) >= classes:
        raise DataError(
            f"expected emotion to be a whole number from 0 to {classes - 1}, got {shorten(text)!r}. {_AGAIN}"
        )
    return int(text)


def _parse_usage(text: str) -> int:
    split = _usage(text)
    if split < 0:
        raise DataError(f"expected Usage to be {', '.join(SPLITS)}, got {shorten(text.strip())!r}. {_AGAIN}")
    return split


def _usage(text: str) -> int:
    """Index into `SPLITS`, or -1 for what is no split."""
    split = parse_split(text)
    return -1 if split is None else SPLITS.index(split)


def _default_split(header: Header) -> int:
    """Of a table without `Usage`: `train.csv` has labels, `test.csv` none."""
    return SPLITS.index(PRIVATE_TEST if header.emotion is None else TRAINING)


def _parse_pixels(text: str) -> NDArray[np.uint8]:
    words = re.findall("[^ ]+", text)
    values = [int(word) if re.fullmatch(r"[0-9]{1,9}", word) else -1 for word in words]
    for i, value in enumerate(values):
        if not 0 <= value <= 255:
            raise DataError(
                f"expected pixels to be whole numbers from 0 to 255, got {shorten(words[i])!r} "
                f"as pixel {i + 1}. {_AGAIN}"
            )
    if len(words) != PIXELS:
        short = "Is the file cut short?" if len(words) < PIXELS else _AGAIN
        raise DataError(f"expected {PIXELS} pixels ({CROP_SIZE}x{CROP_SIZE}), got {len(words)}. {short}")
    return np.array(values, np.uint8)


def shorten(text: str, length: int = 20) -> str:
    """The text, or its beginning if it is longer than a message should quote."""
    return text if len(text) <= length else f"{text[:length]}..."
