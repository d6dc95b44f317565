"""The manifest: every input of a job, listed and stored as Parquet before processing starts.

The schema is `entries.manifest_schema`. A manifest has its own folder in `_mien`, with up to 100,000 inputs per file;
`manifest.json` is written last and marks it as complete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.bulk.entries import MANIFEST_FORMAT, Entry, entries_to_table, entry_from_row
from mien.bulk.sorted_ids import gathered, is_among, merge_into
from mien.bulk.storage import Storage, encode_table, iterate_batches
from mien.errors import DataError
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

_FILE_ROWS = 100_000


@dataclass(frozen=True)
class Manifest:
    """A stored manifest.

    Args:
        storage: the output folder.
        folder: folder of the manifest, relative to `storage`.
        inputs: number of inputs.
        repeated: number of duplicates that were left out.
        passed_over: number of skipped files by extension.
    """

    storage: Storage
    folder: str
    inputs: int
    repeated: int
    passed_over: dict[str, int]

    def ids(self) -> NDArray[np.int64]:
        """Return all ids, sorted; they take 8 bytes of memory each."""
        return gathered(self._ids_by_file())

    def count_among(self, ids: NDArray[np.int64]) -> int:
        """Return the number of inputs whose ids are among some ids, which must be sorted."""
        return sum(int(is_among(some, ids).sum()) for some in self._ids_by_file())

    def _ids_by_file(self) -> Iterator[NDArray[np.int64]]:
        for name in self.files():
            yield self.storage.read_table(name, ["id"]).column(0).to_numpy()

    def files(self) -> list[str]:
        """Return the names of the Parquet files."""
        return [f"{self.folder}/{name}" for name in self.storage.sizes(self.folder)]

    def leave_out(self, ids: NDArray[np.int64]) -> Manifest:
        """Remove inputs from the stored manifest, and return it without them.

        Args:
            ids: their sorted ids, all of which it contains.
        """
        for name in self.files():
            table = self.storage.read_table(name)
            left_out = is_among(table.column("id").to_numpy(), ids)
            if left_out.any():
                self.storage.write(name, encode_table(table.filter(~left_out)))
        rest = replace(self, inputs=self.inputs - len(ids))
        about = f"{self.folder}/manifest.json"
        self.storage.write_json(about, self.storage.read_json(about) | {"inputs": rest.inputs})
        return rest

    def entries(self, without: NDArray[np.int64] | None = None) -> Iterator[Entry]:
        """Yield the inputs, in order.

        Args:
            without: sorted ids to leave out.
        """
        for name in self.files():
            for batch in iterate_batches(self.storage, name):
                if without is not None and len(without):
                    batch = batch.filter(~is_among(batch.column("id").to_numpy(), without))  # noqa: PLW2901
                for row in batch.to_pylist():
                    yield entry_from_row(row)


def write_manifest(
    storage: Storage,
    folder: str,
    entries: Iterable[Entry],
    passed_over: Counter[str],
    tell: Callable[[int], None] = lambda _count: None,
) -> Manifest:
    """Store the inputs of a job without duplicates.

    Args:
        storage: the output folder.
        folder: folder of the manifest; its previous files are removed.
        entries: the inputs, consumed one at a time.
        passed_over: number of skipped files by extension; read after the last entry.
        tell: callback that receives the number of entries so far, every 1000 entries.
    """
    for name in storage.names(folder):
        storage.remove(f"{folder}/{name}")
    known: NDArray[np.int64] = np.empty(0, np.int64)
    waiting: dict[int, Entry] = {}
    count = repeated = files = 0

    def flush() -> None:
        nonlocal count, repeated, files
        if not waiting:
            return
        ids = np.fromiter(waiting, np.int64, len(waiting))
        fresh = ~is_among(ids, known)
        repeated += int((~fresh).sum())
        rows = [entry for entry, new in zip(waiting.values(), fresh, strict=True) if new]
        if rows:
            storage.write(f"{folder}/{files:05d}.parquet", encode_table(entries_to_table(rows)))
            merge_into(known, ids[fresh])
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


class IncompleteManifestError(DataError):
    """Files of a manifest are missing, which older versions of mien removed while another process worked on the job."""


def open_manifest(storage: Storage, folder: str) -> Manifest:
    """Open a stored manifest.

    Raises:
        IncompleteManifestError: some of its files are missing.
        DataError: it has another version or is damaged.
    """
    where = quoted_path(storage.path(folder))
    if not storage.exists(f"{folder}/manifest.json"):
        raise IncompleteManifestError(f"{where}: expected a manifest, found none.")
    about = storage.read_json(f"{folder}/manifest.json")
    if about.get("format") != MANIFEST_FORMAT:
        raise DataError(
            f"{where}: expected a manifest of version {MANIFEST_FORMAT}, got version {quoted(about.get('format'))}. "
            "Continue the job with the version of mien that began it, or start over in another folder."
        )
    manifest = Manifest(storage, folder, about["inputs"], about["repeated"], about["passed_over"])
    if len(manifest.files()) != about["files"]:
        raise IncompleteManifestError(
            f"{where}: expected {about['files']} files of the manifest, found {len(manifest.files())}."
        )
    return manifest


@dataclass(frozen=True)
class Changes:
    """Differences between a listing and the previous one.

    Args:
        added: number of new inputs.
        changed: number of inputs with a different size or ETag.
        removed: number of inputs that are no longer listed, or only with an error, as files that cannot be found; except
            those that stand for errors of the old listing.
        stale: sorted ids whose rows are dropped: those of the old versions of changed inputs, and of inputs that stand
            for errors of the old listing, such as a damaged tar, and are no longer listed.
        removed_names: the removed inputs, each by its URI and member.
    """

    added: int
    changed: int
    removed: int
    stale: NDArray[np.int64]
    removed_names: frozenset[tuple[str, str | None]]

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-serializable data."""
        return {"added": self.added, "changed": self.changed, "removed": self.removed}


def compare(old: Manifest, new: Manifest) -> Changes:
    """Compare two listings."""
    old_ids, new_ids = old.ids(), new.ids()
    gone = {(one.uri, one.member): (one.id, one.error is None) for one in old.entries(without=new_ids)}
    fresh = {(one.uri, one.member): one.error is None for one in new.entries(without=old_ids)}
    both = gone.keys() & fresh.keys()
    changed = {key for key in both if fresh[key] or not gone[key][1]}
    stale = sorted(number for key, (number, is_input) in gone.items() if key in changed or not is_input)
    removed = frozenset(key for key, (_, is_input) in gone.items() if key not in changed and is_input)
    return Changes(len(fresh) - len(both), len(changed), len(removed), np.array(stale, np.int64), removed)
