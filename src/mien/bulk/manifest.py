"""The manifest: every input of a job, listed and stored before work begins, as Parquet.

`entries.manifest_schema` names the columns. It lies in a folder of its own in `_mien`, in files of 100,000 inputs; its
`manifest.json` is written last and makes it whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.bulk.entries import MANIFEST_FORMAT, Entry, entries_to_table, entry_from_row
from mien.bulk.storage import Storage, encode_table, iterate_batches
from mien.errors import DataError
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

Ids = "NDArray[np.int64]"
_FILE_ROWS = 100_000


@dataclass(frozen=True)
class Manifest:
    """A stored manifest.

    Args:
        storage: the output folder.
        folder: its folder there.
        inputs: how many inputs it has.
        repeated: how many inputs were named more than once; each is done once.
        passed_over: files in folders that are no inputs, by ending.
    """

    storage: Storage
    folder: str
    inputs: int
    repeated: int
    passed_over: dict[str, int]

    def ids(self) -> NDArray[np.int64]:
        """All ids, in order."""
        columns = [self.storage.read_table(name, ["id"]).column(0).to_numpy() for name in self.files()]
        return np.concatenate(columns) if columns else np.empty(0, np.int64)

    def files(self) -> list[str]:
        """The names of its Parquet files."""
        return [f"{self.folder}/{name}" for name in self.storage.sizes(self.folder)]

    def entries(self, without: NDArray[np.int64] | None = None) -> Iterator[Entry]:
        """The inputs, in order.

        Args:
            without: sorted ids that are left out.
        """
        for name in self.files():
            for batch in iterate_batches(self.storage, name):
                if without is not None and len(without):
                    batch = batch.filter(~is_among(batch.column("id").to_numpy(), without))  # noqa: PLW2901
                for row in batch.to_pylist():
                    yield entry_from_row(row)


def is_among(ids: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some ids are among others, which are sorted."""
    if not len(known):
        return np.zeros(len(ids), bool)
    places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.asarray(known[places] == ids)


def write_manifest(
    storage: Storage,
    folder: str,
    entries: Iterable[Entry],
    passed_over: Counter[str],
    tell: Callable[[int], None] = lambda _count: None,
) -> Manifest:
    """Store the inputs of a job, each once.

    Args:
        storage: the output folder.
        folder: where in it; what is there is replaced.
        entries: the inputs, drawn from one after another.
        passed_over: what the listing counts, read at the end.
        tell: told how many inputs there are so far.
    """
    for name in storage.names(folder):
        storage.remove(f"{folder}/{name}")
    known: NDArray[np.int64] = np.empty(0, np.int64)
    waiting: dict[int, Entry] = {}
    count = repeated = files = 0

    def flush() -> None:
        nonlocal known, count, repeated, files
        if not waiting:
            return
        ids = np.fromiter(waiting, np.int64, len(waiting))
        fresh = ~is_among(ids, known)
        repeated += int((~fresh).sum())
        rows = [entry for entry, new in zip(waiting.values(), fresh, strict=True) if new]
        if rows:
            storage.write(f"{folder}/{files:05d}.parquet", encode_table(entries_to_table(rows)))
            known = np.sort(np.concatenate([known, ids[fresh]]))
            count, files = count + len(rows), files + 1
        waiting.clear()

    for number, entry in enumerate(entries, start=1):
        number_of_id = entry.id
        repeated += number_of_id in waiting
        waiting[number_of_id] = entry
        if len(waiting) >= _FILE_ROWS:
            flush()
        if number % 1000 == 0:
            tell(number)
    flush()
    about = {
        "format": MANIFEST_FORMAT, "inputs": count, "files": files, "repeated": repeated,
        "passed_over": dict(passed_over.most_common(50)),
    }  # fmt: skip
    storage.write_json(f"{folder}/manifest.json", about)
    return Manifest(storage, folder, count, repeated, about["passed_over"])  # type: ignore[arg-type]


def open_manifest(storage: Storage, folder: str) -> Manifest:
    """A manifest that was stored.

    Raises:
        DataError: it is of another version, not whole, or damaged.
    """
    about = storage.read_json(f"{folder}/manifest.json")
    where = quoted_path(storage.path(folder))
    if about.get("format") != MANIFEST_FORMAT:
        raise DataError(
            f"{where}: expected a manifest of version {MANIFEST_FORMAT}, got version {quoted(about.get('format'))}. "
            "Continue the job with the version of mien that began it, or begin anew in another folder."
        )
    manifest = Manifest(storage, folder, about["inputs"], about["repeated"], about["passed_over"])
    if len(manifest.files()) != about["files"]:
        raise DataError(
            f"{where}: expected {about['files']} files of the manifest, found {len(manifest.files())}. Begin anew in "
            "another folder."
        )
    return manifest


@dataclass(frozen=True)
class Changes:
    """How a new listing differs from the one before.

    Args:
        added: inputs that are new.
        changed: inputs with another size or ETag.
        removed: inputs that are gone.
        stale: sorted ids of the old versions of changed inputs, whose rows are dropped.
        examples: the names of some that are gone.
    """

    added: int
    changed: int
    removed: int
    stale: NDArray[np.int64]
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean data."""
        return {"added": self.added, "changed": self.changed, "removed": self.removed}


def compare(old: Manifest, new: Manifest) -> Changes:
    """What has come, changed and gone between two listings."""
    old_ids, new_ids = np.sort(old.ids()), np.sort(new.ids())
    gone = {(one.uri, one.member): one.id for one in old.entries(without=new_ids)}
    fresh = {(one.uri, one.member) for one in new.entries(without=old_ids)}
    stale = sorted(number for key, number in gone.items() if key in fresh)
    removed = [
        uri if member is None else f"{uri}::{member}" for uri, member in gone if (uri, member) not in fresh
    ]
    return Changes(
        len(fresh) - len(stale), len(stale), len(removed), np.array(stale, np.int64), tuple(removed[:5])
    )
