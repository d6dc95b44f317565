"""Python has what the commands have: parameters, functions, and messages with remedies for each."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

import mien
from mien.cli.option_names import with_options
from mien.cli.train import _how_to_continue
from mien.data.dataset import Dataset
from mien.errors import DataError, ModelError
from mien.labels import FER2013, FERPLUS
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import HISTORY_COLUMNS, TrainingState
from mien.workflows import find_learning_rate, model_hub
from mien.workflows.finalize import without_onnx
from mien.workflows.options import DataOptions, TrainOptions
from mien.workflows.reporter import SilentReporter
from mien.workflows.run_plan import TrainingInterrupted
from tests.builders.models import make_onnx
from tests.helpers.command import mien as command

RENAMED = {
    "labels": "label_set", "tta": "flip_tta", "format_": "format",
    "license_": "license", "out_folder": "out", "out_file": "out",
}  # fmt: skip
"""Parameters of the commands whose names in Python differ."""

ONLY_FOR_THE_COMMAND = {"json", "other"}


def parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("evaluate.evaluate", mien.evaluate), ("export.export", mien.export), ("push.push", mien.push),
        ("pull.pull", mien.pull),
    ],
)  # fmt: skip
def test_python_has_the_parameters_of_the_command(command: str, function: Callable[..., Any]) -> None:
    module, name = command.split(".")
    theirs = parameters(getattr(import_module(f"mien.cli.{module}"), name)) - ONLY_FOR_THE_COMMAND
    assert {RENAMED.get(one, one) for one in theirs} <= parameters(function)


def test_comparing_takes_the_parameters_of_evaluating() -> None:
    assert parameters(mien.evaluate) - {"model", "out", "force"} == parameters(mien.compare) - {
        "first",
        "second",
    }


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Folders of six images for each of three classes; the last is spelled in an unknown way."""
    rng = np.random.default_rng(0)
    for name in ("angry", "happy", "gleeful"):
        for person in ("a", "b"):
            (tmp_path / "faces" / name / person).mkdir(parents=True)
            for i in range(3):
                image = rng.integers(0, 255, (48, 48), dtype=np.uint8)
                cv2.imwrite(str(tmp_path / "faces" / name / person / f"{i}.png"), image)
    return tmp_path / "faces"


def test_classes_are_merged_and_groups_found_for_an_evaluation(faces: Path, tmp_path: Path) -> None:
    model = make_onnx(tmp_path / "model.onnx")
    plain = mien.evaluate(model, faces, reporter=SilentReporter())
    merged = mien.evaluate(model, faces, merge="happy=gleeful", group="folder", reporter=SilentReporter())
    assert (plain.n, merged.n) == (12, 18)
    assert merged.per_class["happy"]["support"] == 12
    done = mien.compare(model, "tiny", faces, merge={"happy": ["gleeful"]}, reporter=SilentReporter())
    assert done.comparison.n == 18
    with pytest.raises(DataError, match="unterminated subpattern"):
        mien.evaluate(model, faces, group="(", reporter=SilentReporter())


@pytest.mark.slow
def test_faces_are_detected_for_an_evaluation(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="face"):  # noise shows none
        mien.evaluate(make_onnx(tmp_path / "model.onnx"), faces, detect=True, reporter=SilentReporter())


def test_a_comparison_is_short_text_and_a_table(dataset: Dataset, tmp_path: Path) -> None:
    done = mien.compare(make_onnx(tmp_path / "mine.onnx"), "tiny", dataset, reporter=SilentReporter())
    text, html = repr(done), done._repr_html_()
    assert len(text) < 400
    assert text.startswith("<Comparison of ")
    assert f"and tiny on 14 images of memory, PrivateTest: accuracy {done.first.accuracy:.2%}" in text
    assert html.count("<tr>") == 3
    assert f"{done.comparison.accuracy_difference:+.2%}" in html


def test_a_softmax_is_added_to_a_file_with_logits(tmp_path: Path) -> None:
    model = onnx.load(make_onnx(tmp_path / "whole.onnx", None))
    del model.graph.node[-1]  # the softmax
    model.graph.output[0].name = "logits"
    onnx.save(model, tmp_path / "logits.onnx")
    given = {"model_class_names": FER2013.classes, "reporter": SilentReporter()}
    path = mien.export(tmp_path / "logits.onnx", out=tmp_path / "card.onnx", logits=True, **given)
    crops = mien.load("synthetic:21").images
    np.testing.assert_allclose(
        mien.Classifier(path).probabilities(crops),
        mien.Classifier(tmp_path / "whole.onnx", class_names=FER2013.classes).probabilities(crops),
        atol=1e-6,
    )
    with pytest.raises(ModelError, match="Expected the format onnx with `logits=True`, got int8"):
        mien.export(tmp_path / "logits.onnx", "int8", logits=True, **given)


def test_the_label_set_of_loaded_data_is_called_label_set() -> None:
    assert mien.load("synthetic:24", label_set="ferplus").label_set == FERPLUS
    assert mien.load("synthetic:24", "ferplus").label_set == FERPLUS
    assert mien.load("synthetic:24", labels="ferplus").label_set == FERPLUS  # type: ignore[call-arg]


def test_a_learning_rate_is_found_with_the_options_of_a_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: list[Any] = []
    monkeypatch.setattr(find_learning_rate, "run_learning_rate_search", lambda *given: found.append(given))
    mien.find_learning_rate(
        "x.csv", "compact", out=tmp_path, batch_size=16, merge="a=b", reporter=SilentReporter()
    )
    ((data, options, _),) = found
    assert data == "x.csv"
    assert options == TrainOptions("compact", {"batch_size": 16}, DataOptions(merge="a=b"), out=tmp_path)


def test_former_names_of_functions_are_aliases() -> None:
    assert (model_hub.push_model, model_hub.pull_model) == (mien.push, mien.pull)


def test_runs_are_listed_in_python(tmp_path: Path) -> None:
    assert mien.list_runs(tmp_path) == []
    with pytest.raises(DataError, match="none: expected a folder of runs, found none"):
        mien.list_runs(tmp_path / "none")


@pytest.mark.parametrize(("epochs", "finished"), [(3, False), (60, True)])
def test_a_run_that_ctrl_c_stopped_is_not_listed_as_finished(
    tmp_path: Path, epochs: int, finished: bool
) -> None:
    recipe = get_recipe("classic").to_dict()
    rows = [
        {**dict.fromkeys(HISTORY_COLUMNS, 0.5), "epoch": epoch, "val_loss": 1 / epoch}
        for epoch in range(1, epochs + 1)
    ]
    TrainingState(recipe, rows).write_text_files(tmp_path)
    (tmp_path / "recipe.json").write_text(json.dumps({**recipe, "data": {"path": "faces"}}))
    (tmp_path / "evaluation.json").write_text(json.dumps({"macro_f1": 0.25}))
    (row,) = mien.list_runs(tmp_path)
    assert (row["epochs"], row["of"], row["best_epoch"], row["finished"]) == (epochs, 60, epochs, finished)
    state = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**state, "history": [{}, 3, *rows]}))
    assert mien.list_runs(tmp_path)[0]["best_epoch"] == epochs  # without damaged rows
    for of in (3, 90):  # resumed with another number of epochs; the state was not written again
        (tmp_path / "recipe.json").write_text(json.dumps({**recipe, "epochs": of, "data": {"path": "faces"}}))
        assert mien.list_runs(tmp_path)[0]["finished"] is (epochs >= of)


@pytest.mark.parametrize("resumable", [True, False])
def test_ctrl_c_names_the_call_in_python_and_the_command_on_the_command_line(
    resumable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mien.cli import run
    from mien.workflows import train_model

    if resumable:
        (tmp_path / "last.keras").touch()
    stop = TrainingInterrupted.before_an_epoch(tmp_path)
    call = f"Resume it with mien.train(..., out={str(tmp_path)!r}, resume=True)."
    assert str(stop).endswith(call if resumable else "The same call starts again.")
    assert "mien train" not in str(stop)

    def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr(train_model, "run_training", stopped)
    assert run(["train", "--data", "synthetic:70"]) == 130
    told = capsys.readouterr().err
    command = f"Resume with: mien train --resume --out {tmp_path}"
    assert told.endswith(f"{command if resumable else 'The same command starts again.'}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="its shells quote in another way")
def test_suggested_commands_quote_paths_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    folder.mkdir()
    (folder / "last.keras").touch()
    told = _how_to_continue(TrainingInterrupted.before_an_epoch(folder))
    assert shlex.split(told)[-1] == str(folder)
    told = command("data", "draw", folder / "drawn.csv", "--n", "21").stdout
    assert shlex.split(told)[-1] == str(folder / "drawn.csv")


def test_ctrl_c_in_a_teacher_or_fold_continues_with_the_same_call() -> None:
    assert str(TrainingInterrupted.in_part("teacher")) == "Stopped in teacher. The same call continues."


@pytest.mark.parametrize("release", [True, False])
def test_a_missing_onnx_file_has_a_remedy_for_python_and_one_for_the_command(release: bool) -> None:
    told = without_onnx(Path("runs/mine"), release=release)
    assert "--" not in told
    if release:
        assert told.endswith("with `resume=True` `out=runs/mine`, which writes it and release.onnx.")
        assert "with --resume --out runs/mine, which" in with_options(told)
    else:
        assert told.endswith("Then export runs/mine with `format=onnx`.")
        assert with_options(told).endswith("Then export runs/mine with --format onnx.")
