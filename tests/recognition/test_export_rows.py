"""Exported rows, read back with pandas, the json module and pyarrow."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import DataError, MissingExtra
from mien.recognition.export_rows import COLUMNS, RowWriter
from mien.recognition.faces import Box, Expression, Face
from tests.builders.example_faces import make_face

LABELS = ("angry", "happy", "neutral")
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
NAMES = [
    "a,b.jpg",
    'say "hi".png',
    "two\nlines\r.mp4",
    " lead and trail ",
    "Käse 嬉しい 🙂.jpg",
    "=1+1",
    "\t",
]


def face_at(x: int = -3, track: int | None = None, row: tuple[float, ...] = (0.1, 0.7, 0.2)) -> Face:
    rounded = np.array(row, np.float32)
    return make_face(Box(x, 20, 64, 80), rounded, labels=LABELS, confidence=0.75, track=track)


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows with another library; empty values become `None`."""
    match path.suffix:
        case ".json":
            return list(json.loads(path.read_text("utf-8")))
        case ".jsonl":
            return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
        case ".csv":
            table = pd.read_csv(path, keep_default_na=False, na_values=[""])
        case _:
            table = pd.read_parquet(path)
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def write_until(path: Path, error: BaseException) -> None:
    """Write two rows, then fail."""
    with RowWriter(path, LABELS) as writer:
        writer.write("a", [face_at(), face_at()])
        raise error


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestEveryFormat:
    def test_rows_of_images_and_videos_round_trip(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / "new" / f"rows{suffix}"
        with RowWriter(path, LABELS) as writer:
            writer.write("holiday.jpg", [face_at(1), face_at(200, row=(0.6, 0.3, 0.1))])
            writer.write("empty.jpg", [])
            writer.write("video.mp4", [face_at(5, track=3)], frame=12, seconds=0.48)
            assert not path.exists()
        assert list(path.parent.iterdir()) == [path]
        rows = read(path)
        assert list(rows[0]) == [*COLUMNS, *LABELS]
        assert [row["source"] for row in rows] == ["holiday.jpg", "holiday.jpg", "video.mp4"]
        assert [row["x"] for row in rows] == [1, 200, 5]
        assert [row["label"] for row in rows] == ["happy", "angry", "happy"]
        assert [(row["frame"], row["seconds"], row["track"]) for row in rows] == [
            (None, None, None), (None, None, None), (12, 0.48, 3),
        ]  # fmt: skip
        low, high, rest = (
            (0.1, 0.7, 0.2) if suffix == ".csv" else (float(np.float32(x)) for x in (0.1, 0.7, 0.2))
        )
        assert rows[0] | {"x": 0} == {
            "source": "holiday.jpg", "frame": None, "seconds": None, "track": None, "x": 0, "y": 20, "width": 64,
            "height": 80, "confidence": 0.75, "label": "happy", "score": high,
            "angry": low, "happy": high, "neutral": rest,
        }  # fmt: skip

    def test_times_are_rounded_to_microseconds(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        with RowWriter(path, LABELS) as writer:
            writer.write("video.mp4", [face_at()], frame=47, seconds=47 * 0.04)  # 1.8800000000000001
            writer.write("video.mp4", [face_at()], frame=1, seconds=1001 / 30000)
        assert [row["seconds"] for row in read(path)] == [1.88, 0.033367]

    def test_unusual_file_names_round_trip(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        with RowWriter(path, LABELS) as writer:
            for name in NAMES:
                writer.write(name, [face_at()])
        assert [row["source"] for row in read(path)] == NAMES

    def test_undecodable_bytes_in_a_name_are_escaped(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        with RowWriter(path, LABELS) as writer:
            writer.write(b"caf\xe9.jpg".decode(errors="surrogateescape"), [face_at()])
        assert [row["source"] for row in read(path)] == ["caf\\udce9.jpg"]

    def test_a_file_without_rows_is_valid(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        with RowWriter(path, LABELS):
            pass
        assert read(path) == []
        if suffix in {".csv", ".parquet"}:
            table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
            assert list(table.columns) == [*COLUMNS, *LABELS]

    def test_error_keeps_the_old_file_and_ctrl_c_saves_the_rows_written_so_far(
        self, suffix: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"rows{suffix}"
        path.write_bytes(b"old")
        with pytest.raises(RuntimeError, match="stop"):
            write_until(path, RuntimeError("stop"))
        assert path.read_bytes() == b"old"
        with pytest.raises(KeyboardInterrupt):
            write_until(path, KeyboardInterrupt())
        assert len(read(path)) == 2
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.slow
    def test_many_rows_are_not_kept_in_memory(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        with RowWriter(path, LABELS) as writer:
            for i in range(10_000):
                writer.write("video.mp4", [face_at(i, track=1)], frame=i, seconds=i / 25)
            (aside,) = tmp_path.iterdir()
            assert aside.stat().st_size > 50_000
        rows = read(path)
        assert [row["frame"] for row in rows] == list(range(10_000))
        assert rows[-1]["seconds"] == 9999 / 25

    def test_labels_named_like_columns_get_a_prefix(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        labels = ("label", "score")
        face = Face(Box(0, 0, 9, 9), Expression.from_probabilities(labels, (0.25, 0.75)))
        with RowWriter(path, labels) as writer:
            writer.write("a", [face])
        (row,) = read(path)
        assert (row["label"], row["score"]) == ("score", 0.75)
        assert (row["probability_label"], row["probability_score"]) == (0.25, 0.75)

    def test_class_names_with_line_breaks_round_trip(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        labels = ("one\rtwo", "three\nfour")
        face = Face(Box(0, 0, 9, 9), Expression.from_probabilities(labels, (0.75, 0.25)))
        with RowWriter(path, labels) as writer:
            writer.write("a", [face])
        (row,) = read(path)
        assert (row["label"], row["one\rtwo"], row["three\nfour"]) == ("one\rtwo", 0.75, 0.25)

    def test_frames_and_times_may_be_numbers_of_numpy(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"rows{suffix}"
        with RowWriter(path, LABELS) as writer:
            writer.write("a", [face_at()], frame=np.int64(3), seconds=np.float32(1.5))  # type: ignore[arg-type]
        (row,) = read(path)
        assert (row["frame"], row["seconds"]) == (3, 1.5)


@pytest.mark.parametrize("frame", ["3", 1.5, True, float("nan")])
def test_a_frame_that_is_not_an_integer_is_rejected(tmp_path: Path, frame: Any) -> None:
    with pytest.raises(DataError, match="index of a frame"), RowWriter(tmp_path / "a.csv", LABELS) as writer:
        writer.write("a", [face_at()], frame=frame)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=5))
def test_any_text_round_trips_through_csv(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with RowWriter(path, LABELS) as writer:
        for name in names:
            writer.write(name, [face_at()])
    with path.open(encoding="utf-8", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == names


def test_parquet_has_integers_and_floats(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "rows.parquet"
    with RowWriter(path, LABELS) as writer:
        writer.write("a", [face_at()])
    types = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert {name for name, kind in types.items() if kind == "int64"} == {
        "frame", "track", "x", "y", "width", "height",
    }  # fmt: skip
    assert {name for name, kind in types.items() if kind == "double"} == {
        "seconds", "confidence", "score", *LABELS,
    }  # fmt: skip


def test_unknown_file_extension_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.xlsx: expected a name that ends in \.csv, \.json, \.jsonl"):
        RowWriter(tmp_path / "rows.xlsx", LABELS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folder_as_output_path_is_rejected_on_construction(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / f"rows{suffix}"
    folder.mkdir()
    with pytest.raises(DataError, match=r"rows\.\w+: expected a file for rows to write, got a folder"):
        RowWriter(folder, LABELS)


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[parquet\]'"):
        RowWriter(tmp_path / "rows.parquet", LABELS)
    with RowWriter(tmp_path / "rows.csv", LABELS) as writer:
        writer.write("a", [face_at()])


def test_a_single_face_instead_of_a_list_is_rejected(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="Expected a list of faces"),
        RowWriter(tmp_path / "a.csv", LABELS) as rows,
    ):
        rows.write("a", face_at())  # type: ignore[arg-type]


def test_labels_that_map_to_the_same_column_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="different columns, got probability_score twice"):
        RowWriter(tmp_path / "rows.csv", ("score", "probability_score"))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_excel_safe_escapes_names_that_look_like_formulas(tmp_path: Path, name: str) -> None:
    labels = ("=happy()", "sad")
    face = Face(Box(0, 0, 9, 9), Expression.from_probabilities(labels, (0.75, 0.25)))
    for safe in (False, True):
        with RowWriter(tmp_path / "rows.csv", labels, excel_safe=safe) as writer:
            writer.write(name, [face])
        with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
            header, row = csv.reader(file)
        assert row[0] == ("'" + name if safe else name)
        assert header[-2] == ("'=happy()" if safe else "=happy()")
        assert row[COLUMNS.index("label")].startswith("'") == safe
        assert not row[-1].startswith("'")


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_excel_safe_changes_csv_files_only(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{safe}{suffix}" for safe in (False, True)]
    for path, safe in zip(paths, (False, True), strict=True):
        with RowWriter(path, LABELS, excel_safe=safe) as writer:
            writer.write("=1+1", [face_at()])
    assert paths[0].read_bytes() == paths[1].read_bytes()
