"""The examples of docs/scale.md that read the rows run as documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mien.bulk.entries import Entry
from mien.bulk.output import POINTS, SIDES, input_row, rows_to_table

CLASSES = ("angry", "happy", "sad")
TEXT = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
OUTPUT = TEXT[TEXT.index("## Output") : TEXT.index("## Fault tolerance")]


def blocks(language: str, word: str) -> list[str]:
    """The examples in a language that contain a word."""
    found = re.findall(rf"```{language}\n(.*?)```", OUTPUT, re.DOTALL)
    return [one for one in found if word in one]


def face(label: str) -> dict[str, Any]:
    probabilities = {name: 0.8 if name == label else 0.1 for name in CLASSES}
    return {
        "box": dict.fromkeys(SIDES, 9), "landmarks": {name: {"x": 1.0, "y": 1.5} for name in POINTS}, "label": label,
        "score": 0.8, "probabilities": probabilities, "confidence": 0.9, "frame": None, "seconds": None,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the rows of a job: three faces in two images, one without a face, one input that failed."""
    monkeypatch.chdir(tmp_path)
    faces = ([face("happy"), face("sad")], [face("happy")], [])
    rows = [input_row(Entry(f"/{number}.jpg"), faces=some) for number, some in enumerate(faces)]
    rows.append(input_row(Entry("/bad.jpg"), error="/bad.jpg: no such file.", error_kind="missing"))
    for folder, flat in (("faces", False), ("flat", True)):
        Path(folder, "rows").mkdir(parents=True)
        for number, some in enumerate((rows[:2], rows[2:])):
            table = rows_to_table(some, CLASSES, flat=flat)
            pq.write_table(table, Path(folder, "rows", f"part-{number}.parquet"), compression="zstd")


def run_python(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/scale.md", "exec"), names)  # noqa: S102
    return names


@pytest.mark.filterwarnings("ignore")
def test_pandas_counts_the_labels(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    (code,) = blocks("python", "import pandas")
    names = run_python(code)
    assert names["faces"]["faces"].str["label"].value_counts().to_dict() == {"happy": 2, "sad": 1}
    assert re.search(r"happy +2\nsad +1", capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_polars_counts_the_labels(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("polars")
    (code,) = blocks("python", "import polars")
    counts = run_python(code)["counts"]
    assert dict(counts.iter_rows()) == {"happy": 2, "sad": 1}
    assert "happy" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_duckdb_counts_the_labels() -> None:
    duckdb = pytest.importorskip("duckdb")
    (code,) = blocks("sql", "unnest")
    assert duckdb.sql(code).fetchall() == [("happy", 2), ("sad", 1)]


def test_every_column_is_documented() -> None:
    table = OUTPUT[: OUTPUT.index("With `--flat`")]
    schema = rows_to_table([], CLASSES, flat=False).schema
    faces = schema.field("faces").type.value_type
    documented = {name.strip("`").lstrip(".") for name in re.findall(r"`[\w.\[\]]+`", table)}
    assert set(schema.names) <= documented
    assert {one.name for one in faces} <= {name.removeprefix("faces[].") for name in documented}
