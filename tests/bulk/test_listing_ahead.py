"""Several tars are indexed at once, and their inputs are listed in the order of the tars."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import fsspec
import pytest

from mien.bulk import container_inputs, listing_ahead
from mien.bulk.entries import Entry
from mien.bulk.listing import Lister
from mien.bulk.listing_ahead import AT_ONCE, Ahead, in_order
from mien.errors import DataError
from tests.builders.job_inputs import write_tar

FILES = {"a.jpg": b"a", "notes.txt": b"n", "b.jpg": b"b"}


def members(entries: Iterator[Entry]) -> list[str]:
    return [f"{one.uri.rpartition('/')[2]}::{one.member}" for one in entries]


@pytest.fixture
def opened_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a file waits until eight are being opened; one after the other would fail."""
    barrier, open_file = Barrier(AT_ONCE), container_inputs.open_file

    def wait(uri: str, *rest: Any) -> Any:
        if uri.endswith(".tar"):
            barrier.wait(timeout=10)
        return open_file(uri, *rest)

    monkeypatch.setattr(container_inputs, "open_file", wait)


@pytest.mark.usefixtures("opened_together")
@pytest.mark.parametrize("source", ["folder", "glob", "list", "sources", "remote folder", "remote list"])
def test_tars_are_indexed_at_once_and_listed_in_order(tmp_path: Path, source: str) -> None:
    (tmp_path / "tars").mkdir()
    tars = [write_tar(tmp_path / "tars" / f"{i:02}.tar", FILES) for i in range(AT_ONCE)]
    sources = {
        "folder": [str(tmp_path / "tars")],
        "glob": [str(tmp_path / "tars" / "*.tar")],
        "list": [str(tmp_path / "list.txt")],
        "sources": [str(tar) for tar in tars],
        "remote folder": ["memory://ahead/tars"],
        "remote list": [str(tmp_path / "list.txt")],
    }
    urls = [f"memory://ahead/tars/{tar.name}" for tar in tars]
    for tar, url in zip(tars, urls, strict=True):
        fsspec.filesystem("memory").pipe_file(url, tar.read_bytes())
    lines = urls if "remote" in source else [str(tar) for tar in tars]
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
    read, stop = [0], Event()

    def endless() -> Iterator[Entry]:
        while True:
            read[0] += 1
            yield Entry("x")

    ahead = Ahead(endless, stop)
    entries = iter(ahead)
    next(entries)
    time.sleep(0.3)
    assert read[0] <= (listing_ahead._PARTS + 2) * listing_ahead._ENTRIES
    stop.set()
    ahead._thread.join(timeout=5)
    assert not ahead._thread.is_alive()


def test_threads_end_when_a_listing_is_abandoned(tmp_path: Path) -> None:
    many = {f"{i:05}.jpg": b"" for i in range(4000)}
    for i in range(3):
        write_tar(tmp_path / f"{i}.tar", many)
    entries = Lister().entries([str(tmp_path)])
    next(entries)
    entries.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while any(one.name == "listing" for one in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(one.name == "listing" for one in threading.enumerate())
