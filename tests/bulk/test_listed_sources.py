"""Lists may name any source; globs may match folders; the output folder is never a source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.bulk.job_folder import require_other_than_sources
from mien.bulk.listing import Lister
from mien.bulk.locations import Location
from mien.bulk.remote_listing import remote_files, remote_matches
from mien.bulk.storage import Storage
from mien.errors import DataError
from tests.builders.job_inputs import touch_images, write_tar


def names(*sources: str | Path, **settings: Any) -> list[str]:
    entries = Lister(**settings).entries([str(one) for one in sources])
    return [f"{Path(one.uri).name}::{one.member}" if one.member else Path(one.uri).name for one in entries]


def put(root: str, *files: str) -> None:
    store = fsspec.filesystem("memory")
    for name in files:
        store.pipe_file(f"/{root}/{name}", b"x")


def test_a_list_may_name_folders_globs_tars_tables_and_other_lists(tmp_path: Path) -> None:
    touch_images(tmp_path / "folder", 2)
    touch_images(tmp_path / "more", 1, "b[1].jpg", "c.jpg")
    write_tar(tmp_path / "a.tar", {"x.jpg": b"x"})
    pq.write_table(pa.table({"image": [b"a"]}), tmp_path / "t.parquet")
    (tmp_path / "other.txt").write_text("more/0000.jpg\n")
    (tmp_path / "list.txt").write_text("folder\nmore/[bc]*.jpg\nmore/b[1].jpg\na.tar\nt.parquet\nother.txt\n")
    assert names(tmp_path / "list.txt") == [
        "0000.jpg", "0001.jpg", "b[1].jpg", "c.jpg", "b[1].jpg", "a.tar::x.jpg", "t.parquet::row 0", "0000.jpg",
    ]  # fmt: skip


def test_an_item_of_a_list_that_cannot_be_expanded_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "packed.tar.gz").write_bytes(b"x")
    (tmp_path / "broken.parquet").write_bytes(b"x")
    touch_images(tmp_path, 1)
    (tmp_path / "list.txt").write_text(
        "empty\nnone*.jpg\npacked.tar.gz\nbroken.parquet\nlist.txt\nmemory://nowhere/\n0000.jpg\n"
    )
    *failed, last = Lister().entries([str(tmp_path / "list.txt")])
    assert last.error is None
    assert [str(one.error).partition(": ")[2][:40] for one in failed] == [
        "expected images or videos, found none.",
        "no such file.",
        "expected a tar that is not compressed, f",
        "expected a Parquet file, got a damaged o",
        "this list contains itself. Remove that l",
        "cannot be listed: no such file. Is the n",
    ]
    assert [one.error_kind for one in failed] == [
        "missing", "missing", "unreadable", "unreadable", "unreadable", "missing",
    ]  # fmt: skip


def test_urls_in_a_list_may_be_folders_globs_and_tars(tmp_path: Path) -> None:
    put("listed", "in/a.jpg", "in/b[1].jpg", "deep/c.jpg")
    tar = write_tar(tmp_path / "a.tar", {"x.jpg": b"x"})
    fsspec.filesystem("memory").pipe_file("/listed/a.tar", tar.read_bytes())
    lines = ["deep/", "in/*.jpg", "in/b[1].jpg", "a.tar", "gone.jpg"]
    (tmp_path / "list.txt").write_text("".join(f"memory://listed/{line}\n" for line in lines))
    assert names(tmp_path / "list.txt") == [
        "c.jpg", "a.jpg", "b[1].jpg", "b[1].jpg", "a.tar::x.jpg", "gone.jpg",
    ]  # fmt: skip


def test_a_glob_that_matches_a_folder_lists_its_files(tmp_path: Path) -> None:
    touch_images(tmp_path / "ph" / "2020" / "may", 1)
    touch_images(tmp_path / "ph" / "2021", 1)
    touch_images(tmp_path / "ph" / "1999", 1)
    touch_images(tmp_path / "ph", 0, "20.jpg")
    assert names(tmp_path / "ph" / "20*") == ["20.jpg", "0000.jpg", "0000.jpg"]
    assert sorted(names(tmp_path / "ph" / "**")) == ["0000.jpg", "0000.jpg", "0000.jpg", "20.jpg"]


def test_a_remote_glob_that_matches_a_folder_lists_its_files() -> None:
    put("globbed", "ph/2020/may/a.jpg", "ph/2021/b.jpg", "ph/1999/c.jpg", "ph/20.jpg", "ph/2020/notes.md")
    assert sorted(names("memory://globbed/ph/20*")) == ["20.jpg", "a.jpg", "b.jpg"]
    assert sorted(names("memory://globbed/ph/**/*.jpg")) == ["20.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert names("memory://globbed/ph/20*/*.jpg") == ["b.jpg"]


def test_a_remote_file_whose_name_looks_like_a_glob_is_found() -> None:
    put("brackets", "a[1].jpg", "b*.jpg", "bc.jpg")
    assert names("memory://brackets/a[1].jpg") == ["a[1].jpg"]
    assert names("memory://brackets/b*.jpg") == ["b*.jpg"]


@pytest.mark.parametrize("glob", ["", "/**/*.parquet", "/*"])
def test_the_output_below_a_remote_source_is_not_searched(glob: str) -> None:
    store = fsspec.filesystem("memory")
    for name in ("shards/a.parquet", "shards/faces/rows/part.parquet", "shards/faces2/b.parquet"):
        with store.open(f"/output/{name}", "wb") as file:
            pq.write_table(pa.table({"image": [b"a"]}), file)
    out = Storage("memory://output/shards/faces").place
    found = names(f"memory://output/shards{glob}", leave_out=out)
    assert found == ["a.parquet::row 0", "b.parquet::row 0"]
    assert len(names(f"memory://output/shards{glob}")) == 3


@pytest.mark.parametrize("source", ["{}", "local://{}", "{}/**/*.parquet", "{}/*"])
@pytest.mark.parametrize("out", ["{}/faces", "local://{}/faces"])
def test_the_output_below_a_local_source_is_not_searched_however_it_is_written(
    tmp_path: Path, source: str, out: str
) -> None:
    for name in ("a.parquet", "faces/rows/part.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": [b"a"]}), tmp_path / name)
    place = Storage(out.format(tmp_path)).place
    assert names(source.format(tmp_path), leave_out=place) == ["a.parquet::row 0"]


@pytest.mark.parametrize(
    ("source", "out"),
    [("memory://same/in", "memory://same/in/"), ("local://{}", "{}"), ("{}", "local://{}"), ("{}/", "{}")],
)
def test_a_source_as_the_output_is_refused(tmp_path: Path, source: str, out: str) -> None:
    storage = Storage(out.format(tmp_path))
    with pytest.raises(DataError, match="another folder for the output than the source"):
        require_other_than_sources(storage, [source.format(tmp_path)])
    require_other_than_sources(storage, [os.fspath(tmp_path.parent), "memory://same", "nosuch://x"])


def test_a_password_in_a_list_within_a_list_is_not_stored(tmp_path: Path) -> None:
    (tmp_path / "inner.txt").write_text("ftp://bob:secret@host/a.jpg\n")
    (tmp_path / "list.txt").write_text("inner.txt\n")
    (entry,) = Lister().entries([str(tmp_path / "list.txt")])
    assert "expected a URL without a password" in str(entry.error)
    assert "secret" not in str(entry)


HIDDEN = ["a.jpg", "b/c.jpg", ".hidden.jpg", "b/.hidden.jpg", ".git/d.jpg"]


class Pages:
    """A bucket in S3 whose listing fits into one page."""

    protocol = ("s3", "s3a")

    def call_s3(self, _method: str, *, Bucket: str, Prefix: str) -> dict[str, Any]:  # noqa: N803 - as in boto3
        """The answer to a request for a list."""
        assert Bucket == "bucket"
        keys = [f".cache/photos/{name}" for name in HIDDEN]
        found = [{"Key": key, "Size": 1} for key in keys if key.startswith(Prefix)]
        return {"Contents": found, "IsTruncated": False}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ["a.jpg", "c.jpg"]),
        ("/", ["a.jpg", "c.jpg"]),
        ("/**/*.jpg", ["a.jpg", "c.jpg"]),
        ("/*", ["a.jpg", "c.jpg"]),
        ("/a*", ["a.jpg"]),
        ("/.hid*", [".hidden.jpg"]),
    ],
)
def test_hidden_files_are_left_out_only_below_the_folder_that_is_listed(
    source: str, expected: list[str]
) -> None:
    put("hidden/.cache/photos", *HIDDEN)
    assert sorted(names(f"memory://hidden/.cache/photos{source}")) == expected
    place = Location(Pages(), f"bucket/.cache/photos{source}")
    if "*" in source:
        files, folder_of = remote_matches(place)
        found = [name for name, info in files if folder_of((name, info)) is not None]
    else:
        found = [name for name, _ in remote_files(place)]
    assert sorted(name.rpartition("/")[2] for name in found) == expected
