"""Several tars are indexed at once, and their inputs are listed in the order of the tars."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier
from typing import Any

import fsspec
import pytest

import mien
from mien.bulk import container_inputs, listing_ahead
from mien.bulk.entries import Entry
from mien.bulk.listing import Lister
from mien.bulk.listing_ahead import AT_ONCE, Ahead, in_order
from mien.bulk.listing_errors import or_failed, or_refused
from mien.errors import DataError
from tests.builders.job_inputs import touch_images, write_tar

FILES = {"a.jpg": b"a", "notes.txt": b"n", "b.jpg": b"b"}


def members(entries: Iterator[Entry]) -> list[str]:
    return [f"{one.uri.rpartition('/')[2]}::{one.member}" for one in entries]


def endless() -> Iterator[Entry]:
    while True:
        yield Entry("x")


def wait_for_the_end_of_threads() -> None:
    deadline = time.monotonic() + 10
    while any(one.name == "listing" for one in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(one.name == "listing" for one in threading.enumerate())


@pytest.fixture
def opened_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a file waits until eight are being opened; one after the other would fail."""
    barrier, open_retried = Barrier(AT_ONCE), container_inputs.open_retried

    def wait(uri: str, *rest: Any) -> Any:
        if uri.endswith(".tar"):
            barrier.wait(timeout=10)
        return open_retried(uri, *rest)

    monkeypatch.setattr(container_inputs, "open_retried", wait)


@pytest.mark.usefixtures("opened_together")
@pytest.mark.parametrize(
    "source",
    [
        "folder",
        "glob",
        "list",
        "sources",
        "remote folder",
        "remote glob",
        "remote list",
        "list of a remote glob",
    ],
)
def test_tars_are_indexed_at_once_and_listed_in_order(tmp_path: Path, source: str) -> None:
    (tmp_path / "tars").mkdir()
    tars = [write_tar(tmp_path / "tars" / f"{i:02}.tar", FILES) for i in range(AT_ONCE)]
    sources = {
        "folder": [str(tmp_path / "tars")],
        "glob": [str(tmp_path / "tars" / "*.tar")],
        "list": [str(tmp_path / "list.txt")],
        "sources": [str(tar) for tar in tars],
        "remote folder": ["memory://ahead/tars"],
        "remote glob": ["memory://ahead/tars/*.tar"],
        "remote list": [str(tmp_path / "list.txt")],
        "list of a remote glob": [str(tmp_path / "list.txt")],
    }
    urls = [f"memory://ahead/tars/{tar.name}" for tar in tars]
    for tar, url in zip(tars, urls, strict=True):
        fsspec.filesystem("memory").pipe_file(url, tar.read_bytes())
    lines = urls if "remote" in source else [str(tar) for tar in tars]
    lines = sources["remote glob"] if source == "list of a remote glob" else lines
    (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines))
    lister = Lister()
    expected = [f"{tar.name}::{name}" for tar in tars for name in ("a.jpg", "b.jpg")]
    assert members(lister.entries(sources[source])) == expected
    assert lister.passed_over == {".txt": AT_ONCE}


def test_a_damaged_tar_ends_with_an_error_in_its_place(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", FILES)
    (tmp_path / "1.tar").write_bytes(b"no tar" * 200)
    write_tar(tmp_path / "2.tar", FILES)
    found = list(Lister().entries([str(tmp_path)]))
    assert [Path(one.uri).name for one in found] == ["0.tar", "0.tar", "1.tar", "2.tar", "2.tar"]
    assert [one.error is None for one in found] == [True, True, False, True, True]


def test_a_missing_source_is_refused_after_the_inputs_before_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", FILES)
    entries = Lister().entries([str(tmp_path / "0.tar"), str(tmp_path / "gone.tar")])
    assert [next(entries).member, next(entries).member] == ["a.jpg", "b.jpg"]
    with pytest.raises(DataError, match=r"gone\.tar: expected a file, a folder, a glob or a URL"):
        next(entries)


def test_expansions_before_a_failed_one_are_used_up_first() -> None:
    def expansions() -> Iterator[Iterator[Entry]]:
        yield iter((Entry("a"), Entry("b")))
        yield iter((Entry("c"),))
        raise DataError("damaged")

    entries, found = in_order(expansions()), []
    with pytest.raises(DataError, match="damaged"):
        found.extend(entries)
    assert [one.uri for one in found] == ["a", "b", "c"]


def test_a_failed_expansion_ends_the_list_at_once() -> None:
    def failed() -> Iterator[Entry]:
        yield Entry("b")
        raise DataError("damaged")

    entries, found = in_order(iter((iter((Entry("a"),)), failed(), iter((Entry("c"),))))), []
    with pytest.raises(DataError, match="damaged"):
        found.extend(entries)
    assert [one.uri for one in found] == ["a", "b"]


def test_few_entries_of_a_large_tar_are_read_in_advance_and_the_thread_ends_with_the_list() -> None:
    read = [0]

    def counted() -> Iterator[Entry]:
        for entry in endless():
            read[0] += 1
            yield entry

    ahead = Ahead(counted)
    next(ahead)
    time.sleep(0.3)
    assert read[0] <= (listing_ahead._PARTS + 2) * listing_ahead._ENTRIES
    ahead.close()
    ahead._thread.join(timeout=5)
    assert not ahead._thread.is_alive()


def test_the_end_of_a_tar_is_noticed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_ahead, "_SECONDS", 5.0)
    write_tar(tmp_path / "0.tar", FILES)
    started = time.monotonic()
    assert len(list(Lister().entries([str(tmp_path)]))) == 2
    assert time.monotonic() - started < 4


@pytest.mark.slow
def test_threads_end_when_a_listing_is_abandoned(tmp_path: Path) -> None:
    many = {f"{i:05}.jpg": b"" for i in range(4000)}
    for i in range(3):
        write_tar(tmp_path / f"{i}.tar", many)
    entries = Lister().entries([str(tmp_path)])
    next(entries)
    entries.close()
    wait_for_the_end_of_threads()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda entries: entries,
        lambda entries: or_failed("x", "x", entries),
        lambda entries: or_refused("x", entries, Counter()),
    ],
    ids=["plain", "item", "source"],
)
def test_threads_end_when_an_expansion_before_them_fails(
    wrapped: Callable[[Iterator[Entry]], Iterator[Entry]],
) -> None:
    def failed() -> Iterator[Entry]:
        yield Entry("a")
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        list(in_order([failed(), wrapped(Ahead(endless)), wrapped(Ahead(endless))]))
    wait_for_the_end_of_threads()


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that lists in advance waits after a few entries until they are taken."""
    monkeypatch.setattr(listing_ahead, "_ENTRIES", 2)


@pytest.mark.usefixtures("_small_parts")
def test_threads_of_an_item_that_failed_end_while_the_list_goes_on(tmp_path: Path) -> None:
    touch_images(tmp_path / "shards", 0, "0.parquet")
    write_tar(tmp_path / "shards" / "1.tar", {f"{i:05}.jpg": b"" for i in range(40)})
    touch_images(tmp_path, 1)
    (tmp_path / "list.txt").write_text("shards/*\n0000.jpg\n")
    entries = Lister().entries([str(tmp_path / "list.txt")])
    assert "expected a Parquet file" in str(next(entries).error)
    assert next(entries).error is None
    wait_for_the_end_of_threads()
    entries.close()


@pytest.mark.usefixtures("_small_parts")
def test_threads_end_when_the_manifest_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_storage: Any, _folder: str, entries: Iterator[Entry], *_rest: Any) -> None:
        next(entries)
        raise DataError("no space left")

    (tmp_path / "in").mkdir()
    write_tar(tmp_path / "in" / "0.tar", {f"{i:05}.jpg": b"" for i in range(40)})
    monkeypatch.setattr("mien.bulk.job.write_manifest", fail)
    with pytest.raises(DataError, match="no space left") as told:
        mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    wait_for_the_end_of_threads()  # while the error still holds the frames of the listing
    assert told.tb is not None
