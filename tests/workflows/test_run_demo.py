"""The workflow of `mien demo`. Complete demos are in `tests/cli`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mien.data.synthetic import synthetic_dataset
from mien.errors import DataError, ModelError
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig
from mien.workflows import run_demo
from mien.workflows.reporter import SilentReporter
from mien.workflows.run_demo import DemoOptions


def test_drawn_faces_and_given_data_have_separate_run_folders() -> None:
    drawn, given = DemoOptions(out=Path("d")), DemoOptions("there/fer2013.csv", Path("d"))
    assert (drawn.path, drawn.run_folder) == (str(Path("d/drawn.csv")), Path("d/run"))
    assert (given.path, given.run_folder) == ("there/fer2013.csv", Path("d/run-fer2013"))


@pytest.mark.slow
def test_the_demo_passes_the_class_names_to_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.workflows.train_model import RunTrainer

    given: list[Any] = []
    monkeypatch.setattr(RunTrainer, "train", lambda *arguments, **_: given.extend(arguments[1:]))
    options = DemoOptions("faces", tmp_path, 1, "rafdb")
    run_demo._train(synthetic_dataset(70), options, SilentReporter())
    assert (given[1].path, given[1].class_names) == ("faces", "rafdb")


@pytest.mark.slow
def test_the_demo_keeps_files_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(
        ModelError, match=r"would overwrite photo\.jpg there\. Give another folder with `out`"
    ):
        run_demo.run_demo(DemoOptions(out=tmp_path), SilentReporter())
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    assert (tmp_path / "photo.jpg").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("listed", [True, False])
def test_an_earlier_demo_is_replaced_but_no_file_of_the_user_among_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    def train(_dataset: object, options: DemoOptions, _reporter: object) -> Any:
        config = RunConfig(get_recipe("classic"), options.path)
        options.run_folder.mkdir(exist_ok=True)
        document = {**config.recipe.to_dict(), "data": config.data()}
        (options.run_folder / "recipe.json").write_text(json.dumps(document))
        return SimpleNamespace(interrupted=False)

    monkeypatch.setattr(run_demo, "_FACES", 70)
    monkeypatch.setattr(run_demo, "_train", train)
    for name in ("_evaluate", "_compare_models"):
        monkeypatch.setattr(run_demo, name, lambda *_: None)
    options = DemoOptions(out=tmp_path)
    run_demo.run_demo(options, SilentReporter())
    if not listed:  # as an older version left it
        (tmp_path / ".mien-files.jsonl").unlink()
    monkeypatch.setattr(run_demo, "_train", lambda *_: SimpleNamespace(interrupted=True))
    run_demo.run_demo(options, SilentReporter())  # stopped by Ctrl-C
    run_demo.run_demo(options, SilentReporter())
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(ModelError, match=r"would overwrite photo\.jpg there"):
        run_demo.run_demo(options, SilentReporter())
    assert (tmp_path / "photo.jpg").read_text() == "mine"


def test_a_url_is_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.training.keras_start.prepare_keras", lambda: pytest.fail("Keras was loaded"))
    with pytest.raises(DataError, match="s3://faces/demo: expected a path on this machine"):
        run_demo.run_demo(DemoOptions(out=Path("s3://faces/demo")), SilentReporter())


def test_the_demo_needs_labeled_test_images() -> None:
    dataset = synthetic_dataset(70)
    run_demo._require_test(dataset)
    with pytest.raises(DataError, match="no labeled PrivateTest images"):
        run_demo._require_test(dataset.select(dataset.split != "PrivateTest"))
