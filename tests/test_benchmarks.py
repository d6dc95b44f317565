"""What the scripts beside the package make of their measurements."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def row(accuracy: float, seed: int) -> dict[str, Any]:
    return {"public_accuracy": accuracy, "seed": seed}


TRAININGS = {
    "network: small, seed 0": row(0.5, 0),
    "network: small, seed 1": row(0.6, 1),
    "recipe: no votes, seed 0": row(0.4, 0),
    "recipe: no votes, seed 1": row(0.55, 1),
    "recipe: late, seed 7": row(0.9, 7),
}


def test_gains_are_taken_seed_by_seed(script: Any) -> None:
    figures = script("search_figures")
    scores = figures.by_seed(TRAININGS)
    assert scores["network: small"] == pytest.approx({0: 50, 1: 60})
    assert figures.gains_of(scores, "recipe: no votes") == pytest.approx([-10, -5])
    assert figures.changes_in(scores) == ["recipe: no votes"]  # the other has no seed to be held against
    drawn = figures.parts_figure({"trainings": TRAININGS})
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["no votes"]


def test_tables_tell_spread_and_number_of_seeds(script: Any) -> None:
    tables = script("tables")
    assert tables.told([50.0]) == "50.00%"
    assert tables.told([-10.0, -5.0], "+", " points") == "-7.50 ± 3.54 points, 2 seeds"
    assert tables.rows(["a", "b"], ["1", "2"]).splitlines() == ["| a | b |", "|---|---|", "| 1 | 2 |"]


def test_the_front_is_what_nothing_beats_in_both(script: Any) -> None:
    front = script("search_figures").front_of
    assert front({"quick": (9.0, 50.0), "good": (3.0, 60.0), "beaten": (2.0, 55.0)}) == ["quick", "good"]


def test_every_table_can_be_made_of_what_was_measured(script: Any) -> None:
    for table in script("tables").TABLES.values():
        lines = table().splitlines()
        assert len([line for line in lines if line.startswith("|")]) > 3


def test_the_log_of_runs_says_of_bundled_models_what_their_cards_say() -> None:
    root = FOLDER.parent
    with (root / "docs" / "results" / "runs.csv").open(newline="", encoding="utf-8") as file:
        runs = {line["run"]: line for line in csv.DictReader(file)}
    seeds = json.loads((FOLDER / "results" / "seeds.json").read_text(encoding="utf-8"))["results"]
    measured = {name: told for group in seeds.values() for name, told in group.get("models", {}).items()}
    for name, run, file in (
        ("small", "small-bundled", "small-3"),
        ("large", "campaign-large-2", "campaign-large-2"),
        ("tiny", "campaign-tiny-2", "campaign-tiny-2"),
    ):
        card = json.loads((root / "docs" / "results" / name / "card.json").read_text(encoding="utf-8"))
        (strict,) = (head for head in card["heads"] if head["taxonomy"] == "fer2013")
        accuracy = strict["scores"]["PrivateTest"]["accuracy"]
        assert float(runs[run]["private_accuracy"]) == pytest.approx(accuracy, abs=5e-5)
        assert measured[file]["fer2013"]["accuracy"] == pytest.approx(accuracy)


def test_the_legend_of_batch_jobs_counts_workers(script: Any) -> None:
    pytest.importorskip("psutil")
    label_of = script("batch").label_of
    assert label_of({"run": "local:1", "images": 1300}) == "1,300 images, 1 worker"
    assert label_of({"run": "local:2", "images": 300}) == "300 images, 2 workers"
