"""Read the values of a column of a Parquet file one by one, without keeping a whole row group in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_BATCH_BYTES = 8 * 2**20
_MOST_ROWS = 1024
_READ_BYTES = 2**20


class ColumnReader:
    """Reads the values of a column, fastest in the order of the rows. Not thread-safe.

    The file is read page by page. Memory holds one page and the two latest batches, of about 8 MB each or one value.

    Args:
        file: path of the Parquet file, or an open file, which `close` closes.
        column: name of the column.
    """

    def __init__(self, file: Any, column: str) -> None:
        import pyarrow.parquet as pq

        # With pre_buffer, which is the default, a whole row group is read at once.
        self._file = pq.ParquetFile(file, buffer_size=_READ_BYTES, pre_buffer=False)
        self._column = column
        self._recent: deque[tuple[int, pa.RecordBatch]] = deque(maxlen=2)
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._position = self._end = 0  # the next row of the current row group, and its last one + 1

    def value(self, row: int) -> bytes | None:
        """Return the bytes in a row; `None` if the value is null or the row does not exist.

        Args:
            row: row number, from 0.
        """
        for start, batch in self._recent:
            if start <= row < start + batch.num_rows:
                return _bytes_of(batch, row - start)
        if not (self._position <= row < self._end) and not self._seek(row):
            return None
        for batch in self._batches:
            start = self._position
            self._position += batch.num_rows
            self._recent.append((start, batch))
            if row < self._position:
                return _bytes_of(batch, row - start)
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)

    def _seek(self, row: int) -> bool:
        """Start to read the row group of a row; return whether it exists."""
        metadata = self._file.metadata
        start = 0
        for group in range(metadata.num_row_groups):
            about = metadata.row_group(group)
            if row < start + about.num_rows:
                self._position, self._end = start, start + about.num_rows
                self._batches = self._file.iter_batches(
                    self._rows_per_batch(about), row_groups=[group], columns=[self._column], use_threads=False
                )
                return True
            start += about.num_rows
        return False

    def _rows_per_batch(self, group: Any) -> int:
        columns = [group.column(number) for number in range(group.num_columns)]
        size = sum(
            one.total_uncompressed_size
            for one in columns
            if one.path_in_schema == self._column or one.path_in_schema.startswith(f"{self._column}.")
        )
        return int(min(_MOST_ROWS, max(1, _BATCH_BYTES * group.num_rows // max(size, 1))))


def _bytes_of(batch: pa.RecordBatch, row: int) -> bytes | None:
    value = batch.column(0)[row].as_py()
    found: bytes | None = value["bytes"] if isinstance(value, dict) else value
    return found
