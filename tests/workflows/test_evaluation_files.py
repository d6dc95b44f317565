"""The folder of an evaluation and its files."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.cli.console import print_evaluation
from mien.data.dataset import PRIVATE_TEST, TRAINING, Dataset
from mien.errors import DataError
from mien.evaluation import figures
from mien.evaluation.evaluation import Evaluation
from mien.evaluation.scoring import evaluate
from mien.labels import FER2013
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import HISTORY_COLUMNS, TrainingState
from mien.training.run_config import RunConfig
from mien.workflows.evaluation_files import folder_for, require_replaceable, write_evaluation
from mien.workflows.loaded_model import LoadedModel
from tests.builders.datasets import make_dataset


def _evaluation(dataset: Dataset | None = None) -> Evaluation:
    uniform = np.full((1, 7), 1 / 7)
    return evaluate(
        lambda crops: uniform.repeat(len(crops), 0), dataset or make_dataset(), class_names=FER2013.classes
    )


def test_other_data_with_the_same_name_get_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = tmp_path / "run" / "test-PrivateTest"
    for source, expected in (
        ("a/test", "test-PrivateTest"),
        ("b/test", "test-PrivateTest-2"),
        ("c/test", "test-PrivateTest-3"),
        (str(tmp_path / "b" / "test"), "test-PrivateTest-2"),
        ("a/../a/test", "test-PrivateTest-4"),
    ):
        folder = folder_for(wanted, source)
        assert folder == wanted.with_name(expected)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(json.dumps({"data": source}))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"data": null}', "[" * 100_000])
def test_folder_with_an_evaluation_of_unknown_data_is_reused(tmp_path: Path, content: str) -> None:
    (tmp_path / "evaluation.json").write_text(content)
    assert folder_for(tmp_path, "faces") == tmp_path


@pytest.mark.slow
def test_names_that_are_not_utf_8_are_escaped_in_the_files(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    evaluation = replace(_evaluation(), model=name, data=name)
    model = LoadedModel(name, Path(name), FER2013.classes, len)
    write_evaluation(evaluation, model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"report.html", "confusion.png", "samples.png"}
    assert "caf\\udce9" in (tmp_path / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "evaluation.json").read_text("utf-8"))["data"] == name


@pytest.mark.slow
def test_report_of_a_run_marks_the_epoch_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {**dict.fromkeys(HISTORY_COLUMNS, 0.5), "epoch": epoch, "val_loss": loss, "val_macro_f1": f1}
        for epoch, loss, f1 in ((1, 1.0, 0.2), (2, 2.0, 0.6))
    ]
    state = TrainingState(get_recipe("classic").with_options(select="macro_f1").to_dict(), rows)
    with zipfile.ZipFile(tmp_path / "last.keras", "w") as archive:
        archive.writestr("mien_state.json", json.dumps(state.to_dict()))
    selected: list[str] = []
    draw = figures.curves_figure
    monkeypatch.setattr(
        figures, "curves_figure", lambda history, *, select: (selected.append(select), draw(history))[1]
    )
    model = LoadedModel("run", tmp_path / "best.keras", FER2013.classes, len, folder=tmp_path)
    write_evaluation(_evaluation(), model, tmp_path / "PrivateTest")
    assert selected == ["macro_f1"]


def test_images_that_all_have_a_copy_in_another_split_are_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = make_dataset()
    tested = dataset.select(dataset.split == PRIVATE_TEST)
    copies = replace(
        dataset,
        images=np.concatenate([tested.images] * 2),
        targets=np.concatenate([tested.targets] * 2),
        split=np.repeat([TRAINING, PRIVATE_TEST], len(tested)),
        rows=np.arange(2 * len(tested)),
    )
    model = LoadedModel("m", Path("m.onnx"), FER2013.classes, len)
    print_evaluation(_evaluation(copies), model)
    assert "duplicate-free     none   (every image has a copy in another split)" in capsys.readouterr().out
    print_evaluation(_evaluation(), model)
    assert "none" not in capsys.readouterr().out


def test_scores_of_a_training_in_its_run_folder_are_not_replaced(tmp_path: Path) -> None:
    config = RunConfig(get_recipe("classic"), "synthetic:21")
    (tmp_path / "recipe.json").write_text(json.dumps({**config.recipe.to_dict(), "data": config.data()}))
    own = {"model": "run", "split": "PublicTest", "accuracy": 1.0, "confusion": []}
    (tmp_path / "evaluation.json").write_text(json.dumps(own))
    with pytest.raises(DataError, match="got a run folder, whose own scores and figures would be replaced"):
        mien.evaluate("small", make_dataset(), out=tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == own
    require_replaceable(tmp_path / "PrivateTest", force=False)
    with pytest.raises(DataError, match=r"evaluation\.json: expected a folder, found a file"):
        mien.evaluate("small", make_dataset(), out=tmp_path / "evaluation.json", force=True)
    require_replaceable(tmp_path, force=True)
