"""The teachers of a recipe are trained first and once, and only if every existing folder matches."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, Dataset
from mien.data.inspection import without_copies
from mien.errors import ModelError
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import HISTORY_COLUMNS, TrainingState
from mien.training.resume import fingerprint
from mien.training.run_config import RunConfig, read_config
from mien.training.run_files import is_whole
from mien.workflows.reporter import SilentReporter
from mien.workflows.run_plan import TrainingInterrupted
from mien.workflows.teachers import train_teachers
from tests.builders.datasets import make_dataset

Begin = Callable[..., RunConfig]
DATASET = make_dataset(70, 28, 14)
TEACHERS = ("teacher-fer2013-seed0", "teacher-fine-fer2013-seed1", "teacher-deep-fer2013-seed2")


class Trainings:
    """A stand-in for training: writes the files that identify a run folder, and records the calls."""

    def __init__(self) -> None:
        self.made: list[tuple[str, RunConfig, bool]] = []
        self.interrupt: str | None = None

    def __call__(self, dataset: Dataset, config: RunConfig, folder: Path, resume: bool) -> Any:
        self.made.append((folder.name, config, resume))
        stopped = self.interrupt == config.recipe.name
        folder.mkdir(parents=True, exist_ok=True)
        epochs = 1 if stopped else config.recipe.epochs
        recipe = config.recipe.to_dict()
        used = without_copies(dataset) if config.recipe.drop_copies else dataset
        state = TrainingState(
            recipe,
            history=[dict.fromkeys(HISTORY_COLUMNS, float(i)) for i in range(epochs)],
            data=fingerprint(used.subset(TRAINING), used.subset(PUBLIC_TEST)),
        )
        with zipfile.ZipFile(folder / "last.keras", "w") as archive:
            archive.writestr("mien_state.json", json.dumps(vars(state)))
        with zipfile.ZipFile(folder / "best.keras", "w"):
            pass
        (folder / "recipe.json").write_text(json.dumps({**recipe, "data": config.data()}))
        (folder / "evaluation.json").write_text("{}")
        return SimpleNamespace(interrupted=stopped)

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.made]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    # There is no session to clear, and looking for one takes half a second.
    monkeypatch.setattr(keras.utils, "clear_session", lambda: None)
    return Trainings()


@pytest.fixture
def begin(trainings: Trainings) -> Begin:
    def call(
        folder: Path,
        given: dict[str, Any] | None = None,
        recipe: str = "small",
        train_one: Any = trainings,
        dataset: Dataset = DATASET,
        **options: Any,
    ) -> RunConfig:
        chosen = get_recipe(recipe).with_options(**(given or {}))
        asked = RunConfig(chosen, "fer2013.csv", "fer2013", **options)
        return train_teachers(dataset, asked, folder, given or {}, train_one, SilentReporter())

    return call


def test_teachers_are_trained_first_and_only_once(tmp_path: Path, trainings: Trainings, begin: Begin) -> None:
    given = {"epochs": 40, "precision": "bfloat16"}
    config = begin(tmp_path / "mine", given, votes="FERPlus")
    assert trainings.names == list(TEACHERS)
    assert config.teachers == tuple(str(tmp_path / name) for name in TEACHERS)
    for _, inner, resume in trainings.made:
        assert not resume
        assert inner.teachers == ()
        assert inner.recipe.epochs == 40
        assert inner.recipe.precision == "bfloat16"
        assert inner.votes == "FERPlus"
        assert inner.augmentation_cache == config.augmentation_cache == str(tmp_path / "views")
    assert all(is_whole(tmp_path / name) for name in TEACHERS)
    assert begin(tmp_path / "other", given, "large", votes="FERPlus").teachers == config.teachers
    assert len(trainings.made) == 3


def test_more_epochs_and_copies_apply_to_the_student_only(
    tmp_path: Path, trainings: Trainings, begin: Begin
) -> None:
    start = tmp_path / "mine.keras"
    start.write_bytes(b"")
    config = begin(
        tmp_path / "mine",
        {"epochs": 500, "augmented_copies": 90},
        start=str(start),
        augmentation_cache="there",
    )
    assert (config.recipe.epochs, config.recipe.augmented_copies) == (500, 90)
    assert config.start == str(start)
    for name, inner, _ in trainings.made:
        recipe = get_recipe(name.split("-fer2013")[0])
        assert inner.recipe.differences(recipe) == []
        assert inner.start is None
        assert inner.augmentation_cache == "there"


def test_interrupted_teachers_resume(tmp_path: Path, trainings: Trainings, begin: Begin) -> None:
    trainings.interrupt = "teacher-fine"
    with pytest.raises(TrainingInterrupted, match="Stopped in teacher-fine"):
        begin(tmp_path / "mine", {"precision": "bfloat16"})
    trainings.interrupt = None
    trainings.made.clear()
    begin(tmp_path / "mine")
    assert [(name, resume) for name, _, resume in trainings.made] == [
        (TEACHERS[1], True),
        (TEACHERS[2], False),
    ]
    assert trainings.made[0][1].recipe.precision == "bfloat16"  # a resumed training keeps its settings


def test_interruption_before_the_first_epoch_names_the_teacher(tmp_path: Path, begin: Begin) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted, match=r"Stopped in teacher\."):
        begin(tmp_path / "mine", train_one=stop)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda config: replace(config, recipe=replace(config.recipe, learning_rate=0.2)), "learning_rate"),
        (lambda config: replace(config, path="other.csv"), "data"),
        (lambda config: replace(config, votes="other"), "votes"),
        (lambda config: replace(config, teachers=("large",)), "teachers"),
        (lambda config: replace(config, start="small"), "start"),
    ],
)
def test_mismatched_teacher_folder_is_refused_before_training(
    tmp_path: Path, trainings: Trainings, begin: Begin, change: Any, told: str
) -> None:
    fitting = RunConfig(get_recipe("teacher-deep"), "fer2013.csv", "fer2013")
    trainings(DATASET, change(fitting), tmp_path / TEACHERS[2], resume=False)
    with pytest.raises(ModelError, match=f"{TEACHERS[2]}.*another {told}\\."):
        begin(tmp_path / "mine")
    assert trainings.names == [TEACHERS[2]]


def test_given_teachers_override_those_of_the_recipe(
    tmp_path: Path, trainings: Trainings, begin: Begin
) -> None:
    for config, named in (
        (begin(tmp_path / "a", teachers=("large",)), ("large",)),
        (begin(tmp_path / "a", {"distillation_weight": 0.0}), ()),
    ):
        assert config.teachers == named
        assert config.recipe.teachers == ()  # as recorded in the run folder
        assert config.recipe.cost == config.recipe.expected == ""
    assert begin(tmp_path / "a", recipe="classic").teachers == ()
    with pytest.raises(ModelError, match=r"mine\.keras: expected a model to start from"):
        begin(tmp_path / "a", start=str(tmp_path / "mine.keras"))
    assert not trainings.made


def test_occupied_run_folder_is_refused_before_training(
    tmp_path: Path, trainings: Trainings, begin: Begin
) -> None:
    trainings(
        DATASET, RunConfig(get_recipe("small"), "fer2013.csv", "fer2013"), tmp_path / "mine", resume=False
    )
    with pytest.raises(ModelError, match="resume=True"):
        begin(tmp_path / "mine")
    with pytest.raises(ModelError, match="a run folder of its own"):
        begin(tmp_path / TEACHERS[1])
    assert trainings.names == ["mine"]


def test_run_folder_of_an_older_version_is_read(tmp_path: Path) -> None:
    data = get_recipe("small").to_dict()
    del data["teachers"]
    config = {"path": "fer2013.csv", "labels": "fer2013", "votes": None}
    (tmp_path / "recipe.json").write_text(json.dumps({**data, "data": config}))
    begun = read_config(tmp_path)
    assert begun is not None
    assert begun.recipe.differences(get_recipe("small")) == []
    assert not is_whole(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("last.keras", b"cut off"),
        ("recipe.json", b"cut off"),
        ("recipe.json", b"null"),
        ("best.keras", b"cut off"),
    ],
)
def test_damaged_teacher_folder_is_reported_with_a_remedy(
    tmp_path: Path, trainings: Trainings, begin: Begin, name: str, content: bytes
) -> None:
    begin(tmp_path / "mine")
    damaged = f"{TEACHERS[1]}: .* cannot be read. Remove that folder"
    (tmp_path / TEACHERS[1] / name).write_bytes(content)
    with pytest.raises(ModelError, match=damaged):
        begin(tmp_path / "mine")
    (tmp_path / TEACHERS[1] / "recipe.json").unlink()
    with pytest.raises(ModelError, match=damaged):
        begin(tmp_path / "mine")
    assert len(trainings.made) == 3


def test_teachers_of_other_data_are_refused_because_they_may_know_the_test_images(
    begin: Begin, trainings: Trainings, tmp_path: Path
) -> None:
    begin(tmp_path / "first")
    made = list(trainings.names)
    moved = DATASET.split.copy()
    moved[DATASET.split == PRIVATE_TEST] = TRAINING  # as with another seed of the division
    moved[:14] = PRIVATE_TEST
    with pytest.raises(
        ModelError, match=r"found one on others .*which may contain images of the other splits"
    ):
        begin(tmp_path / "second", dataset=replace(DATASET, split=moved))
    assert trainings.names == made


def test_a_teacher_whose_checkpoint_was_removed_is_not_overwritten(
    begin: Begin, trainings: Trainings, tmp_path: Path
) -> None:
    begin(tmp_path / "first")
    made = list(trainings.names)
    (tmp_path / TEACHERS[1] / "last.keras").unlink()
    with pytest.raises(ModelError, match=r"holds a training without its checkpoint last\.keras"):
        begin(tmp_path / "second")
    assert trainings.names == made
