"""Data frames of pandas, polars and Arrow as sources, and jobs whose data frame has other rows later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mien
from mien.bulk import supervisor
from mien.bulk.data_frames import is_frame, store_frame
from mien.bulk.fetching import Fetcher
from mien.bulk.job_folder import open_job
from mien.bulk.listing import Lister
from mien.bulk.storage import Storage
from mien.errors import DataError
from tests.builders.job_inputs import STUB_COMMAND, rows_of, touch_images

PATHS = ["/a.jpg", "/b.jpg", "/a.jpg"]
IMAGES = [b"one", b"two", b"one"]


def frames() -> dict[str, Any]:
    pl = pytest.importorskip("polars")
    return {
        "pandas": pd.DataFrame({"path": PATHS, "n": 1}),
        "pandas categories": pd.DataFrame({"path": pd.Categorical(PATHS)}),
        "polars": pl.DataFrame({"path": PATHS}),
        "polars categories": pl.DataFrame({"path": pl.Series(PATHS, dtype=pl.Categorical)}),
        "polars lazy": pl.LazyFrame({"path": PATHS, "n": 1}).filter(pl.col("n") == 1),
        "arrow views": pa.table({"path": pa.array(PATHS, pa.string_view())}),
        "arrow dictionary": pa.table({"path": pa.array(PATHS).dictionary_encode()}),
    }


def byte_frames() -> dict[str, Any]:
    pl = pytest.importorskip("polars")
    return {
        "pandas": pd.DataFrame({"image": IMAGES}),
        "pandas categories": pd.DataFrame({"image": pd.Categorical(IMAGES)}),
        "polars": pl.DataFrame({"image": IMAGES}),
        "polars lazy": pl.LazyFrame({"image": IMAGES}),
        "polars struct": pl.DataFrame({"image": [{"bytes": one, "path": "x"} for one in IMAGES]}),
        "arrow views": pa.table({"image": pa.array(IMAGES, pa.binary_view())}),
        "arrow dictionary": pa.table({"image": pa.array(IMAGES).dictionary_encode()}),
    }


def listed(frame: Any, folder: Path) -> list[Any]:
    return list(Lister().entries([store_frame(frame, Storage(str(folder)), None)]))


@pytest.mark.parametrize("name", list(frames()))
def test_a_frame_of_uris_is_listed_whatever_its_type(name: str, tmp_path: Path) -> None:
    frame = frames()[name]
    assert is_frame(frame)
    assert [one.uri for one in listed(frame, tmp_path)] == PATHS


@pytest.mark.parametrize("name", list(byte_frames()))
def test_a_frame_of_images_is_read_whatever_its_type(name: str, tmp_path: Path) -> None:
    frame = byte_frames()[name]
    assert is_frame(frame)
    fetcher = Fetcher()
    assert [fetcher.fetch(one).content for one in listed(frame, tmp_path)] == IMAGES


def test_a_frame_whose_only_column_has_any_name_is_listed(tmp_path: Path) -> None:
    fetcher = Fetcher()
    assert [fetcher.fetch(one).content for one in listed(pa.table({"photo": IMAGES}), tmp_path)] == IMAGES
    assert [one.uri for one in listed(pa.table({"where": PATHS}), tmp_path)] == PATHS


def test_a_lazy_frame_that_cannot_be_collected_is_refused(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    with pytest.raises(DataError, match="a lazy frame that can be collected"):
        listed(pl.LazyFrame({"path": PATHS}).select("nothing"), tmp_path)


def test_ids_of_images_in_a_frame_depend_on_their_content_and_row_only(tmp_path: Path) -> None:
    first = listed(pd.DataFrame({"image": IMAGES}), tmp_path)
    more = listed(pd.DataFrame({"image": [IMAGES[0], b"changed", IMAGES[2], b"new"]}), tmp_path)
    assert [one.id for one in more[:3:2]] == [one.id for one in first[::2]]
    assert len({one.id for one in (*first, *more)}) == 5
    assert first[1].uri == more[1].uri
    assert [one.bytes for one in more] == [-1] * 4


def test_a_frame_that_an_older_version_has_stored_keeps_its_ids(tmp_path: Path) -> None:
    import hashlib
    import io

    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": IMAGES}), buffer, compression="zstd", row_group_size=256)
    name = f"frame-{hashlib.sha256(buffer.getvalue()).hexdigest()[:16]}.parquet"
    (tmp_path / "_mien").mkdir()
    (tmp_path / "_mien" / name).write_bytes(buffer.getvalue())
    entries = listed(pa.table({"image": IMAGES}), tmp_path)
    assert {one.uri for one in entries} == {str(tmp_path / "_mien" / name)}


def test_a_job_of_a_frame_may_be_resumed_with_other_rows_and_not_with_another_column(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    old, new = (store_frame(pd.DataFrame({"path": rows}), storage, None) for rows in (PATHS, PATHS[:2]))
    assert old != new
    options = {"flat": False, "column": None, "model_sha256": "0"}
    open_job(storage, {"sources": [old], "options": options}, "1", resume=True)
    storage.write_json(
        "_mien/job.json", storage.read_json("_mien/job.json") | {"manifest": "_mien/manifest-0"}
    )
    assert open_job(storage, {"sources": [new], "options": options}, "1", resume=True)
    with pytest.raises(DataError, match="its column is None, not 'path'"):
        open_job(storage, {"sources": [new], "options": options | {"column": "path"}}, "1", resume=True)
    with pytest.raises(DataError, match="it has other sources"):
        open_job(storage, {"sources": ["/in"], "options": options}, "1", resume=True)


def test_a_job_of_an_older_version_without_a_column_is_resumed_with_any(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    older = {
        "format": 1,
        "manifest": "_mien/manifest-0",
        "sources": ["/t.parquet"],
        "options": {"flat": False, "model_sha256": "0"},
    }
    storage.write_json("_mien/job.json", older)
    options = {"flat": False, "column": "image", "model_sha256": "0"}
    assert open_job(storage, {"sources": ["/t.parquet"], "options": options}, "1", resume=True)


@pytest.mark.slow
def test_resuming_with_more_rows_processes_only_new_and_changed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    settings: dict[str, Any] = {"workers": 1, "resume": True}
    paths = [str(path) for path in touch_images(tmp_path / "in", 4)]
    for number, rows in enumerate((paths[:3], paths)):
        summary = mien.batch(pd.DataFrame({"path": rows}), tmp_path / "uris", **settings)
        assert (summary.done, summary.processed) == ((3, 3), (4, 1))[number]
    images = [b"one", b"two", b"three"]
    for rows, expected in (
        (images, (3, 3, 0, 0, 0)),
        ([*images, b"four"], (4, 1, 1, 0, 0)),
        ([b"one", b"other", b"three"], (3, 1, 0, 1, 1)),
    ):
        told = mien.batch(pa.table({"image": rows}), tmp_path / "bytes", **settings)
        assert (told.done, told.processed, told.added, told.changed, told.removed) == expected
    assert len(rows_of(tmp_path / "bytes")) == 4
    assert len(list((tmp_path / "bytes" / "_mien").glob("frame-*"))) == 1
