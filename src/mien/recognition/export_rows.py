"""Write one row per face to a CSV, JSON, JSON Lines or Parquet file.

>>> with RowWriter("faces.csv", recognizer.labels) as rows:  # doctest: +SKIP
...     rows.write("photo.jpg", recognizer("photo.jpg"))
"""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, Self

from mien.errors import DataError, MissingExtra
from mien.files import replacing
from mien.images import path_to_write
from mien.quoting import quoted, quoted_path
from mien.recognition.faces import require_faces
from mien.recognition.values import finite_float, to_list, whole_number
from mien.wording import one_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from mien.recognition.faces import Face

COLUMNS = (
    "source", "frame", "seconds", "track", "x", "y", "width", "height", "confidence", "label", "score",
)  # fmt: skip
"""The columns before the probabilities of the classes."""

_INTEGERS = frozenset({"frame", "track", "x", "y", "width", "height"})
_TEXT = frozenset({"source", "label"})
_DIGITS = 6  # after the decimal point
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection
_GROUP = 4096  # rows in a row group of Parquet


class RowWriter:
    """Context manager that writes one row per face to a .csv, .json, .jsonl or .parquet file.

    The columns are `COLUMNS`, followed by one column per class with its probability. The column of a class with the same
    name as one of `COLUMNS` is `probability_<name>`. `frame` and `seconds` are empty for images, and `track` for faces
    without one. Images and frames without a face have no row. Times are rounded to microseconds, and in CSV all other
    numbers to six decimal places.

    The file gets its name when the block ends without an error or with Ctrl-C; after any other error no file is written.
    At most a few thousand rows are kept in memory.

    Args:
        path: the file to write; its suffix determines the format.
        labels: class names in the order of the model.
        excel_safe: whether to prepend an apostrophe to text in a .csv file that starts with `= + - @`, a tab or a
            carriage return, which spreadsheets would run as a formula. The other formats distinguish text.

    Raises:
        DataError: If the suffix is not supported, the path is a folder, or two classes would have the same column.
        MissingExtra: If the format is Parquet and pyarrow is not installed.
    """

    def __init__(self, path: str | Path, labels: Sequence[str], *, excel_safe: bool = False) -> None:
        self._path = path_to_write(path, "a file for rows")
        self._labels = _names(labels)
        suffix = self._path.suffix.lower()
        if suffix not in _FORMATS:
            raise DataError.from_parts(
                quoted_path(str(path)),
                expected=f"a name that ends in {one_of(_FORMATS)}",
                received=quoted_path(suffix) or "no suffix",
            )
        if self._path.is_dir():
            raise DataError.from_parts(
                quoted_path(str(path)),
                expected="a file for rows to write",
                received="a folder",
                remedy="Give the path of a file.",
            )
        names = tuple(f"probability_{label}" if label in COLUMNS else label for label in self._labels)
        self._columns = (*COLUMNS, *names)
        self._excel_safe = excel_safe and suffix == ".csv"
        if twice := sorted({name for name in names if self._columns.count(name) > 1}):
            raise DataError.from_parts(
                expected="class names for different columns", received=f"{', '.join(twice)} twice"
            )
        self._make = _FORMATS[suffix]
        if suffix == ".parquet":
            _import_pyarrow()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        aside = self._stack.enter_context(replacing(self._path))
        columns = _without_formulas(self._columns) if self._excel_safe else self._columns
        self._format = self._make(aside, columns)
        self._stack.callback(self._format.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            kind = error = trace = None
        self._stack.__exit__(kind, error, trace)

    def write(
        self, source: str, faces: Sequence[Face], *, frame: int | None = None, seconds: float | None = None
    ) -> None:
        """Write one row per face of an image or frame.

        Args:
            source: name of the image or video.
            faces: the faces found in it.
            frame: index of the frame in a video.
            seconds: time of the frame in the video.

        Raises:
            DataError: If the source is not a string, `frame` or `seconds` is not a number, or a face lacks one of the
                classes.
        """
        if isinstance(source, PathLike):
            source = str(source)
        if not isinstance(source, str):
            raise DataError.from_parts(expected="the name of an image or video", received=quoted(source))
        if frame is not None:
            frame = whole_number(frame, "index of a frame", "numbers")
        if seconds is not None:
            finite_float(seconds, "time of a frame")
        faces = _check_faces(faces, self._labels)
        # Bytes of a name that are not valid UTF-8 are written as escape sequences.
        source = source.encode(errors="backslashreplace").decode()
        for face in faces:
            box, expression = face.box, face.expression
            probabilities = (float(expression.probabilities[label]) for label in self._labels)
            row = (
                source, frame, None if seconds is None else round(float(seconds), _DIGITS), face.track,
                box.x, box.y, box.width, box.height,
                float(face.confidence), expression.label, float(expression.score), *probabilities,
            )  # fmt: skip
            self._format.write(_without_formulas(row) if self._excel_safe else row)


def _without_formulas(row: Sequence[Any]) -> list[Any]:
    """Return a row with an apostrophe before each text that a spreadsheet could interpret as a formula."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row]


def _names(labels: Any) -> tuple[str, ...]:
    names = tuple(to_list(labels) or ())
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError.from_parts(
            expected="the class names as a list or tuple of strings", received=quoted(labels)
        )
    return names


def _check_faces(faces: Any, labels: tuple[str, ...]) -> list[Face]:
    found = require_faces(faces)
    for face in found:
        if missing := [label for label in labels if label not in face.expression.probabilities]:
            raise DataError.from_parts(
                expected=f"faces with probabilities of {quoted(labels)}",
                received=f"one without {quoted(missing)}",
                remedy="Create the writer with recognizer.labels.",
            )
    return found


class _Format(Protocol):
    """A file format, constructed from a path and column names."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None: ...

    def write(self, row: Sequence[Any]) -> None:
        """Write a row."""

    def close(self) -> None:
        """Complete and close the file."""


class _Csv:
    """CSV: comma-separated, UTF-8, with a header; values with commas, quotes or line breaks are quoted."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        # Python 3.11 does not quote a lone carriage return, which readers interpret as the end of the row.
        self._quoting = csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        self.write(columns)

    def write(self, row: Sequence[Any]) -> None:
        row = [round(value, _DIGITS) if isinstance(value, float) else value for value in row]
        has_return = any("\r" in value for value in row if isinstance(value, str))
        (self._quoting if has_return else self._writer).writerow(row)

    def close(self) -> None:
        self._file.close()


class _JsonLines:
    """JSON Lines: one JSON object per line."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._columns = columns

    def write(self, row: Sequence[Any]) -> None:
        self._file.write(self._object(row) + "\n")

    def close(self) -> None:
        self._file.close()

    def _object(self, row: Sequence[Any]) -> str:
        return json.dumps(dict(zip(self._columns, row, strict=True)), ensure_ascii=False, allow_nan=False)


class _Json(_JsonLines):
    """JSON: one array of objects."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path, columns)
        self._before = "[\n"

    def write(self, row: Sequence[Any]) -> None:
        self._file.write(self._before + self._object(row))
        self._before = ",\n"

    def close(self) -> None:
        self._file.write("[]\n" if self._before == "[\n" else "\n]\n")
        super().close()


class _Parquet:
    """Parquet: 64-bit integers and floats, and strings; one row group per few thousand rows."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._arrow, parquet = _import_pyarrow()
        self._schema = self._arrow.schema([(name, self._type(name)) for name in columns])
        self._writer = parquet.ParquetWriter(path, self._schema)
        self._rows: list[Sequence[Any]] = []

    def write(self, row: Sequence[Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _GROUP:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        self._rows = []

    def _type(self, name: str) -> Any:
        if name in _TEXT:
            return self._arrow.string()
        return self._arrow.int64() if name in _INTEGERS else self._arrow.float64()


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    return pa, pq


_FORMATS: dict[str, type[_Format]] = {
    ".csv": _Csv,
    ".json": _Json,
    ".jsonl": _JsonLines,
    ".parquet": _Parquet,
}
