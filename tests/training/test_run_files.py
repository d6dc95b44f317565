"""A training writes and removes only its own files, whatever else is in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.data.dataset import Dataset
from mien.errors import ModelError
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import HISTORY_COLUMNS, TrainingState
from mien.training.run_config import RunConfig
from mien.training.run_files import (
    LOCK,
    OWN_FILES,
    foreign_files,
    has_state,
    read_history,
    read_run_state,
    remove_run,
    require_free,
)
from mien.training.trainer import train
from tests.builders.trainings import tiny_recipe


def write_recipe(folder: Path) -> None:
    """Write the recipe as `train` does before the first epoch is saved."""
    origin = RunConfig(get_recipe("classic"), "fer2013.csv", "fer2013")
    (folder / "recipe.json").write_text(json.dumps({**origin.recipe.to_dict(), "data": origin.data()}))


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["evaluation.json", "recipe.json", "samples.png", "model.onnx"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_a_file_that_would_be_overwritten_is_refused(
    dataset: Dataset, tmp_path: Path, name: str, resume: bool
) -> None:
    (tmp_path / name).write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    before = contents(tmp_path)
    with pytest.raises(ModelError, match=rf"would overwrite {name} there.*`out`"):
        train(dataset, tiny_recipe(epochs=1), tmp_path, resume=resume)
    assert contents(tmp_path) == before


def test_symlink_that_would_be_overwritten_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "best.keras").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"would overwrite best\.keras there"):
        train(dataset, tiny_recipe(epochs=1), tmp_path)
    assert (tmp_path / "best.keras").is_symlink()


@pytest.mark.slow
def test_foreign_files_survive_a_training_in_the_same_folder(dataset: Dataset, tmp_path: Path) -> None:
    planted = (".vault-password", ".best-a1b2c3d4.keras", ".lock", "notes.txt", "views")
    for name in planted:
        (tmp_path / name).write_text("mine")
    train(dataset, tiny_recipe(epochs=1), tmp_path)
    assert (tmp_path / "best.keras").is_file()
    assert all((tmp_path / name).read_text() == "mine" for name in planted)
    assert not (tmp_path / LOCK).exists()


def test_symlinked_lock_is_refused_and_its_target_kept(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "letter.txt")
    with pytest.raises(ModelError, match="is a link"):
        train(dataset, tiny_recipe(epochs=1), tmp_path)
    assert contents(tmp_path)["letter.txt"] == "mine"


def test_training_killed_in_its_first_epoch_can_be_started_again(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    (tmp_path / "curves.png").write_text("half a curve")
    assert foreign_files(tmp_path) == []


def test_removing_a_run_keeps_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected the run folder of a training"):
        remove_run(tmp_path)
    write_recipe(tmp_path)
    for name in (*OWN_FILES[1:], "notes.txt", ".vault-password"):
        (tmp_path / name).write_text("x")
    remove_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", ".vault-password"}


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_whose_checkpoint_was_removed_is_not_overwritten(
    dataset: Dataset, tmp_path: Path, resume: bool
) -> None:
    write_recipe(tmp_path)
    for name in ("best.keras", "model.onnx", "evaluation.json", "state.json"):
        (tmp_path / name).write_text("of the training")
    before = contents(tmp_path)
    with pytest.raises(
        ModelError, match=r"without its checkpoint last\.keras, so it cannot be resumed.*`out`"
    ):
        train(dataset, tiny_recipe(epochs=1), tmp_path, resume=resume)
    assert contents(tmp_path) == before


def test_a_training_that_was_killed_in_its_first_epoch_can_begin_again(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    require_free(tmp_path)
    (tmp_path / "best.keras").write_text("written before last.keras")
    require_free(tmp_path)


def test_the_state_of_a_run_without_its_checkpoint_is_read_from_its_copy(tmp_path: Path) -> None:
    recipe = {"epochs": 3, "stopping_patience": 2, "select": "loss"}
    row = dict.fromkeys(HISTORY_COLUMNS, 1.0)
    state = TrainingState(recipe, history=[row], data={"training": 7})
    assert not has_state(tmp_path)
    state.write_text_files(tmp_path)
    assert has_state(tmp_path)
    assert read_run_state(tmp_path).data == {"training": 7}
    assert read_history(tmp_path) == [row]
    (tmp_path / "state.json").write_text("[1]")
    with pytest.raises(ModelError, match=r"state\.json: expected the checkpoint of a training"):
        read_run_state(tmp_path)
