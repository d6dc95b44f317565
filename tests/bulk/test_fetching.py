"""Temporary copies of inputs that a decoder opens by path."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetcher
from mien.bulk.listing import Lister
from tests.builders.job_inputs import write_tar


def test_a_fetched_video_is_a_closed_temporary_file_that_is_removed(tmp_path: Path) -> None:
    write_tar(tmp_path / "shard.tar", {"film.mp4": b"film in a tar"})
    fsspec.filesystem("memory").pipe_file("/films/film.mp4", b"film in a store")
    (member,) = Lister().entries([str(tmp_path / "shard.tar")])
    for entry, content, expected in (
        (member, None, b"film in a tar"),
        (member, b"bytes", b"bytes"),
        (Entry("memory://films/film.mp4", kind="video"), None, b"film in a store"),
    ):
        with Fetcher().on_disk(entry, content) as path:
            copy = Path(path)
            assert copy.suffix == ".mp4"
            moved = copy.rename(copy.with_name("moved"))  # which Windows refuses for an open file
            assert moved.read_bytes() == expected
            moved.rename(copy)
        assert not copy.exists()
        assert not copy.parent.exists()


def test_a_local_video_is_read_in_place(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"film")
    with Fetcher().on_disk(Entry(str(video), kind="video"), None) as path:
        assert path == str(video)
    assert video.exists()


def test_copying_a_large_video_sends_heartbeats_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(4 * 2**20)
    write_tar(tmp_path / "shard.tar", {"film.mp4": content})
    store = fsspec.filesystem("memory")
    store.pipe_file("/films/large.mp4", content)
    monkeypatch.setattr(type(store), "blocksize", 2**16)  # 64 parts
    clock = itertools.count(0, 0.1)
    monkeypatch.setattr("mien.bulk.fetching.time", SimpleNamespace(monotonic=lambda: next(clock)))
    (member,) = Lister().entries([str(tmp_path / "shard.tar")])
    for entry, least, most in (
        (member, 4, 4),
        (Entry("memory://films/large.mp4", kind="video"), 4, 7),
    ):
        beats: list[float] = []
        with Fetcher().on_disk(entry, None, lambda: beats.append(next(clock))) as path:  # noqa: B023
            assert Path(path).read_bytes() == content
        assert least <= len(beats) <= most
