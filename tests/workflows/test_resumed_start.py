"""Resuming a training that started from another model: only the same model may be named, and it is not needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import pytest

import mien
from mien.errors import ModelError
from mien.training.keras_io import save_network
from mien.training.model_builder import build_model, card_of
from mien.training.network_specs import Compact
from mien.training.recipe import Recipe
from mien.training.run_config import RunConfig
from mien.workflows.options import TrainOptions
from mien.workflows.reporter import SilentReporter
from mien.workflows.run_plan import make_plan
from mien.workflows.train_model import RunTrainer
from tests.builders.datasets import make_dataset
from tests.builders.trainings import Killed, tiny_recipe
from tests.helpers.command import is_one_sentence
from tests.helpers.command import mien as command


def write_run(folder: Path, start: str | None) -> Path:
    config = RunConfig(tiny_recipe(), "synthetic:70", start=start)
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps({**config.recipe.to_dict(), "data": config.data()}))
    return folder


def test_resuming_with_another_start_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", "small")
    before = (folder / "recipe.json").read_bytes()
    for start, ok in (("small", True), (None, True), ("tiny", False)):
        options = TrainOptions.of(None, out=folder, resume=True, start=start)
        if ok:
            assert make_plan(None, options).config.start == "small"
            continue
        with pytest.raises(ModelError, match=r"run was started with another .* from \(small, not tiny\)\."):
            make_plan(None, options)
    told = command("train", "--resume", "--from", "tiny", "--out", folder, cwd=tmp_path)
    is_one_sentence(told, r"another model to start from \(small, not tiny\)\. Resume with the same settings")
    assert (folder / "recipe.json").read_bytes() == before


def test_resuming_a_training_from_random_weights_with_a_start_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", None)
    with pytest.raises(ModelError, match=r"to start from \(none, not small\)"):
        make_plan(None, TrainOptions.of(None, out=folder, resume=True, start="small"))


def test_a_custom_network_with_a_start_is_refused_before_the_data_are_read(tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten()])
    with pytest.raises(ModelError, match=r"starts from its own weights\. Leave `start` out\."):
        mien.train(tmp_path / "none", start="small", network=network, out=tmp_path / "run")


class StopAfterAnEpoch(SilentReporter):
    def epoch(self, state: object) -> None:  # noqa: ARG002
        raise Killed


@pytest.mark.slow
def test_the_start_of_a_resumed_training_may_be_gone_but_not_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.workflows.finalize.finish_run", lambda *_: None)  # writes models and figures
    data, start = make_dataset(), tmp_path / "start.keras"
    network = Compact(stem=4, widths=(4, 8), blocks=(1, 1), dropout=0.0)
    recipe = Recipe(name="own", network=network, epochs=2)
    save_network(build_model(recipe, data, epoch=0), start, card_of(recipe, data))
    begun = RunConfig(recipe, "memory", start=str(start))
    with pytest.raises(Killed):
        RunTrainer(StopAfterAnEpoch()).train(data, begun, tmp_path / "own")
    start.unlink()
    with pytest.raises(ModelError, match=r"start\.keras, not small\)\. Resume with the same settings"):
        RunTrainer(SilentReporter()).train(data, replace(begun, start="small"), tmp_path / "own", resume=True)
    run = RunTrainer(SilentReporter()).train(data, begun, tmp_path / "own", resume=True)
    assert len(run.history) == 2
