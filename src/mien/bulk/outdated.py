"""Find the rows to drop, so that their inputs are processed again; and remove files that no later run needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mien.bulk.parts import run_order
from mien.bulk.sorted_ids import distinct, gathered, is_among
from mien.bulk.storage import iterate_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mien.bulk.manifest import Manifest
    from mien.bulk.parts import Parts

_LEFT = "_mien/left"
_LEFT_FILE = re.compile(r"\d{6}\.parquet")
_MANIFEST = re.compile(r"manifest-\d{4,}")
_MANIFEST_FILE = re.compile(r"\d{5,}\.parquet|manifest\.json")


def failed_ids(parts: Parts, manifest: Manifest) -> NDArray[np.int64]:
    """Return the ids of the inputs that failed and are still listed; the rows of removed inputs are kept."""

    def failed() -> Iterator[NDArray[np.int64]]:
        for batch in parts.tables(["id", "error"]):
            yield batch.column("id").filter(batch.column("error").is_valid()).to_numpy()

    ids = distinct(gathered(failed()))
    return ids[is_among(ids, manifest.ids())]


def removed_inputs(parts: Parts, listed: NDArray[np.int64]) -> set[tuple[str, str | None]]:
    """Return the inputs that have a row and are no longer listed, each by its URI and member.

    Args:
        parts: the rows.
        listed: sorted ids of the latest listing.
    """
    import pyarrow as pa

    found: set[tuple[str, str | None]] = set()
    for batch in parts.tables(["id", "uri", "member"]):
        gone = ~is_among(batch.column("id").to_numpy(), listed)
        if gone.any():
            found |= {(row["uri"], row["member"]) for row in batch.filter(pa.array(gone)).to_pylist()}
    return found


def lost_with_rows(parts: Parts, manifest: Manifest) -> NDArray[np.int64]:
    """Return the ids of listed files that cannot be found now, but have a row from an earlier listing.

    Such a file is listed with an error, for example because its disk is not mounted, and thus with another id.
    """
    lost = _lost_files(manifest)
    if not lost:
        return np.empty(0, np.int64)
    rows = removed_inputs(parts, manifest.ids())
    return np.array(sorted({number for uri, number in lost.items() if (uri, None) in rows}), np.int64)


def _lost_files(manifest: Manifest) -> dict[str, int]:
    """Return the paths of the files that are listed with an error, with their ids; not errors of tars or in tables."""
    import pyarrow.compute as pc

    found: dict[str, int] = {}
    for name in manifest.files():
        for batch in iterate_batches(manifest.storage, name):
            for row in batch.filter(pc.is_valid(batch.column("error"))).to_pylist():
                if row["where"] == "file" and row["member"] is None:
                    found |= dict.fromkeys((row["uri"], row["file"] or row["uri"]), row["id"])
    return found


def remove_outdated(parts: Parts, manifest: str, frames: Sequence[str]) -> None:
    """Remove the manifests, lists of unfinished inputs and stored data frames of earlier runs, not those of later ones.

    Args:
        parts: the rows of the job.
        manifest: folder of the manifest of this run.
        frames: files with data frames of earlier runs.

    Raises:
        DataError: another process has started a newer run.
    """
    parts.require_latest()
    storage, number = parts.storage, manifest_number(manifest)
    for name in storage.names("_mien"):
        if _MANIFEST.fullmatch(name) and manifest_number(name) < number:
            storage.remove_folder(f"_mien/{name}", _MANIFEST_FILE)
    for run in storage.names(_LEFT):
        if run_order(run) <= run_order(parts.run.name):
            storage.remove_folder(f"{_LEFT}/{run}", _LEFT_FILE)
    storage.remove_folder(_LEFT, _LEFT_FILE)
    for file in frames:
        storage.remove(file)


def manifest_number(folder: str) -> int:
    """Return the number in the name of the folder of a manifest, which increases from listing to listing."""
    return int(folder.rsplit("-", 1)[1])


def replaced_ids(parts: Parts, manifest: Manifest) -> NDArray[np.int64]:
    """Return the ids of rows whose input is now listed with a different size or ETag, or by its members.

    Comparing two consecutive listings (`manifest.compare`) finds most of these, but not a file that was missing from
    the previous listing and whose row was kept, nor a damaged tar of which an older version has kept the row.
    """
    import pyarrow as pa

    done = parts.done_ids()
    gone = done[~is_among(done, manifest.ids())]
    if not len(gone):
        return gone
    names: dict[tuple[str, str | None], set[int]] = {}
    for batch in parts.tables(["id", "uri", "member"]):
        mask = pa.array(is_among(batch.column("id").to_numpy(), gone))
        for row in batch.filter(mask).to_pylist():
            names.setdefault((row["uri"], row["member"]), set()).add(row["id"])
    found = [names[name] for name in _listed(manifest, names)]
    return np.unique(np.array([one for ids in found for one in ids], np.int64))


def _listed(manifest: Manifest, names: dict[tuple[str, str | None], set[int]]) -> set[tuple[str, str | None]]:
    """Return the names that a manifest contains, also those of files whose members it contains."""
    import pyarrow as pa
    import pyarrow.compute as pc

    uris = pa.array({uri for uri, _ in names}, pa.string())
    found: set[tuple[str, str | None]] = set()
    for file in manifest.files():
        for batch in iterate_batches(manifest.storage, file, ["uri", "member"]):
            some = batch.filter(pc.is_in(batch.column("uri"), uris)).to_pylist()
            here = {(row["uri"], member) for row in some for member in (row["member"], None)}
            found |= here & names.keys()
    return found
