"""Data frames as sources; they are stored in the output folder so that a job can resume without them."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any

from mien.bulk.container_inputs import ETAG_COLUMN, find_column, is_text
from mien.bulk.locations import require_no_password
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mien.bulk.storage import Storage


_STORED = re.compile(r"(?:^|/)_mien/frame-[0-9a-f]{16}\.parquet$")
_ROWS = 256  # per row group and page, because readers hold a whole page


def is_frame(value: object) -> bool:
    """Return whether a value is a pandas or polars data frame, a polars lazy frame or an Arrow table."""
    return (
        hasattr(value, "__arrow_c_stream__")
        or hasattr(value, "collect_schema")
        or (hasattr(value, "columns") and hasattr(value, "to_dict"))
    )


def is_stored_frame(source: object) -> bool:
    """Return whether a source of a job is a data frame that `store_frame` has stored."""
    return bool(_STORED.search(str(source)))


def store_frame(frame: Any, storage: Storage, column: str | None) -> str:
    """Write the input column of a data frame to the output folder and return the path or URL of the file.

    Image bytes are stored with a hash of each value, so that a resumed job finds the rows that are new or changed.

    Raises:
        DataError: there is no such column, it holds neither text nor bytes, or a URL in it contains a password.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _to_table(frame)
    name = find_column(table.schema, column, "the data frame")
    table = table.select([name])
    table = table.set_column(0, name, _plain(table.column(0)))
    if is_text(table.schema.field(name).type):
        uris = table.column(name)
        for uri in uris.filter(pc.match_substring(uris, "@")).to_pylist():
            require_no_password(uri)
    elif not _was_stored_by_older_version(table, storage):
        hashes = [_hash(value.as_py()) for value in table.column(name)]
        table = table.append_column(ETAG_COLUMN, pa.array(hashes, pa.string()))
        return _store(storage, _encode(table, write_batch_size=_ROWS // 16, use_dictionary=False))
    return _store(storage, _encode(table))


def stored_frames(storage: Storage, sources: Sequence[str]) -> list[str]:
    """Return the files with data frames in the output folder that are not among the sources of a job."""
    files = [f"_mien/{name}" for name in storage.names("_mien")]
    return [file for file in files if is_stored_frame(file) and storage.path(file) not in sources]


def _store(storage: Storage, data: bytes) -> str:
    file = f"_mien/{_name(data)}"
    if not storage.exists(file):
        storage.write(file, data)
    return storage.path(file)


def _name(data: bytes) -> str:
    return f"frame-{hashlib.sha256(data).hexdigest()[:16]}.parquet"


def _encode(table: pa.Table, **settings: Any) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=_ROWS, **settings)
    return buffer.getvalue()


def _was_stored_by_older_version(table: pa.Table, storage: Storage) -> bool:
    """Return whether an older version has stored the same images, without a hash of each, so that their ids stay."""
    names = [name for name in storage.names("_mien") if is_stored_frame(f"_mien/{name}")]
    return bool(names) and _name(_encode(table)) in names


def _hash(value: Any) -> str:
    content = value.get("bytes") if isinstance(value, dict) else value
    return "" if content is None else hashlib.blake2b(content, digest_size=16).hexdigest()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decode categories and views, which Parquet files and other functions here do not know."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_string_view(kind):
            return pa.large_string()
        return pa.large_binary() if pa.types.is_binary_view(kind) else kind

    if not pa.types.is_dictionary(column.type):
        kind = plain(column.type)
        return column if kind == column.type else column.cast(kind)
    kind = plain(column.type.value_type)
    decoded = [one.dictionary.cast(kind).take(one.indices) for one in column.chunks]
    return pa.chunked_array(decoded, kind)


def _to_table(frame: Any) -> pa.Table:
    import pyarrow as pa

    try:
        if hasattr(frame, "collect_schema") and hasattr(frame, "collect"):
            frame = frame.collect()
    except Exception as error:
        raise DataError(
            f"Expected a lazy frame that can be collected, got an error ({str(error)[:80]})."
        ) from error
    try:
        if isinstance(frame, pa.Table):
            return frame
        if hasattr(frame, "__arrow_c_stream__") and not hasattr(frame, "iloc"):
            return pa.table(frame)
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a data frame of URIs or image bytes, got one Arrow cannot take ({str(error)[:80]})."
        ) from error
