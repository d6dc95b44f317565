"""`RowWriter`: a row for each face of an image or frame, as CSV, JSON, JSON Lines or Parquet."""

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
from mien.recognition.faces import Face
from mien.recognition.values import finite, items_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

COLUMNS = (
    "source", "frame", "seconds", "track", "x", "y", "width", "height", "confidence", "label", "score",
)  # fmt: skip
"""The columns before those of the labels' probabilities."""

_WHOLE = frozenset({"frame", "track", "x", "y", "width", "height"})
_TEXT = frozenset({"source", "label"})
_DIGITS = 6  # after the point
_GROUP = 4096  # rows that Parquet writes at a time


class RowWriter:
    """Writes a row for each face as it comes, to .csv, .json, .jsonl or .parquet. A context manager.

    The columns are `COLUMNS`, then one for each label with its probability; a label that is called like one of
    `COLUMNS` has its column called `probability_…`. Frame and seconds are empty for an image, the track where
    there is none. An image or frame without a face leaves no row. Times are rounded to
    microseconds (1.88, not 1.8800000000000003), and in CSV all other numbers to six digits after the point.

    The file takes its name when the block ends well or is ended by Ctrl-C, then with the rows so far; any other
    error leaves nothing. No more than a few thousand rows are held.

    Args:
        path: where to write it; the ending says the format.
        labels: names of the expressions, in the model's order.

    Raises:
        DataError: the ending names no format that is written here, or there is a folder of that name,
            or two labels would have one column.
        MissingExtra: Parquet is wanted and pyarrow is not installed.
    """

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        self._path = path_to_write(path, "a file for rows")
        self._labels = _names(labels)
        suffix = self._path.suffix.lower()
        if suffix not in _FORMATS:
            raise DataError(
                f"{quoted_path(str(path))}: expected a name that ends in {', '.join(_FORMATS)} for rows to write."
            )
        if self._path.is_dir():
            raise DataError(f"{path}: expected a file for rows to write, got a folder. Name a file in it.")
        names = tuple(f"probability_{label}" if label in COLUMNS else label for label in self._labels)
        self._columns = (*COLUMNS, *names)
        if twice := sorted({name for name in names if self._columns.count(name) > 1}):
            raise DataError(f"Expected labels that name different columns, got {', '.join(twice)} twice.")
        self._make = _FORMATS[suffix]
        if suffix == ".parquet":
            _import_pyarrow()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        aside = self._stack.enter_context(replacing(self._path))
        self._format = self._make(aside, self._columns)
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
        """Add a row for each face of an image or frame.

        Args:
            source: the image or video.
            faces: what was found in it.
            frame: number of the frame in a video.
            seconds: when it is shown.

        Raises:
            DataError: the source has no name, or a face has other labels than the file.
        """
        if isinstance(source, PathLike):
            source = str(source)
        if not isinstance(source, str):
            raise DataError(f"Expected the name of an image or video, got {quoted(source)}.")
        if seconds is not None:
            finite(seconds, "time of a frame")
        faces = _checked_faces(faces, self._labels)
        # A name that is no valid text (bytes that are not UTF-8) is written with its odd bytes spelled out.
        source = source.encode(errors="backslashreplace").decode()
        for face in faces:
            box, expression = face.box, face.expression
            probabilities = (float(expression.probabilities[label]) for label in self._labels)
            row = (
                source, frame, None if seconds is None else round(float(seconds), _DIGITS), face.track,
                box.x, box.y, box.width, box.height,
                float(face.confidence), expression.label, float(expression.score), *probabilities,
            )  # fmt: skip
            self._format.write(row)


def _names(labels: Any) -> tuple[str, ...]:
    names = tuple(items_of(labels) or ())
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"Expected the names of the expressions in a list or tuple, got {quoted(labels)}.")
    return names


def _checked_faces(faces: Any, labels: tuple[str, ...]) -> list[Face]:
    found = items_of(faces)
    for face in [faces] if found is None else found:
        if not isinstance(face, Face):
            raise DataError(f"Expected a list of faces to write, got one with {quoted(face)}.")
        if missing := [label for label in labels if label not in face.expression.probabilities]:
            raise DataError(
                f"Expected faces with probabilities of {quoted(labels)}, got one without {quoted(missing)}. "
                "Make a writer with the labels of its recognizer."
            )
    return found or []


class _Format(Protocol):
    """One file format, made of a path and the names of its columns."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None: ...

    def write(self, row: Sequence[Any]) -> None:
        """Add a row."""

    def close(self) -> None:
        """Finish the file."""


class _Csv:
    """Comma-separated, UTF-8, with a header; what holds a comma, a quote or a new line is quoted."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        # Python 3.11 leaves a lone carriage return unquoted, which readers take for the end of the row.
        self._careful = csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        self._writer.writerow(columns)

    def write(self, row: Sequence[Any]) -> None:
        row = [round(value, _DIGITS) if isinstance(value, float) else value for value in row]
        (self._careful if "\r" in row[0] else self._writer).writerow(row)

    def close(self) -> None:
        self._file.close()


class _JsonLines:
    """A JSON object a line."""

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
    """One JSON array of objects."""

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
    """Parquet: whole numbers, 64-bit floats and text; a row group for every few thousand rows."""

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
        return self._arrow.int64() if name in _WHOLE else self._arrow.float64()


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
