"""Rows on disk: every input's row is there once, whatever is killed and when.

Rows are first committed in small files, `_mien/pending/<run>-<number>.parquet`; when there are enough, they are
merged into a part of the output, `rows/part-….parquet`. Which inputs are done is read from these files and nowhere else.

Five rules keep it true. A file appears whole or not at all (`Storage.write`). A part names in its metadata the pending
files that it holds, so that those which a kill has left over are known and removed. When a run begins, it writes down
which pending files of earlier runs count; one that a process of an earlier run writes later does not. A run that finds a
newer one stops. An old process that stalls while it uploads a part can still repeat rows of pending files that the newer
run has accepted: a run removes rows that an earlier file has when it begins and before it sums up (`drop_repeated`).
Parts are never removed, and of an input's rows those in the file with the lowest name stay, so that this loses none.
"""

from __future__ import annotations

import io
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.bulk.manifest import is_among
from mien.bulk.output import OUTPUT_FORMAT
from mien.bulk.storage import Storage, encode_table
from mien.errors import DataError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

ROWS, PENDING, RUNS = "rows", "_mien/pending", "_mien/runs"
_MERGED = b"mien.merged"
_GROUP = 50_000  # rows in a row group


@dataclass(frozen=True)
class Run:
    """One start of a job.

    Args:
        name: grows from run to run; begins the names of its files.
        accepted: pending files of earlier runs that count.
    """

    name: str
    accepted: frozenset[str]

    def counts(self, pending: str) -> bool:
        """Whether the rows of a pending file count."""
        return pending.startswith(f"{self.name}-") or pending in self.accepted


@dataclass
class Parts:
    """The rows of a job.

    Args:
        storage: the output folder.
        part_bytes: about the size of a part.
        run: the present run.
    """

    storage: Storage
    part_bytes: int
    run: Run
    _commits: int = 0
    _merges: int = 0

    @classmethod
    def begin(cls, storage: Storage, part_bytes: int, about: dict[str, Any]) -> Parts:
        """Begin a run: clear up after a kill, and settle which rows count.

        Args:
            storage: the output folder.
            part_bytes: about the size of a part.
            about: what to note of the run.

        Raises:
            DataError: what is there was written by another version.
        """
        for folder in (ROWS, PENDING, RUNS, "_mien"):
            storage.remove_leftovers(folder)
        before = latest_run(storage)
        merged = {name for part in storage.sizes(ROWS) for name in _merged_by(storage, part)}
        pending = storage.sizes(PENDING)
        accepted = [name for name in pending if name not in merged and before and before.counts(name)]
        number = int(before.name.split("-")[0]) + 1 if before else 0
        run = Run(f"{number:04d}-{secrets.token_hex(4)}", frozenset(accepted))
        storage.write_json(f"{RUNS}/{run.name}.json", {**about, "accepted": accepted})
        for name in pending:
            if name not in run.accepted:
                storage.remove(f"{PENDING}/{name}")
        return cls(storage, part_bytes, run)

    def done_ids(self) -> NDArray[np.int64]:
        """The sorted ids of the inputs whose rows are committed."""
        columns = [self._ids_in(name) for name in self._files()]
        return np.unique(np.concatenate(columns)) if columns else np.empty(0, np.int64)

    def commit(self, table: pa.Table) -> None:
        """Commit rows."""
        number, self._commits = self._commits, self._commits + 1
        self.commit_as(table, f"{self.run.name}-{number:08d}")

    def commit_as(self, table: pa.Table, name: str) -> None:
        """Commit rows under a name that is the same where the same rows are committed again."""
        self.storage.write(f"{PENDING}/{name}.parquet", encode_table(table))

    def merge(self, *, all_of_them: bool = False) -> None:
        """Merge pending files into parts, as many as fill one.

        Args:
            all_of_them: also the last ones, which fill none.
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
        """Remove the rows of some inputs, so that these are done again; gives back of how many there were any."""
        if not len(ids):
            return 0
        ids, dropped = np.sort(ids), 0
        for name in self._files():
            dropped += self._drop_from(name, ids)
        return dropped

    def drop_repeated(self) -> int:
        """Remove rows of inputs that an earlier file has, too; gives back of how many there were any.

        An input's rows are committed together, so that those of one file, with `flat` one for each face, all stay.

        Raises:
            DataError: another process has begun a newer run.
        """
        files = self._files()
        held = [np.unique(self._ids_in(name)) for name in files]
        repeated = _repeated(held)
        if not len(repeated):
            return 0
        self.require_latest()
        seen, dropped = np.empty(0, np.int64), 0
        for name, here in zip(files, held, strict=True):
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

    def _ids_in(self, name: str) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self.storage.read_table(name, ["id"]).column(0).to_numpy()
        return ids

    def _files(self) -> list[str]:
        """The files whose rows count, in the order of their names; parts come first."""
        parts = [f"{ROWS}/{name}" for name in self.storage.sizes(ROWS)]
        return [*parts, *(f"{PENDING}/{name}" for name in self._pending())]

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows that are committed, in batches."""
        for name in self._files():
            yield from self.storage.parquet(name).iter_batches(batch_size=4096, columns=columns)

    def require_latest(self) -> None:
        """Refuse to go on where another process has begun a newer run.

        Raises:
            DataError: it has.
        """
        newest = max((name for name in self.storage.names(RUNS) if name.endswith(".json")), default="")
        if newest and newest != f"{self.run.name}.json":
            raise DataError(
                f"{quoted_path(self.storage.root)}: another process works on this job since, so this one stops."
            )

    def _pending(self) -> dict[str, int]:
        found = self.storage.sizes(PENDING)
        return {name: size for name, size in found.items() if self.run.counts(name)}

    def _merge(self, names: list[str]) -> None:
        self.require_latest()
        tables = (self.storage.read_table(f"{PENDING}/{name}") for name in names)
        number, self._merges = self._merges, self._merges + 1
        part = f"{ROWS}/part-{self.run.name}-{number:05d}.parquet"
        # Encoding and uploading take seconds, in which another process may begin.
        self.storage.write(part, _encode_part(tables, names), before=self.require_latest)
        if not self.storage.is_local:
            self.require_latest()
        for name in names:
            self.storage.remove(f"{PENDING}/{name}")


def _repeated(held: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sorted ids that more than one array has; each array has an id once."""
    if len(held) < 2:
        return np.empty(0, np.int64)
    ids = np.concatenate(held)
    ids.sort()  # in place: there may be billions
    return np.unique(ids[1:][ids[1:] == ids[:-1]])


def _encode_part(tables: Iterator[pa.Table], names: list[str]) -> bytes:
    """The bytes of a part; no more than a row group is held as rows."""
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
    """The pending files that a part holds."""
    metadata = storage.parquet(f"{ROWS}/{part}").schema_arrow.metadata or {}
    version = metadata.get(b"mien.rows", b"").decode()
    if version != str(OUTPUT_FORMAT):
        raise DataError(
            f"{quoted_path(storage.path(f'{ROWS}/{part}'))}: expected rows of version {OUTPUT_FORMAT} that mien wrote, "
            f"got {f'version {version}' if version else 'another file'}. Choose another folder."
        )
    return list(json.loads(metadata.get(_MERGED, b"[]")))


def latest_run(storage: Storage) -> Run | None:
    """The newest run of a job, if there was any."""
    names = [name for name in storage.names(RUNS) if name.endswith(".json")]
    if not names:
        return None
    about = storage.read_json(f"{RUNS}/{max(names)}")
    return Run(max(names).removesuffix(".json"), frozenset(about["accepted"]))
