"""Data frames as sources; they are stored in the output folder so that a job can resume without them."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from mien.bulk.container_inputs import find_column, is_text
from mien.bulk.locations import require_no_password
from mien.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from mien.bulk.storage import Storage


def is_frame(value: object) -> bool:
    """Return whether a value is a pandas or polars data frame or an Arrow table."""
    return hasattr(value, "__arrow_c_stream__") or (hasattr(value, "columns") and hasattr(value, "to_dict"))


def store_frame(frame: Any, storage: Storage, column: str | None) -> str:
    """Write the input column of a data frame to the output folder and return the path or URL of the file.

    Raises:
        DataError: there is no such column, it holds neither text nor bytes, or a URL in it contains a password.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = _to_table(frame)
    name = find_column(table.schema, column, "the data frame")
    if is_text(table.schema.field(name).type):
        uris = table.column(name)
        for uri in uris.filter(pc.match_substring(uris, "@")).to_pylist():
            require_no_password(uri)
    buffer = io.BytesIO()
    pq.write_table(table.select([name]), buffer, compression="zstd", row_group_size=256)
    data = buffer.getvalue()
    file = f"_mien/frame-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
    if not storage.exists(file):
        storage.write(file, data)
    return storage.path(file)


def _to_table(frame: Any) -> pa.Table:
    import pyarrow as pa

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
