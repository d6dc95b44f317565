"""Temporary copies of inputs that a decoder opens by path."""

from __future__ import annotations

import io
import os
import pickle
import socket
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mien.bulk import copying, retries
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetched, Fetcher, UnreadVideoError
from mien.bulk.listing import Lister
from mien.bulk.recognizing import InputRecognizer
from tests.builders.job_inputs import SPEC, write_tar

FILM = bytes(range(256)) * 2**14


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


def test_a_copy_is_made_in_the_folder_of_the_worker_while_that_exists(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    fetcher = Fetcher().copying_to(str(tmp_path / "worker"))
    for one in (fetcher, pickle.loads(pickle.dumps(fetcher))):  # noqa: S301
        with one.on_disk(Entry("/film.mp4", where="tar"), b"film") as path:
            assert Path(path).parents[1] == tmp_path / "worker"
        assert not list((tmp_path / "worker").iterdir())
    (tmp_path / "worker").rmdir()  # by a program that removes old temporary files
    with fetcher.on_disk(Entry("/film.mp4", where="tar"), b"film") as path:
        assert Path(path).read_bytes() == b"film"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["pipe.jpg", "link.jpg", "pipe.mp4", "link.mp4"])
def test_a_named_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / f"pipe{Path(name).suffix}"
    os.mkfifo(pipe)
    (tmp_path / f"link{pipe.suffix}").symlink_to(pipe)
    (tmp_path / "list.txt").write_text(f"{name}\n")
    started = time.monotonic()
    for source in (tmp_path / name, tmp_path / "list.txt"):
        (entry,) = Lister().entries([str(source)])
        fetcher = Fetcher()
        row, _ = InputRecognizer(SPEC, fetcher)(entry, fetcher.fetch(entry))
        assert row["error_kind"] == "unreadable"
        # A long path is cut.
        assert row["error"].endswith(f"/{name}: expected a regular file, got a named pipe.")
    assert time.monotonic() - started < 10


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets with names here")
def test_what_is_no_regular_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.jpg")  # a short name
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "device.jpg").symlink_to(os.devnull)
    for name, told in (("socket", "a socket"), ("folder", "a folder"), ("device", "a device")):
        found = Fetcher().fetch(Entry(str(tmp_path / f"{name}.jpg")))
        assert (found.kind_of_error, found.error) == (
            "unreadable",
            f"expected a regular file, got {told}.",
        )
    found = Fetcher().fetch(Entry(str(tmp_path / "gone.jpg")))
    assert (found.kind_of_error, found.error) == ("missing", "no such file.")


@pytest.fixture
def films(tmp_path: Path) -> list[Entry]:
    """A video of 4 MiB in a tar and in a store."""
    write_tar(tmp_path / "shard.tar", {"film.mp4": FILM})
    fsspec.filesystem("memory").pipe_file("/films/large.mp4", FILM)
    (member,) = Lister().entries([str(tmp_path / "shard.tar")])
    return [member, Entry("memory://films/large.mp4", kind="video", size=len(FILM))]


class Slow(io.BytesIO):
    """A file each of whose reads takes a while; the first reads of all do not return before `go_on`."""

    def __init__(self, content: bytes, seconds: float, stalls: list[threading.Event]) -> None:
        super().__init__(content)
        self.seconds, self.stalls = seconds, stalls

    def read(self, size: int | None = -1) -> bytes:
        """Wait, then read."""
        if self.stalls:
            self.stalls.pop().wait(10)
        time.sleep(self.seconds)
        return super().read(size)


def slow_reads(
    monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0.0, stalls: list[threading.Event] | None = None
) -> None:
    """Let each read of a video take a while."""
    monkeypatch.setattr(
        copying, "open_file", lambda *_given: closing(Slow(b"\0" * 512 + FILM, seconds, stalls or []))
    )
    monkeypatch.setattr(copying, "_BLOCK_BYTES", 2**18)
    store = fsspec.filesystem("memory")

    def get_file(self: Any, path: str, local: str, callback: Any) -> None:
        with Slow(FILM, seconds, stalls or []) as source, Path(local).open("wb") as out:
            while block := source.read(2**18):
                out.write(block)
                callback.relative_update(len(block))

    monkeypatch.setattr(type(store), "get_file", get_file)


def test_copying_a_large_video_sends_a_heartbeat_whenever_it_is_polled_and_bytes_have_arrived(
    films: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_POLL_SECONDS", 0.1)
    slow_reads(monkeypatch, seconds=0.05)  # 16 blocks
    for film in films:
        beats: list[float] = []
        with Fetcher().on_disk(film, None, lambda: beats.append(time.monotonic())) as path:  # noqa: B023
            assert Path(path).read_bytes() == FILM
        assert 3 <= len(beats) <= 12


def test_a_copy_may_take_longer_than_the_time_limit_while_bytes_arrive(
    films: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(copying, "_STALL_SECONDS", 0.5)
    slow_reads(monkeypatch, seconds=0.06)  # 16 blocks take one second
    for film in films:
        started = time.monotonic()
        with Fetcher().on_disk(film, None) as path:
            assert Path(path).read_bytes() == FILM
        assert time.monotonic() - started > 0.9


def test_a_copy_that_stalls_is_tried_again_and_the_first_try_cannot_change_it(
    films: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(retries, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(copying, "_STALL_SECONDS", 0.3)
    for film in films:
        go_on = threading.Event()
        with monkeypatch.context() as patched:
            slow_reads(patched, stalls=[go_on])
            with Fetcher().on_disk(film, None) as path:
                assert Path(path).read_bytes() == FILM
                go_on.set()
                time.sleep(0.1)
                assert Path(path).read_bytes() == FILM


def test_a_video_that_is_shorter_than_listed_is_not_processed(
    films: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.001)
    for film in films:
        longer = replace(film, size=len(FILM) + 10_000, length=len(FILM) + 10_000)
        with (
            pytest.raises(UnreadVideoError, match=r"^expected 4,204,304 bytes, got 4,\d+,\d+ in 6 tries\.$"),
            Fetcher().on_disk(longer, None),
        ):
            pass


class StoreError(Exception):
    """An error of a file system, of a type that only it knows."""


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (StoreError("An error occurred (503): slow down"), "unreachable", "slow down in 6 tries."),
        (StoreError("AccessDenied"), "forbidden", "no permission (AccessDenied)."),
        (FileNotFoundError("gone"), "missing", "no such file."),
    ],
)
def test_a_video_that_cannot_be_copied_costs_its_row_an_error(
    films: list[Entry], monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, told: str
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.001)

    def refuse(*_given: Any, **_more: Any) -> None:
        raise error

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", refuse)
    monkeypatch.setattr(copying, "open_file", refuse)
    recognize = InputRecognizer(SPEC, Fetcher())
    for film in films:
        row, _ = recognize(film, Fetched())
        assert (row["error_kind"], row["error"].endswith(told)) == (kind, True)
