"""Values of Parquet files are read one by one, whatever the size of the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.bulk import table_values
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetcher
from mien.bulk.listing import Lister
from mien.bulk.output import failed_row
from mien.bulk.table_values import ColumnReader


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file of 40 values in row groups of 15."""
    values = [None if row == 7 else b"%d" % row * 100 for row in range(40)]
    pq.write_table(pa.table({"n": range(40), "image": values}), tmp_path / "t.parquet", row_group_size=15)
    return tmp_path / "t.parquet"


@pytest.mark.parametrize("order", [range(40), range(39, -1, -1), [3, 30, 4, 31, 5, 2, 16, 14]])
def test_values_are_read_in_any_order(table: Path, order: range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_values, "_MOST_ROWS", 4)
    reader = ColumnReader(table, "image")
    for row in order:
        assert reader.value(row) == (None if row == 7 else b"%d" % row * 100)
    assert reader.value(40) is None
    reader.close()


def test_reading_forwards_starts_each_row_group_once(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_values, "_MOST_ROWS", 4)
    reader = ColumnReader(table, "image")
    started: list[int] = []
    seek = reader._seek
    monkeypatch.setattr(reader, "_seek", lambda row: started.append(row) or seek(row))
    for pair in range(0, 40, 2):
        reader.value(pair + 1)  # threads may read a little out of order
        reader.value(pair)
    assert started == [1, 15, 31]
    reader.close()


def test_a_value_of_a_struct_is_that_of_its_field_bytes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"a", "path": "x"}, None]}), tmp_path / "t.parquet")
    reader = ColumnReader(tmp_path / "t.parquet", "image")
    assert [reader.value(0), reader.value(1)] == [b"a", None]
    reader.close()


def test_values_of_a_file_larger_than_the_limit_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.bulk.fetching.MOST_BYTES", 1000)
    values = [os.urandom(600), os.urandom(600), os.urandom(2000)]
    pq.write_table(pa.table({"image": values}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size > 3000
    entries = list(Lister().entries([str(tmp_path / "t.parquet")]))
    assert [one.bytes for one in entries] == [-1, -1, -1]
    found = [Fetcher().fetch(one) for one in entries]
    assert [one.content for one in found] == [*values[:2], None]
    assert found[2].kind_of_error == "too large"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry("/a.jpg", size=5), 5),
        (Entry("/a.jpg"), None),
        (Entry("/a.tar", where="tar", length=3, size=900, member="a.jpg"), 3),
        (Entry("/a.tar", where="tar", size=900, error="damaged"), None),
        (Entry("/t.parquet", where="parquet", size=900, member="row 0"), None),
        (Entry("/t.csv", size=900, member="row 0", error="empty"), None),
    ],
)
def test_the_size_of_a_failed_input_is_never_that_of_its_table(entry: Entry, expected: int | None) -> None:
    assert failed_row(entry, "no", "unreadable")["bytes"] == expected


PEAK = """
import resource, sys
from mien.bulk.table_values import ColumnReader
reader = ColumnReader(sys.argv[1], "image")
reader.value(0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for row in range(60):
    assert len(reader.value(row)) == 2_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    values = [os.urandom(2_000_000) for _ in range(60)]
    pq.write_table(pa.table({"image": values}), tmp_path / "t.parquet", write_batch_size=2)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "t.parquet")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 50_000  # KiB; the row group has 117,000
