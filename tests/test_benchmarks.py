"""Figures, tables and checks of the benchmark scripts."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.recognition.classifier import Classifier
from tests.builders.datasets import dataset_of
from tests.builders.trainings import tiny_recipe

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


def test_gains_are_computed_per_seed(script: Any) -> None:
    figures = script("search_figures")
    scores = figures.by_seed(TRAININGS)
    assert scores["network: small"] == pytest.approx({0: 50, 1: 60})
    assert figures.gains_of(scores, "recipe: no votes") == pytest.approx([-10, -5])
    assert figures.changes_in(scores) == ["recipe: no votes"]  # the other has no baseline of the same seed
    drawn = figures.parts_figure({"trainings": TRAININGS})
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["no votes"]


def test_tables_show_spread_and_number_of_seeds(script: Any) -> None:
    tables = script("tables")
    assert tables.told([50.0]) == "50.00%"
    assert tables.told([-10.0, -5.0], "+", " points") == "-7.50 ± 3.54 points, 2 seeds"
    assert tables.rows(["a", "b"], ["1", "2"]).splitlines() == ["| a | b |", "|---|---|", "| 1 | 2 |"]


def test_the_pareto_front_has_no_dominated_networks(script: Any) -> None:
    front = script("search_figures").front_of
    assert front({"quick": (9.0, 50.0), "good": (3.0, 60.0), "beaten": (2.0, 55.0)}) == ["quick", "good"]


def test_every_table_can_be_built_from_the_stored_results(script: Any) -> None:
    for table in script("tables").TABLES.values():
        lines = table().splitlines()
        assert len([line for line in lines if line.startswith("|")]) > 3


def test_run_log_agrees_with_the_cards_of_the_bundled_models() -> None:
    root = FOLDER.parent
    with (root / "docs" / "results" / "runs.csv").open(newline="", encoding="utf-8") as file:
        runs = {line["run"]: line for line in csv.DictReader(file)}
    seeds = json.loads((FOLDER / "results" / "seeds.json").read_text(encoding="utf-8"))["results"]
    measured = {name: told for group in seeds.values() for name, told in group.get("models", {}).items()}
    for name, run, file in (
        ("small", "small-bundled", "small-3"),
        ("large", "campaign-large-2", "campaign-large-2"),
        ("tiny", "tiny-long", "tiny-long"),
    ):
        card = json.loads((root / "docs" / "results" / name / "card.json").read_text(encoding="utf-8"))
        (strict,) = (head for head in card["heads"] if head["taxonomy"] == "fer2013")
        accuracy = strict["scores"]["PrivateTest"]["accuracy"]
        assert float(runs[run]["private_accuracy"]) == pytest.approx(accuracy, abs=5e-5)
        assert measured[file]["fer2013"]["accuracy"] == pytest.approx(accuracy)


def test_the_legend_of_batch_jobs_counts_workers(script: Any) -> None:
    pytest.importorskip("psutil")
    label_of = script("batch_jobs").label_of
    assert label_of({"run": "local:1", "images": 1300}) == "1,300 images, 1 worker"
    assert label_of({"run": "local:2", "images": 300}) == "300 images, 2 workers"


def part(requests: int, slowest: float, **statuses: int) -> dict[str, Any]:
    """The report of a part of a fuzz run."""
    return {
        "requests": requests,
        "seconds": 1.5,
        "statuses": {name.lstrip("s"): n for name, n in statuses.items()},
        "connection_errors": 0,
        "slowest_seconds": slowest,
        "health_slowest_seconds": slowest / 10,
        "health_median_seconds": 0.01,
        "service_mb_at_first_and_most": [100, 100 + requests],
        "largest_child_mb": requests,
    }


def test_interrupted_fuzz_run_resumes(script: Any, tmp_path: Path) -> None:
    report = script("fuzz_report")
    progress = report.Progress(tmp_path / "progress.json", seed=3)
    assert progress.done("images") == 0
    progress.told["images"] += [part(10, 1, s200=4, s422=6), part(20, 3, s200=20)]
    progress.keep()
    again = report.Progress(tmp_path / "progress.json", seed=3)
    assert again.done("images") == 30
    whole = report.merged(again.told["images"])
    assert (whole["requests"], whole["seconds"], whole["slowest_seconds"]) == (30, 3.0, 3)
    assert whole["statuses"] == {"200": 24, "422": 6}
    assert whole["service_mb_at_first_and_most"] == [100, 120]
    assert "| images | 30 | 3 | 200: 24, 422: 6 | 3 |" in report.table({"images": whole})
    with pytest.raises(SystemExit, match="belongs to seed 3"):
        report.Progress(tmp_path / "progress.json", seed=4)


def test_violated_limits_of_a_fuzz_run_are_listed(script: Any) -> None:
    found = {"descriptors_before_and_after": [[20, 21]], "exit_codes": [0], "images": part(9, 1, s200=9)}
    broken = script("fuzz_report").broken_limits
    assert broken(found, 15, 30) == []
    worse = {
        "descriptors_before_and_after": [[20, 60]],
        "exit_codes": [0, -14],
        "images": part(9, 99, s200=8, s500=1),
    }
    assert broken(worse, 15, 30) == [
        "images: 500", "images: an answer came late or not at all", "descriptors grew from 20 to 60",
        "exit codes [0, -14]",
    ]  # fmt: skip


def test_attacks_are_shown_in_a_table_and_checked_against_the_limits(script: Any) -> None:
    attacks = script("attacks")
    good = {
        "statuses": {200: 300}, "wrong": 0, "milliseconds": {"p50": 10.0, "p99": 30.0}, "p99_to_quiet": 1.0,
        "health_seconds_median_and_most": [0.01, 0.2], "seconds_to_end": 3.1, "exit_code": 0,
    }  # fmt: skip
    assert attacks.broken_limits({"quiet": good}) == []
    assert "| quiet | 10 | 30 | 1.00 | 0.20 | 3.1 | 0 |" in attacks.table({"quiet": good})
    bad = {**good, "p99_to_quiet": 5.3, "seconds_to_end": 14.7, "health_seconds_median_and_most": [0, 1.6]}
    assert attacks.broken_limits({"no readers": bad}) == [
        "no readers: p99 is 5.3 times the quiet one",
        "no readers: /health/live took 1.6 s",
        "no readers: ended after 14.7 s with 0",
    ]


def test_the_hours_of_a_batch_job_include_the_listing_of_its_inputs(script: Any) -> None:
    scale = script("batch_scale")
    site = scale.Site(listing=1e-4, latency=0.05, prefixes=1000)
    assert scale.listing_seconds(10**6, site) == pytest.approx(100 + 50 + 0.05 * 10**6 / 2000 / 8)
    quick = scale.Site(listing=0.0, latency=0.0, prefixes=1000)
    stages = {"decode": 0.02, "detect": 0.05, "classify": 0.01}
    for row, without in zip(scale.table(stages, 4e5, site), scale.table(stages, 4e5, quick), strict=True):
        seconds = scale.listing_seconds(row["images"] // row["jobs"], site)
        assert row["listing"] == pytest.approx(seconds / 3600)
        assert row["hours"] == pytest.approx(seconds / 3600 + row["images"] / row["rate"] / 3600)
        assert without["hours"] == pytest.approx(row["images"] / without["rate"] / 3600)
        assert row["dollars"] > without["dollars"]


def test_the_measured_rate_of_listing_is_used_by_default(script: Any) -> None:
    scale = script("batch_scale")
    measured = scale.measure_listing(200)
    assert {"list_per_second", "divide_per_cpu_second", "both_per_cpu_second"} <= measured.keys()
    stored = json.loads((FOLDER / "results" / "batch_listing.json").read_text())
    assert scale.Site().listing == 1 / stored["both_per_cpu_second"]
    assert stored["machine"]["processor"]


def test_the_header_of_the_accuracy_table_names_the_evaluated_split(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = script("tables")
    stored = json.loads((tables.RESULTS / "accuracy.json").read_text(encoding="utf-8"))
    (tmp_path / "accuracy.json").write_text(json.dumps({**stored, "split": "PublicTest"}), encoding="utf-8")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.accuracy().startswith("| PublicTest | ")


@pytest.mark.parametrize(("select", "epoch"), [("loss", 2), ("macro_f1", 1), ("last", 3)])
def test_the_run_log_shows_the_epoch_that_the_training_kept(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: str, epoch: int
) -> None:
    log_run = script("log_run")
    monkeypatch.setattr(log_run, "describe_machine", lambda _: {"processor": "a processor", "cores": 2})
    history = [
        {"epoch": i, "val_loss": loss, "val_accuracy": 0.5, "val_macro_f1": f1, "seconds": 1.0}
        for i, loss, f1 in ((1, 1.3, 0.6), (2, 1.1, 0.4), (3, 1.2, 0.5))
    ]
    state = {
        "recipe": tiny_recipe(select=select).to_dict(),
        "history": history,
        "data": {"source": "made", "training": 9, "validation": 3},
        "backend": "tensorflow",
    }
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    told = log_run.row_of(tmp_path, "", None)
    assert told["selected_epoch"] == epoch
    assert told["public_loss"] == f"{history[epoch - 1]['val_loss']:.4f}"


def test_neither_half_of_training_has_copies_of_other_splits(script: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (14, 48, 48), dtype=np.uint8)
    images[0], images[4] = images[10], images[12]  # of the source, copied from PublicTest and PrivateTest
    images[1], images[5] = images[11], images[13]  # of the targets
    images[7] = images[2]  # of the targets, copied from the source
    split = ["Training"] * 10 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    source, target = script("transfer").halves(dataset_of(images, np.arange(14) % 7, split))
    assert source.tolist() == [2, 6, 8]
    assert target.tolist() == [3, 9]


def test_limitations_of_a_card_contain_the_errors_of_that_model_on_other_faces(script: Any) -> None:
    cards = script("card_texts")
    press = {"confusion": [[9, 0, 0], [5, 1, 4], [2, 1, 17]], "recall": {"surprise": 0.4}}
    frames = {"accuracy": 0.517}
    report = {
        "classes": ["angry", "sad", "neutral"],
        "results": {"small, fused, flip TTA": {"lfw": press, "sfew": frames}},
    }
    told = cards.limits_of("small", report).removeprefix(cards.LIMITS)
    assert told == (
        " Averaged with the mirror image, as in mien predict, it calls 15% of the calm faces in press photos (LFW) sad "
        "or angry and misses 60% of the surprised ones; in dark video frames (SFEW), it recognizes 52% of the "
        "expressions."
    )
    assert cards.limits_of("tiny", report) == cards.LIMITS


@pytest.mark.parametrize("name", ["tiny", "small", "large"])
def test_limitations_of_the_bundled_cards_are_those_measured(script: Any, name: str) -> None:
    report = json.loads((FOLDER / "results" / "real_photos.json").read_text(encoding="utf-8"))
    card = Classifier(name).card
    assert card.limits == script("card_texts").limits_of(name, report)
