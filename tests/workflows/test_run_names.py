"""The default name of a run folder: the label set of the data, else the name of their file or folder."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.labels import FER2013, FERPLUS
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig
from mien.workflows.options import DataOptions, TrainOptions
from mien.workflows.run_plan import _default_folder, make_plan, name_of_classes

OWN = ("bored", "idle", "tense")


def table(path: Path, labels: list[Any], column: str = "label") -> Path:
    """Write a table with an image for each label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{label},{' '.join([str(i % 250)] * 2304)}" for i, label in enumerate(labels)]
    path.write_text("\n".join([f"{column},pixels", *rows]) + "\n")
    return path


def archive(path: Path, classes: tuple[str, ...]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in classes:
            file.writestr(f"data/train/{name}/a.png", b"image")
    return path


def name(data: Any, **options: Any) -> str:
    return name_of_classes(data, DataOptions(**options))


def test_tables_of_own_classes_give_the_name_of_their_file(tmp_path: Path) -> None:
    assert name(table(tmp_path / "words2.csv", list(OWN))) == "words2"
    assert name(table(tmp_path / "other words.csv", ["a", "b"])) == "other-words"
    assert name(table(tmp_path / "few.csv", ["happy", "sad"], "emotion")) == "few"
    assert name(table(tmp_path / "some.csv", [3, 4], "emotion")) == "some"
    assert name(table(tmp_path / "set" / "train.csv", list(OWN))) == "train"
    assert name(tmp_path / "set") == "set"


@pytest.mark.parametrize(
    ("labels", "column", "expected"),
    [
        (list(range(7)), "emotion", "fer2013"),
        (list(FER2013.classes), "label", "fer2013"),
        (list(range(8)), "emotion", "ferplus"),
        (list(FERPLUS.classes), "emotion", "ferplus"),
    ],
)
def test_tables_of_a_known_label_set_give_its_name(
    tmp_path: Path, labels: list[Any], column: str, expected: str
) -> None:
    path = table(tmp_path / "my.csv", labels * 2, column)
    assert name(path) == expected == mien.load(path).label_set.name
    assert name(tmp_path) == expected


def test_class_names_and_merged_classes_are_considered(tmp_path: Path) -> None:
    path = table(tmp_path / "my.csv", list(range(7)), "emotion")
    assert name(path, class_names="happy,sad") == "my"
    assert name(path, merge="bad=angry,sad") == "my"
    numbers = table(tmp_path / "numbers.csv", list(range(1, 8)))
    assert (
        name(numbers, class_names="rafdb")
        == mien.load(numbers, class_names="rafdb").label_set.name
        == "fer2013"
    )
    assert name(numbers, class_names="a,b,c,d,e,f,g") == "numbers"
    words = table(tmp_path / "words.csv", ["happy", "sad", "angry"])
    assert name(words, class_names="sad,happy") == "words"


def test_archives_and_arrays_give_the_name_of_their_classes_or_file(tmp_path: Path) -> None:
    assert name(archive(tmp_path / "archive.zip", FER2013.classes)) == "fer2013"
    assert name(archive(tmp_path / "five.zip", OWN)) == "five"
    np.savez(tmp_path / "faces.npz", images=np.zeros((2, 48, 48), np.uint8), labels=np.array(["a", "b"]))
    assert name(tmp_path / "faces.npz") == "faces"
    (tmp_path / "list.txt").write_text("a.png on\nb.png off\n")
    assert name(tmp_path / "list.txt") == "list"
    (tmp_path / "faces.tar.gz").write_bytes(b"junk")
    assert name(tmp_path / "faces.tar.gz") == "faces"


def test_data_sets_give_the_name_of_their_source(tmp_path: Path) -> None:
    path = table(tmp_path / "words2.csv", list(OWN))
    assert name(mien.load(path)) == "words2"
    assert name(mien.load((np.zeros((2, 48, 48), np.uint8), ["a", "b"]))) == "custom"
    assert name("synthetic:70") == name("gone.csv") == name(None) == "fer2013"


def test_runs_of_older_versions_are_found_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path / "words2.csv", list(OWN))
    former, current = Path("runs/classic-fer2013-seed0"), Path("runs/classic-words2-seed0")
    fresh, resumed = TrainOptions.of("classic"), TrainOptions.of("classic", resume=True)
    assert _default_folder(path, fresh) == _default_folder(path, resumed) == current
    former.mkdir(parents=True)
    assert _default_folder(path, fresh) == current
    assert _default_folder(path, resumed) == former
    current.mkdir()
    assert _default_folder(path, resumed) == current


@pytest.mark.parametrize("seed", [0, 1])
def test_the_run_of_a_given_seed_is_resumed_also_if_another_one_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    for time, other in enumerate((seed, 1 - seed)):
        config = RunConfig(get_recipe("classic").with_options(seed=other), "synthetic:21")
        recipe = Path(f"runs/classic-synthetic-seed{other}/recipe.json")
        recipe.parent.mkdir(parents=True)
        recipe.write_text(json.dumps({**config.recipe.to_dict(), "data": config.data()}))
        os.utime(recipe, (time, time))
    plan = make_plan(None, TrainOptions.of(seed=seed, resume=True))
    assert plan.folder == Path(f"runs/classic-synthetic-seed{seed}")
    assert make_plan(None, TrainOptions.of(resume=True)).folder != plan.folder
