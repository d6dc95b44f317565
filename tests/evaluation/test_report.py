"""The model card in the evaluation report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.card import ModelCard
from mien.data.dataset import Dataset
from mien.evaluation.report import write_report
from mien.evaluation.scoring import evaluate
from mien.labels import FER2013
from tests.builders.datasets import make_dataset


def write_page(folder: Path, card: dict[str, object], dataset: Dataset | None = None) -> str:
    uniform = np.full((1, 7), 1 / 7, np.float32)
    evaluation = evaluate(
        lambda crops: uniform.repeat(len(crops), 0), dataset or make_dataset(), class_names=FER2013.classes
    )
    return write_report(evaluation, folder, card=card, samples=0).read_text("utf-8")


@pytest.mark.slow
def test_model_card_is_a_table_with_a_collapsed_recipe(tmp_path: Path) -> None:
    card = ModelCard(
        name="small",
        labels=FER2013.classes,
        label_set="fer2013",
        temperature=1.23456789,
        recipe={"name": "quick", "sides": [[24, 10], [36, 10]], "network": {"widths": [8, 16], "norm": True}},
        scores={"PublicTest": {"n": 3589, "accuracy": 0.6135413764}, "notes": "a < b"},
        made_with="",
    )
    page = write_page(tmp_path, card.to_dict())
    shown = page[page.index("Model card") : page.index("How to read")]
    for row in (
        "<td>labels</td><td>angry, disgust, fear, happy, sad, surprise, neutral</td>",
        "<td>input</td><td>height 48 · width 48 · colour gray · low 0 · high 255</td>",
        "<td>temperature</td><td>1.235</td>",
        "<td>recipe</td><td><details><summary>quick</summary>",
        "<td>sides</td><td>24, 10; 36, 10</td>",
        "<td>network</td><td>widths 8, 16 · norm yes</td>",
        "<td>PublicTest</td><td>n 3,589 · accuracy 0.6135</td>",
        "<td>notes</td><td>a &lt; b</td>",
    ):
        assert row in shown, row
    assert not re.search(r"[{}\[\]]|&quot;|made with", shown)


@pytest.mark.slow
def test_intervals_of_a_single_group_have_a_note(tmp_path: Path) -> None:
    dataset = make_dataset()
    one = replace(dataset, groups=np.full(len(dataset), "<p1>"))
    note = '<p class="muted">All images are of one group (&lt;p1&gt;), and whole groups are resampled'
    assert note in write_page(tmp_path / "one", {}, one)
    assert "All images are of one group" not in write_page(tmp_path / "none", {})
