"""Listing the inputs of sources, and manifests of inputs."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.bulk.entries import Entry
from mien.bulk.listing import Lister
from mien.bulk.locations import Location
from mien.bulk.manifest import IncompleteManifestError, compare, open_manifest, write_manifest
from mien.bulk.storage import Storage
from mien.errors import DataError
from tests.builders.job_inputs import jpeg, touch_images, write_tar


def names(*sources: str | Path, **settings: object) -> list[str]:
    entries = Lister(**settings).entries([str(one) for one in sources])  # type: ignore[arg-type]
    return [Path(one.uri).name + (f"::{one.member}" if one.member else "") for one in entries]


def test_a_folder_lists_images_and_videos_by_name_and_counts_other_files(tmp_path: Path) -> None:
    touch_images(tmp_path / "b", 1, "film.MP4", "notes.txt")
    touch_images(tmp_path, 2, ".hidden.jpg")
    lister = Lister()
    found = list(lister.entries([str(tmp_path)]))
    assert [Path(one.uri).name for one in found] == ["0000.jpg", "0001.jpg", "0000.jpg", "film.MP4"]
    assert [one.kind for one in found] == ["image", "image", "image", "video"]
    assert lister.passed_over == Counter({".txt": 1})


def test_the_output_folder_is_not_searched(tmp_path: Path) -> None:
    touch_images(tmp_path, 1)
    touch_images(tmp_path / "out", 3)
    assert names(tmp_path, leave_out=Location(None, str(tmp_path / "out"))) == ["0000.jpg"]


def test_a_glob_matches_files_in_folders_below(tmp_path: Path) -> None:
    touch_images(tmp_path / "a" / "b", 2)
    assert names(tmp_path / "**" / "*1.jpg") == ["0001.jpg"]


def test_paths_in_a_list_may_be_urls_or_relative_to_the_list(tmp_path: Path) -> None:
    touch_images(tmp_path / "photos", 2)
    listed = tmp_path / "list.txt"
    listed.write_text("photos/0000.jpg\n\n# a remark\nmemory://bucket/x.jpg\nphotos/gone.jpg\n")
    found = list(Lister().entries([str(listed)]))
    assert [one.uri for one in found[:2]] == [str(tmp_path / "photos" / "0000.jpg"), "memory://bucket/x.jpg"]
    assert found[2].error is not None
    assert "no such file" in found[2].error


def test_a_table_of_uris_is_read_by_its_column(tmp_path: Path) -> None:
    paths = [str(path) for path in touch_images(tmp_path, 2)]
    pq.write_table(pa.table({"n": [1, 2], "path": paths}), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("where,n\n" + "".join(f"{path},1\n" for path in paths))
    assert names(tmp_path / "t.parquet") == ["0000.jpg", "0001.jpg"]
    assert names(tmp_path / "t.csv", column="where") == ["0000.jpg", "0001.jpg"]


def test_rows_of_a_long_table_have_different_numbers(tmp_path: Path) -> None:
    uris = ["memory://bucket/a.jpg"] * 5000
    uris[10] = uris[4106] = " "
    pq.write_table(pa.table({"uri": uris}), tmp_path / "t.parquet")
    failed = [one for one in Lister().entries([str(tmp_path / "t.parquet")]) if one.error]
    assert [one.member for one in failed] == ["row 10", "row 4106"]
    assert len({one.id for one in failed}) == 2


def test_a_table_of_bytes_gives_an_input_for_each_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"a", b"b"]}), tmp_path / "bytes.parquet")
    hugging = pa.table({"image": [{"bytes": b"a", "path": "a.jpg"}]})
    pq.write_table(hugging, tmp_path / "hf.parquet")
    assert names(tmp_path / "bytes.parquet") == ["bytes.parquet::row 0", "bytes.parquet::row 1"]
    assert names(tmp_path / "hf.parquet") == ["hf.parquet::row 0"]


@pytest.mark.parametrize(
    ("table", "column", "expected"),
    [
        ({"a": [1], "b": [2.0]}, None, "which column"),
        ({"a": ["x"], "b": ["y"]}, None, "which column"),
        ({"a": ["x"]}, "z", "expected a column 'z'"),
        ({"a": [1], "b": ["x"]}, "a", "URIs or image bytes"),
    ],
)
def test_a_table_without_a_usable_column_is_refused(
    tmp_path: Path, table: dict[str, list[object]], column: str | None, expected: str
) -> None:
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=expected):
        names(tmp_path / "t.parquet", column=column)


def test_members_of_a_tar_are_found_with_their_offsets(tmp_path: Path) -> None:
    images = {f"{number:03d}.jpg": bytes([number]) * (600 + number) for number in range(50)}
    others = {f"{number:03d}.json": b"{}" for number in range(50)}
    mixed = dict(sorted((images | others).items())) | {"long/" * 40 + "name.png": b"xyz"}
    tar = write_tar(tmp_path / "shard.tar", mixed)
    lister = Lister()
    found = list(lister.entries([str(tar)]))
    data = tar.read_bytes()
    assert len(found) == 51
    for one in found:
        assert data[one.offset : one.offset + one.length] == mixed[str(one.member)]
    assert lister.passed_over == Counter({".json": 50})


def test_a_truncated_tar_gives_its_complete_members_and_a_failed_input(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {"0.jpg": b"x" * 2000, "1.jpg": b"y" * 2000})
    tar.write_bytes(tar.read_bytes()[:2800])
    first, *_, last = Lister().entries([str(tar)])
    assert first.member == "0.jpg"
    assert last.error is not None
    assert "damaged" in last.error


def test_a_folder_with_only_tars_lists_their_members(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"0.jpg": b"x"})
    assert names(tmp_path) == ["a.tar::0.jpg"]
    touch_images(tmp_path, 1)
    assert names(tmp_path) == ["0000.jpg"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nothing-here", "found none of that name"),
        ("nothing-*.jpg", "expected images or videos, found none"),
        ("  ", "Expected a path, a glob or a URL"),
        ("nosuch://x/y.jpg", "nosuch://, which fsspec does not know"),
        ("a.tar.gz", "not compressed"),
    ],
)
def test_a_source_without_inputs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=expected):
        names(source)


def test_a_source_without_inputs_is_reported_with_its_own_files_of_other_kinds(tmp_path: Path) -> None:
    touch_images(tmp_path / "good", 1, "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: expected images or videos, found none\. Is the name right\?"
    ):
        names(tmp_path / "good", tmp_path / "empty")
    touch_images(tmp_path / "empty", 0, "a.md")
    with pytest.raises(DataError, match=r"There are files of other kinds \(1 \.md\)\."):
        names(tmp_path / "good", tmp_path / "empty")


def test_a_file_whose_name_is_not_valid_unicode_is_listed_and_can_be_read(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"content")
    (entry,) = Lister().entries([str(tmp_path)])
    from mien.bulk.fetching import Fetcher

    assert entry.uri.startswith("file://")
    assert Fetcher().fetch(entry).content == b"content"


def test_an_id_depends_on_uri_size_and_etag() -> None:
    entry = Entry("/a.jpg", size=1, etag="x")
    assert entry.id == Entry("/a.jpg", size=1, etag="x").id
    others = {
        Entry("/a.jpg", size=2, etag="x").id,
        Entry("/a.jpg", size=1, etag="y").id,
        Entry("/b.jpg", size=1).id,
    }
    assert entry.id not in others
    assert all(-(2**63) <= one < 2**63 for one in others)


def test_a_repeated_input_is_in_the_manifest_once(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    entries = [Entry(f"/{number % 7}.jpg") for number in range(20)]
    manifest = write_manifest(storage, "m", entries, Counter())
    assert (manifest.inputs, manifest.repeated) == (7, 13)
    assert [one.uri for one in manifest.entries()] == [f"/{number}.jpg" for number in range(7)]
    done = np.sort(np.array([Entry("/3.jpg").id, Entry("/5.jpg").id]))
    assert len(list(manifest.entries(without=done))) == 5
    assert manifest.count_among(done) == 2


def test_repeated_inputs_are_found_in_other_files_of_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.bulk.manifest._FILE_ROWS", 10)
    entries = [Entry(f"/{number % 70}.jpg") for number in range(200)]
    manifest = write_manifest(Storage(str(tmp_path)), "m", entries, Counter())
    assert (manifest.inputs, manifest.repeated, len(manifest.files())) == (70, 130, 7)
    assert manifest.ids().tolist() == sorted(one.id for one in entries[:70])


def test_a_manifest_without_error_kinds_can_be_read(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write_manifest(storage, "m", [Entry("/1", error="/1: no such file.", error_kind="missing")], Counter())
    path = tmp_path / "m" / "00000.parquet"
    assert [one.error_kind for one in open_manifest(storage, "m").entries()] == ["missing"]
    pq.write_table(pq.read_table(path).drop_columns("error_kind"), path)
    (entry,) = open_manifest(storage, "m").entries()
    assert (entry.error, entry.error_kind) == ("/1: no such file.", None)


def test_comparing_manifests_gives_added_changed_and_removed_inputs(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    old = write_manifest(
        storage, "a", [Entry("/1", size=1), Entry("/2", size=1), Entry("/3", size=1)], Counter()
    )
    new = write_manifest(
        storage, "b", [Entry("/1", size=1), Entry("/2", size=9), Entry("/4", size=1)], Counter()
    )
    changes = compare(old, new)
    assert changes.to_dict() == {"added": 1, "changed": 1, "removed": 1}
    assert changes.stale.tolist() == [Entry("/2", size=1).id]
    assert changes.removed_names == {("/3", None)}


def test_an_error_of_the_previous_listing_is_dropped_and_not_counted_as_removed(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    damaged = Entry("/a.tar", where="tar", error="/a.tar: it is damaged.")
    absent = Entry("/b.jpg", error="/b.jpg: no such file.", error_kind="missing")
    old = write_manifest(storage, "a", [damaged, absent, Entry("/gone.jpg")], Counter())
    new = write_manifest(
        storage, "b", [Entry("/a.tar", where="tar", member="0.jpg"), Entry("/b.jpg", size=1)], Counter()
    )
    changes = compare(old, new)
    assert changes.to_dict() == {"added": 1, "changed": 1, "removed": 1}
    assert changes.stale.tolist() == sorted([damaged.id, absent.id])
    assert changes.removed_names == {("/gone.jpg", None)}


def test_an_input_that_is_listed_with_an_error_is_removed_and_its_row_is_not_stale(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    old = write_manifest(storage, "a", [Entry("/1", size=1), Entry("/2", size=1)], Counter())
    lost = Entry("/1", error="/1: no such file.", error_kind="missing")
    new = write_manifest(storage, "b", [lost, Entry("/2", size=9)], Counter())
    changes = compare(old, new)
    assert changes.to_dict() == {"added": 0, "changed": 1, "removed": 1}
    assert changes.stale.tolist() == [Entry("/2", size=1).id]
    assert changes.removed_names == {("/1", None)}
    assert compare(new, old).stale.tolist() == sorted([lost.id, Entry("/2", size=9).id])


def test_a_manifest_of_another_version_or_with_a_missing_file_is_refused(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write_manifest(storage, "m", [Entry("/1")], Counter())
    about = json.loads((tmp_path / "m" / "manifest.json").read_text())
    (tmp_path / "m" / "manifest.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(DataError, match="version 1, got version 99"):
        open_manifest(storage, "m")
    (tmp_path / "m" / "manifest.json").write_text(json.dumps(about))
    (tmp_path / "m" / "00000.parquet").unlink()
    with pytest.raises(IncompleteManifestError, match="found 0"):
        open_manifest(storage, "m")
    (tmp_path / "m" / "manifest.json").unlink()
    with pytest.raises(IncompleteManifestError, match="found none"):
        open_manifest(storage, "m")


def test_image_bytes_in_a_table_are_read_row_by_row(tmp_path: Path) -> None:
    from mien.bulk.fetching import Fetcher

    values = [jpeg(number) for number in range(3)] + [None]
    pq.write_table(pa.table({"image": values}), tmp_path / "t.parquet", row_group_size=2)
    entries = list(Lister().entries([str(tmp_path / "t.parquet")]))
    fetcher = Fetcher()
    found = [fetcher.fetch(one) for one in (entries[2], entries[0], entries[1], entries[3])]
    assert [one.content for one in found] == [values[2], values[0], values[1], None]
    assert found[3].kind_of_error == "unreadable"


def test_a_broken_link_fails_and_a_link_to_a_folder_is_counted_as_skipped(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 1)
    touch_images(tmp_path / "other", 1)
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "in" / "album").symlink_to(tmp_path / "other")
    lister = Lister()
    first, second = lister.entries([str(tmp_path / "in")])
    assert first.error is None
    assert second.error is not None
    assert "gone.jpg: no such file" in second.error
    assert lister.passed_over == Counter({"(link to a folder)": 1})
