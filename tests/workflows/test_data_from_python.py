"""Trainings on data sets and arrays that were passed in Python: what applies to them, and how they are found again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, Dataset
from mien.data.ferplus import VOTE_COLUMNS
from mien.data.synthetic.drawn_faces import path_of_source, synthetic_dataset
from mien.errors import DataError, MienError, ModelError
from mien.labels import FER2013, FERPLUS, LabelSet
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig, read_config
from mien.workflows.compare import compare
from mien.workflows.load_data import load_data, with_votes
from mien.workflows.options import DataOptions, TrainOptions
from mien.workflows.reporter import Reporter, SilentReporter
from mien.workflows.run_data import find_training_data
from mien.workflows.run_plan import Plan, make_plan
from tests.builders.datasets import make_dataset
from tests.builders.models import CARD, make_onnx


def undivided(*, copies: int = 20) -> Dataset:
    """A data set without splits."""
    dataset = make_dataset(7 * copies, 0, 0)
    return replace(dataset, divided=False)


def planned(data: Any, out: Path, **options: Any) -> Plan:
    return make_plan(data, TrainOptions.of(None, out=out, **options))


def test_a_url_as_a_folder_to_write_is_refused_before_data_are_read(tmp_path: Path) -> None:
    for options in ({"out": "s3://runs/mine"}, {"out": tmp_path, "augmentation_cache": "s3://runs/mine"}):
        with pytest.raises(
            DataError, match=r"^s3://runs/mine: expected a path on this machine to write to, got a URL"
        ):
            planned(tmp_path / "nothing-there.csv", **options)


def read(plan: Plan) -> Dataset:
    return load_data(plan.data, plan.reading, SilentReporter())


def counts(dataset: Dataset) -> dict[str, int]:
    return {split: int((dataset.split == split).sum()) for split in (TRAINING, PUBLIC_TEST, PRIVATE_TEST)}


def begin(folder: Path, plan: Plan) -> None:
    """Write what a run folder has when its training begins, and a model."""
    folder.mkdir(exist_ok=True)
    (folder / "recipe.json").write_text(
        json.dumps({**plan.config.recipe.to_dict(), "data": plan.config.data()})
    )
    make_onnx(folder / "model.onnx", replace(CARD, label_set="fer2013"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("class_names", "rafdb"), ("merge", "happy=surprise"), ("group", "folder"), ("votes", "votes.csv"),
        ("detect", True), ("keep_crops", "crops"),
    ],
)  # fmt: skip
def test_options_for_reading_data_are_refused_for_a_dataset(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(
        DataError, match=rf"`{option}`, got a mien\.Dataset, which is read already\. Pass the path"
    ):
        mien.train(make_dataset(), out=tmp_path / "run", reporter=SilentReporter(), **{option: value})
    assert not (tmp_path / "run").exists()


def test_a_cross_validation_and_a_learning_rate_search_refuse_them_too(tmp_path: Path) -> None:
    for function in (mien.cross_validate, mien.find_learning_rate):
        with pytest.raises(DataError, match=r"`merge`, got a mien\.Dataset, which is read already"):
            function(make_dataset(), merge="happy=surprise", out=tmp_path / "run", reporter=SilentReporter())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [{"shares": "50,25,25"}, {"split_seed": 3}])
def test_a_dataset_with_splits_is_not_divided_again(tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"mien\.Dataset that has splits\. Leave it out"):
        mien.train(make_dataset(), out=tmp_path / "run", reporter=SilentReporter(), **option)
    assert not (tmp_path / "run").exists()


def test_the_label_set_of_a_dataset_is_checked(tmp_path: Path) -> None:
    dataset = make_dataset()
    assert read(planned(dataset, tmp_path, label_set="fer2013")) is dataset
    with pytest.raises(DataError, match=r"label set ferplus, got a mien\.Dataset with fer2013"):
        read(planned(dataset, tmp_path, label_set="ferplus"))
    with pytest.raises(DataError, match="Expected the label set to be one of"):
        planned(dataset, tmp_path, label_set="ferplu")


def test_a_dataset_with_votes_is_trained_on_the_labels_of_ferplus(tmp_path: Path) -> None:
    votes = np.zeros((70, len(VOTE_COLUMNS)), np.int64)
    votes[np.arange(70), np.arange(70) % len(FERPLUS)] = 10
    plan = planned(replace(make_dataset(42, 14, 14), votes=votes), tmp_path, label_set="ferplus")
    dataset = read(plan)
    assert dataset.label_set == FERPLUS
    assert dataset.labels.tolist() == (np.arange(70) % len(FERPLUS)).tolist()
    assert (plan.config.label_set, plan.config.reading["label_set"]) == ("ferplus", "ferplus")


def test_a_dataset_without_splits_is_divided_like_a_path(tmp_path: Path) -> None:
    data = undivided()
    plan = planned(data, tmp_path)
    assert counts(read(plan)) == {TRAINING: 98, PUBLIC_TEST: 21, PRIVATE_TEST: 21}
    assert tuple(plan.config.reading["shares"]) == (0.7, 0.15, 0.15)
    chosen = planned(data, tmp_path, shares="60,20,20", split_seed=4)
    assert counts(read(chosen)) == {TRAINING: 84, PUBLIC_TEST: 28, PRIVATE_TEST: 28}
    assert chosen.config.reading["split_seed"] == 4
    arrays = planned((data.images, data.labels), tmp_path)
    assert (read(arrays).split == read(plan).split).all()


def test_resuming_divides_a_dataset_as_at_the_start_of_the_run(tmp_path: Path) -> None:
    data, run = undivided(), tmp_path / "run"
    plan = planned(data, run, shares="60,20,20", split_seed=4)
    begin(run, plan)
    again = make_plan(data, TrainOptions(out=run, resume=True))
    assert (read(again).split == read(plan).split).all()
    assert make_plan(read(plan), TrainOptions(out=run, resume=True)).reading == DataOptions()


def test_nothing_that_was_not_used_is_stored(tmp_path: Path) -> None:
    config = planned(make_dataset(), tmp_path).config
    assert (config.path, config.in_memory, config.reading) == ("memory", True, {"label_set": "fer2013"})
    own = replace(make_dataset(), label_set=LabelSet("custom", tuple("abcdefg")))
    assert planned(own, tmp_path).config.reading == {}
    assert "in_memory" not in planned("synthetic:70", tmp_path).config.data()


def test_drawn_faces_passed_as_a_dataset_are_found_by_their_path(tmp_path: Path) -> None:
    drawn, run = mien.load("synthetic:70:3"), tmp_path / "run"
    plan = planned(drawn, run)
    assert plan.config.path == "synthetic:70:3"
    begin(run, plan)
    again = make_plan(None, TrainOptions(out=run, resume=True))
    assert again.data == "synthetic:70:3"
    assert (read(again).images == drawn.images).all()
    found = mien.evaluate(run, split="validation", reporter=SilentReporter())
    assert (found.images == drawn.subset(PUBLIC_TEST).images).all()
    assert path_of_source(synthetic_dataset(21, 5, FER2013).source) == "synthetic:21:5"
    assert path_of_source("fer2013.csv") is None


def test_data_from_python_must_be_passed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory").mkdir()  # not the data, though it has their name
    dataset, run = make_dataset(), tmp_path / "run"
    begin(run, planned(dataset, run))
    message = r"trained on data from Python\. Pass them again with `data`: in Python, or as a file"
    with pytest.raises(ModelError, match=message):
        mien.train(out=run, resume=True, reporter=SilentReporter())
    with pytest.raises(ModelError, match=message):
        mien.evaluate(run, reporter=SilentReporter())
    with pytest.raises(ModelError, match=message):
        compare(run, "small", reporter=SilentReporter())
    assert make_plan(dataset, TrainOptions(out=run, resume=True)).data is dataset
    assert mien.evaluate(run, dataset, reporter=SilentReporter()).n == 14
    assert find_training_data(run, dataset, SilentReporter()) is dataset
    other = replace(dataset, label_set=LabelSet("rafdb", tuple("abcdefg")))
    with pytest.raises(ModelError, match=r"got others from memory \(the label set fer2013 then, rafdb now"):
        find_training_data(run, other, SilentReporter())


def test_a_source_that_no_longer_gives_the_data_is_reported(tmp_path: Path) -> None:
    own, run = replace(make_dataset(), source="synthetic:70"), tmp_path / "run"
    own = replace(own, label_set=LabelSet("custom", tuple("abcdefg")))
    begin(run, planned(own, run))
    make_onnx(run / "model.onnx", replace(CARD, labels=own.label_set.classes, label_set="custom"))
    with pytest.raises(
        ModelError, match=r"their source gives others \(the label set custom then, fer2013 now"
    ):
        mien.evaluate(run, reporter=SilentReporter())


@pytest.mark.parametrize(
    ("stored", "path"),
    [
        ("memory", "memory"),
        ("a data frame", "a data frame"),
        ("drawn faces, n=140, seed=2", "synthetic:140:2"),
    ],
)
def test_data_from_python_are_recognized_in_runs_of_older_versions(
    tmp_path: Path, stored: str, path: str
) -> None:
    data = {**RunConfig(get_recipe("classic"), "x").data(), "path": stored}
    (tmp_path / "recipe.json").write_text(json.dumps({**get_recipe("classic").to_dict(), "data": data}))
    config = read_config(tmp_path)
    assert config
    assert (config.path, config.in_memory) == (path, True)


def test_reading_options_that_differ_from_the_run_are_not_ignored_when_it_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(run, planned("faces.csv", run, merge="happy=surprise", split_seed=2))
    plan = make_plan(None, TrainOptions.of(out=run, resume=True, merge="sad=fear", shares="80,10,10"))
    assert (plan.reading.merge, plan.reading.shares, plan.reading.split_seed) == ("sad=fear", "80,10,10", 2)
    assert plan.config.reading["merge"] == {"happy": ["surprise"]}


def test_shares_that_do_not_apply_to_data_on_a_path_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.workflows import train_model

    told: list[str] = []

    class Told(Reporter):
        def warning(self, text: str) -> None:
            told.append(text)

    class End(Exception):
        pass

    def end(*_: object) -> None:
        raise End

    monkeypatch.setattr(train_model, "prepare_keras", end)
    with pytest.raises(End):
        mien.train("synthetic:70", shares="50,25,25", out=tmp_path / "run", reporter=Told())
    assert told == ["Note: drawn faces, n=70, seed=0 has splits of its own, so `shares` is not used."]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, r"holds a training already\. Resume it with `resume=True`"),
        ({"out": "files"}, r"would overwrite samples\.png there"),
        ({"out": "new", "start": "absent.onnx"}, "expected a model to start from"),
        ({"out": "new", "teachers": ["absent.onnx"], "distillation_weight": 0.5}, "expected a teacher"),
        ({"out": "new", "recipe": "small"}, "drawn faces do not have"),
    ],
    ids=["run folder", "other files", "start", "teacher", "votes"],
)
def test_a_training_that_cannot_begin_is_refused_before_keras_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = "mien.workflows.train_model.prepare_keras"
    monkeypatch.setattr(loaded, lambda *_: pytest.fail("Keras was loaded"))
    config = RunConfig(get_recipe("classic"), "synthetic:70")
    for name, file in (("run", "last.keras"), ("files", "samples.png")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("kept")
    recipe = {**config.recipe.to_dict(), "data": config.data()}
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(MienError, match=told):
        mien.train("synthetic:70", **{"out": "run", **options})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "files/samples.png", "run/last.keras", "run/recipe.json",
    ]  # fmt: skip


def test_votes_of_data_without_a_path_are_not_searched_in_the_current_folder() -> None:
    with pytest.raises(DataError, match=r"these data do not have\. Pass a data set from mien\.load"):
        with_votes(make_dataset(), RunConfig(get_recipe("small"), "memory"))


@pytest.mark.slow
def test_a_run_on_a_dataset_without_a_path_is_opened_evaluated_and_resumed(tmp_path: Path) -> None:
    import keras

    def network() -> Any:
        keras.utils.set_random_seed(3)
        return keras.Sequential(
            [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
        )

    def train(data: Any, **options: Any) -> mien.Run:
        return mien.train(
            data, network=network(), epochs=1, out=tmp_path / "run", reporter=SilentReporter(), **options
        )

    data = undivided()
    run = train(data)
    assert counts(run.dataset) == {TRAINING: 98, PUBLIC_TEST: 21, PRIVATE_TEST: 21}
    own = run.evaluate()
    opened = mien.Run.open(tmp_path / "run", data)
    assert opened.evaluate().accuracy == own.accuracy
    assert (opened.dataset.split == run.dataset.split).all()
    again = mien.Run.open(tmp_path / "run")
    for read_again in (again.evaluate, lambda: again.dataset):
        with pytest.raises(ModelError, match="Pass them again with `data`"):
            read_again()
    assert again.evaluate("PrivateTest", data=data).n == 21
    with pytest.raises(ModelError, match=r"got others from memory \(98 training images then, 97 now\)"):
        mien.Run.open(tmp_path / "run", data.select(np.arange(len(data)) > 0)).evaluate()
    assert len(train(data, resume=True).history) == 1
    with pytest.raises(ModelError, match="other data"):
        train(data, resume=True, shares="50,25,25")
