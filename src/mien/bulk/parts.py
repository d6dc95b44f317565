"""Rows on disk: each input has its row exactly once, regardless of which process is killed and when.

Rows are first committed to small files, `_mien/pending/<run>-<number>.parquet`; once there are enough, they are merged
into a part of the output, `rows/part-….parquet`. These files are the only record of which inputs are done.

Five rules guarantee this. Files are written atomically (`Storage.write`). The metadata of a part names the pending
files that it contains, so that pending files left over after a kill are recognized and removed. When a run starts, it
records which pending files of earlier runs are accepted; files that a process of an earlier run writes later are
ignored. A run that detects a newer run stops. An old process that stalls while it uploads a part can still duplicate
rows of pending files that the newer run has accepted; a run therefore removes rows that are also in an earlier file,
when it starts and before it writes the summary (`drop_repeated`). Parts are never removed, and the rows of an input are
kept in the first file in the order of runs (`run_order`), so that no row is lost.
"""

from __future__ import annotations

import io
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.bulk.output import OUTPUT_FORMAT
from mien.bulk.sorted_ids import distinct, gathered, is_among
from mien.bulk.storage import Storage, encode_table
from mien.errors import DataError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

ROWS, PENDING, RUNS, STATS = "rows", "_mien/pending", "_mien/runs", "_mien/stats"
_MERGED = b"mien.merged"
_GROUP = 50_000  # maximum rows per row group
_RUN_NUMBER = re.compile(r"(?:part-)?([0-9]+)")


@dataclass(frozen=True)
class Run:
    """One run of a job.

    Args:
        name: starts with a number that increases from run to run (`run_order`); part of the names of its files.
        accepted: pending files of earlier runs that this run accepts.
    """

    name: str
    accepted: frozenset[str]

    def counts(self, pending: str) -> bool:
        """Return whether a pending file belongs to this run or is accepted by it."""
        return pending.startswith(f"{self.name}-") or pending in self.accepted


@dataclass
class Parts:
    """The committed rows of a job.

    Args:
        storage: the output folder.
        part_bytes: approximate size of a part in bytes.
        run: the current run.
    """

    storage: Storage
    part_bytes: int
    run: Run
    _commits: int = 0
    _merges: int = 0
    _merged: set[str] = field(default_factory=set)  # pending files that this run has merged

    @classmethod
    def begin(cls, storage: Storage, part_bytes: int, about: dict[str, Any]) -> Parts:
        """Start a run: clean up after a kill and determine which pending files are accepted.

        Args:
            storage: the output folder.
            part_bytes: approximate size of a part in bytes.
            about: metadata of the run to store.

        Raises:
            DataError: the existing rows were not written by this version of the format.
        """
        for folder in ("", ROWS, "_mien", PENDING, RUNS, STATS):
            storage.remove_leftovers(folder)
        before = latest_run(storage)
        merged = {name for part in storage.sizes(ROWS) for name in _merged_by(storage, part)}
        pending = storage.sizes(PENDING)
        accepted = [name for name in pending if name not in merged and before and before.counts(name)]
        number = run_order(before.name)[0] + 1 if before else 0
        run = Run(f"{number:04d}-{secrets.token_hex(4)}", frozenset(accepted))
        storage.write_json(f"{RUNS}/{run.name}.json", {**about, "accepted": accepted})
        for name in pending:
            if name not in run.accepted:
                storage.remove(f"{PENDING}/{name}")
        return cls(storage, part_bytes, run)

    def done_ids(self) -> NDArray[np.int64]:
        """Return the sorted ids of the inputs whose rows are committed."""
        return distinct(gathered(self._inputs_in(name) for name in self._files()))

    def commit(self, table: pa.Table) -> None:
        """Commit rows."""
        number, self._commits = self._commits, self._commits + 1
        self.commit_as(table, f"{self.run.name}-{number:08d}")

    def commit_as(self, table: pa.Table, name: str) -> None:
        """Commit rows under a given name, so that a retry replaces the same file.

        If the file was merged since, the retry has no effect.
        """
        self.storage.write(f"{PENDING}/{name}.parquet", encode_table(table))

    def merge(self, *, all_of_them: bool = False) -> None:
        """Merge pending files into parts of about `part_bytes`.

        Args:
            all_of_them: also merge the remaining files, which do not fill a part.
        """
        group: list[str] = []
        size = 0
        for name, length in self._pending().items():
            group.append(name)
            size += length
            if size >= self.part_bytes:
                self._merge(group)
                group, size = [], 0
        if group and all_of_them:
            self._merge(group)

    def drop(self, ids: NDArray[np.int64]) -> int:
        """Remove the rows of some inputs, so that they are processed again; return how many inputs had rows."""
        if not len(ids):
            return 0
        ids, dropped = np.sort(ids), 0
        for name in self._files():
            dropped += self._drop_from(name, ids)
        return dropped

    def drop_repeated(self) -> int:
        """Remove rows of inputs that are also in an earlier file; return how many inputs had such rows.

        The rows of an input are committed together, so all its rows in one file are kept: with `flat`, one per face.

        Raises:
            DataError: another process has started a newer run.
        """
        files = self._files()
        repeated = _repeated(self._inputs_in(name) for name in files)
        if not len(repeated):
            return 0
        self.require_latest()
        seen, dropped = np.empty(0, np.int64), 0
        for name in files:
            here = self._inputs_in(name)
            dropped += self._drop_from(name, seen)
            seen = np.union1d(seen, here[is_among(here, repeated)])
        return dropped

    def _drop_from(self, name: str, ids: NDArray[np.int64]) -> int:
        here = self._ids_in(name)
        found = is_among(here, ids)
        if found.any():
            rest = encode_table(self.storage.read_table(name).filter(~found))
            self.storage.write(name, rest, before=self.require_latest)
        return len(np.unique(here[found]))

    def _inputs_in(self, name: str) -> NDArray[np.int64]:
        """Return the sorted ids of the inputs with rows in a file; with `flat`, an input may have several rows."""
        return np.unique(self._ids_in(name))

    def _ids_in(self, name: str) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self.storage.read_table(name, ["id"]).column(0).to_numpy()
        return ids

    def _files(self) -> list[str]:
        """Return the files with the committed rows: the parts, then the pending files, each in the order of runs."""
        parts = [f"{ROWS}/{name}" for name in sorted(self.storage.sizes(ROWS), key=run_order)]
        return [*parts, *(f"{PENDING}/{name}" for name in self._pending())]

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield all committed rows, in batches."""
        for name in self._files():
            yield from self.storage.parquet(name).iter_batches(batch_size=4096, columns=columns)

    def require_latest(self) -> None:
        """Check that no other process has started a newer run.

        Raises:
            DataError: another process has.
        """
        newest = _latest_document(self.storage)
        if newest and newest != f"{self.run.name}.json":
            raise DataError(
                f"{quoted_path(self.storage.root)}: another process works on this job since, so this one stops."
            )

    def _pending(self) -> dict[str, int]:
        found = self.storage.sizes(PENDING)
        names = [name for name in found if self.run.counts(name) and name not in self._merged]
        return {name: found[name] for name in sorted(names, key=run_order)}

    def _merge(self, names: list[str]) -> None:
        self.require_latest()
        tables = (self.storage.read_table(f"{PENDING}/{name}") for name in names)
        number, self._merges = self._merges, self._merges + 1
        part = f"{ROWS}/part-{self.run.name}-{number:05d}.parquet"
        # Another process may start a run during encoding and uploading, which take seconds.
        self.storage.write(part, _encode_part(tables, names), before=self.require_latest)
        if not self.storage.is_local:
            self.require_latest()
        self._merged.update(names)
        for name in names:
            self.storage.remove(f"{PENDING}/{name}")


def _repeated(arrays: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the sorted ids that occur in more than one array; the ids of each array are unique."""
    ids = gathered(arrays)
    return np.unique(ids[1:][ids[1:] == ids[:-1]])


def _encode_part(tables: Iterator[pa.Table], names: list[str]) -> bytes:
    """Encode a part as Parquet; at most one row group is in memory unencoded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(tables)
    schema = first.schema.with_metadata(
        {**(first.schema.metadata or {}), _MERGED: json.dumps(names).encode()}
    )
    buffer, held = io.BytesIO(), [first]
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(
                pa.concat_tables(held).combine_chunks().replace_schema_metadata(schema.metadata)
            )
            held.clear()

        for table in tables:
            if sum(one.num_rows for one in held) + table.num_rows > _GROUP:
                flush()
            held.append(table)
        flush()
    return buffer.getvalue()


def _merged_by(storage: Storage, part: str) -> list[str]:
    """Return the pending files that a part contains."""
    metadata = storage.parquet(f"{ROWS}/{part}").schema_arrow.metadata or {}
    version = metadata.get(b"mien.rows", b"").decode()
    if version != str(OUTPUT_FORMAT):
        raise DataError(
            f"{quoted_path(storage.path(f'{ROWS}/{part}'))}: expected rows of version {OUTPUT_FORMAT} that mien wrote, "
            f"got {f'version {version}' if version else 'another file'}. Choose another folder."
        )
    return list(json.loads(metadata.get(_MERGED, b"[]")))


def run_order(name: str) -> tuple[int, str]:
    """Return the key that sorts runs and their files: the number of the run, then the name.

    The number has four digits or more, so names alone are sorted wrongly from run 10000 on.

    >>> sorted(["10000-ab", "9999-cd"], key=run_order), run_order("part-0007-ef-00000.parquet")
    (['9999-cd', '10000-ab'], (7, 'part-0007-ef-00000.parquet'))
    """
    found = _RUN_NUMBER.match(name)
    return (int(found[1]) if found else -1), name


def latest_run(storage: Storage) -> Run | None:
    """Return the newest run of a job, `None` if there is none."""
    name = _latest_document(storage)
    if name is None:
        return None
    about = storage.read_json(f"{RUNS}/{name}")
    return Run(name.removesuffix(".json"), frozenset(about["accepted"]))


def _latest_document(storage: Storage) -> str | None:
    """Return the name of the file about the newest run, `None` if there is none."""
    return max(storage.documents(RUNS), key=run_order, default=None)
