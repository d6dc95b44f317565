"""Inputs stored in tables and lists: values in Parquet files, URIs in tables, lines of lists."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from mien.bulk.entries import Entry
from mien.bulk.input_kinds import suffix_of
from mien.bulk.listing_ahead import in_order
from mien.bulk.retried_files import open_list, open_retried
from mien.errors import DataError, MissingExtra
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

ETAG_COLUMN = "mien.etag"
"""Column of a stored data frame with a hash of each image."""

_COLUMN_NAMES = (
    "uri",
    "url",
    "path",
    "image",
    "bytes",
    "file",
    "filename",
    "image_path",
    "image_url",
    "img",
    "source",
)
"""Column names that are tried, in this order, if no column is given."""

_BLOCK = 256 * 1024
"""Block size in bytes for reading a list in an object store."""

_TABLE_BLOCK = 4 * 2**20
"""Block size in bytes for reading a Parquet file in an object store."""


def entries_of_parquet(
    table: Entry,
    column: str | None,
    storage_options: dict[str, Any],
    expand: Callable[[str, str], Iterator[Entry]],
) -> Iterator[Entry]:
    """Yield the inputs of a Parquet file: URIs from a text column, or images from a bytes column.

    Raises:
        DataError: the file is damaged, cannot be read or has no such column.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow", "batch") from error
    with open_retried(table.uri, storage_options, _TABLE_BLOCK) as file:
        try:
            opened = pq.ParquetFile(file)
        except DataError:  # it cannot be read
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(
                f"{quoted_path(table.uri)}: expected a Parquet file, got a damaged or other file."
            ) from error
        name = find_column(opened.schema_arrow, column, table.uri)
        if not is_text(opened.schema_arrow.field(name).type):
            yield from _values(table, name, opened)
            return
        texts = enumerate(_texts(opened, name))
        yield from in_order(_listed(text, table, expand, f"row {row}") for row, text in texts)


def _texts(opened: Any, column: str) -> Iterator[str | None]:
    for batch in opened.iter_batches(batch_size=4096, columns=[column]):
        yield from batch.column(0).to_pylist()


def _values(table: Entry, column: str, opened: Any) -> Iterator[Entry]:
    """Yield an input for each value; those of a stored data frame have hashes and lasting ids."""
    if ETAG_COLUMN not in opened.schema_arrow.names:
        for row in range(opened.metadata.num_rows):
            yield Entry(table.uri, "image", "parquet", row, -1, table.size, table.etag, f"row {row}", column)
        return
    uri, row = re.sub(r"frame-[0-9a-f]{16}\.parquet$", "frame.parquet", table.uri), 0
    for batch in opened.iter_batches(batch_size=4096, columns=[ETAG_COLUMN]):
        for etag in batch.column(0).to_pylist():
            yield Entry(uri, "image", "parquet", row, -1, -1, etag, f"row {row}", column, file=table.uri)
            row += 1


def _listed(
    text: str | None, table: Entry, expand: Callable[[str, str], Iterator[Entry]], place: str
) -> Iterator[Entry]:
    if text is None or not text.strip():
        empty = Entry(
            table.uri, member=place, size=table.size, etag=table.etag,
            error=f"{quoted_path(table.uri)}: {place} is empty, expected a path or a URL.",
        )  # fmt: skip
        return iter((empty,))
    return expand(text.strip(), table.uri)


def entries_of_list(
    listed: Entry,
    column: str | None,
    storage_options: dict[str, Any],
    expand: Callable[[str, str], Iterator[Entry]],
) -> Iterator[Entry]:
    """Yield the inputs of a text file, one per line, or of a column of a CSV table.

    Raises:
        DataError: the file cannot be read or is not UTF-8 text, or the table is damaged or has no such column.
    """
    with (
        open_list(listed.uri, storage_options, _BLOCK) as file,
        io.TextIOWrapper(file, "utf-8-sig", newline="") as text,
    ):
        try:
            if (suffix := suffix_of(listed.uri)) in {".csv", ".tsv"}:
                separator = "\t" if suffix == ".tsv" else ","
                rows = csv.DictReader(text, delimiter=separator)
                name = choose_column(list(rows.fieldnames or ()), column, listed.uri)
                yield from in_order(
                    _listed(row[name], listed, expand, f"row {number}") for number, row in enumerate(rows)
                )
                return
            lines = (line.strip() for line in text if line.strip() and not line.startswith("#"))
            yield from in_order(expand(line, listed.uri) for line in lines)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{quoted_path(listed.uri)}: expected a list of paths and URLs as UTF-8 text, got other bytes."
            ) from error
        except csv.Error as error:
            raise DataError(
                f"{quoted_path(listed.uri)}: expected a CSV table, got one that is damaged ({str(error)[:80]})."
            ) from error


def find_column(schema: pa.Schema, wanted: str | None, where: str) -> str:
    """Return the column of a table that holds the inputs; the hashes of a stored data frame never do.

    Raises:
        DataError: there is no such column, it holds neither text nor bytes, or it cannot be detected.
    """
    usable = [
        one.name for one in schema if one.name != ETAG_COLUMN and (is_text(one.type) or is_bytes(one.type))
    ]
    if wanted is not None and wanted in schema.names and wanted not in usable:
        raise DataError(
            f"{quoted_path(where)}: expected the column {quoted(wanted)} to hold URIs or image bytes, "
            f"got {str(schema.field(wanted).type)[:80]}."
        )
    return choose_column(usable, wanted, where)


def choose_column(names: list[str], wanted: str | None, where: str) -> str:
    """Return the wanted column or, if none is given, the first with a usual name or the only one.

    Raises:
        DataError: the wanted column does not exist, or none can be detected.
    """
    if wanted is not None:
        if wanted in names:
            return wanted
        raise DataError(
            f"{quoted_path(where)}: expected a column {quoted(wanted)}, found {quoted(names)}. Name one of them."
        )
    lower = {name.lower(): name for name in reversed(names)}
    found = next((lower[name] for name in _COLUMN_NAMES if name in lower), None)
    if found is None and len(names) == 1:
        return names[0]
    if found is None:
        raise DataError(
            f"{quoted_path(where)}: expected to know which column holds the URIs or image bytes, found {quoted(names)}. "
            "Name the column."
        )
    return found


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type is text, possibly as categories."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: Any) -> bool:
    """Return whether an Arrow type is bytes, or a struct with a field `bytes`, as Hugging Face stores images."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return is_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return any(one.name == "bytes" and is_bytes(one.type) for one in kind)
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
