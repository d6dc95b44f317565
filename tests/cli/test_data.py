"""`mien data check`, `train` and `evaluate` on unreadable, numbered or otherwise unusual data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

from mien.cli import run
from mien.images import write_image
from mien.labels import FER2013, FERPLUS
from mien.workflows.run_plan import with_name
from tests.helpers.command import is_one_sentence, mien

if TYPE_CHECKING:
    from collections.abc import Callable

AFFECTNET7 = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in this process, which saves the time of its start."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        code = run(words)
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return call


Command: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"


def fill(folder: Path, names: tuple[str, ...] = FER2013.classes, *, n: int = 1) -> None:
    """Write `n` images into a folder for each name."""
    for place, name in enumerate(names):
        for i in range(n):
            pixels = np.random.default_rng([place, i]).integers(0, 256, (48, 48), np.uint8)
            write_image(folder / name / f"{name}{i}.png", pixels)


def test_unreadable_images_are_listed_and_counted(tmp_path: Path) -> None:
    fill(tmp_path / "faces" / "train", n=2)
    broken = [tmp_path / "faces" / "train" / name / f"{name}1.png" for name in ("angry", "sad")]
    for path in broken:
        path.write_bytes(path.read_bytes()[:300])
    (tmp_path / "faces" / "train" / "sad" / "notes.txt").write_text("no image")
    done = mien("data", "check", tmp_path / "faces", "--no-plot")
    assert done.returncode == 1
    first, *lines = done.stderr.splitlines()
    assert first == "2 of 14 images cannot be read and are left out:"
    assert [line.split(": ")[0].strip() for line in lines[:2]] == [str(path) for path in broken]
    assert "Note: 1 file that is not an image skipped (.txt 1)." in lines
    assert "angry" in done.stdout
    done = mien("data", "check", tmp_path / "faces", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert answer["n"] == 12
    assert [sentence.split(": ")[0] for sentence in answer["left_out"]["unreadable"]] == [
        str(path) for path in broken
    ]
    assert answer["left_out"]["passed_over"] == {".txt": 1}


def test_only_the_first_twenty_unreadable_images_are_listed(tmp_path: Path, command: Command) -> None:
    fill(tmp_path / "train")
    for i in range(25):
        (tmp_path / "train" / "angry" / f"x{i:02}.jpg").write_bytes(b"")
    done = command("data", "check", tmp_path, "--no-plot")
    assert done.returncode == 1
    assert "25 of 32 images cannot be read" in done.stderr
    assert "  … and 5 more" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["data", "check"],
        pytest.param(["evaluate", "default", "--data"], marks=pytest.mark.slow),
        ["train", "--data"],
    ],
    ids=" ".join,
)
def test_numbered_folders_are_refused_with_a_remedy_that_works(
    tmp_path: Path, words: list[str], command: Command
) -> None:
    for split in ("train", "val", "test"):
        fill(tmp_path / "data" / split, tuple(map(str, range(7))))
    done = command(*words, tmp_path / "data")
    is_one_sentence(done, "numbers .0 to 6.", "--class-names", "rafdb", "affectnet7")
    if words[0] == "train":  # a training takes longer and reads the data in the same way
        return
    for order in ("affectnet7", "['" + "', '".join(AFFECTNET7) + "']"):
        done = command(*words, tmp_path / "data", "--class-names", order)
        assert done.returncode == 0, done.stderr


def test_numbered_folders_are_counted_under_the_given_class_names(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "data" / "train"
    fill(folder, tuple(map(str, range(7))))
    (folder / "1" / "more.png").write_bytes((folder / "1" / "10.png").read_bytes())
    done = command("data", "check", tmp_path / "data", "--json", "--class-names", "affectnet7")
    assert json.loads(done.stdout)["splits"]["Training"] == {**dict.fromkeys(FER2013.classes, 1), "happy": 2}


@pytest.mark.slow
def test_a_class_outside_the_label_set_is_refused_with_working_remedies(
    tmp_path: Path, command: Command
) -> None:
    fill(tmp_path / "data" / "train", tuple(map(str, range(8))))
    check = ("data", "check", tmp_path / "data", "--json", "--class-names")
    is_one_sentence(
        command(*check, "affectnet8", "--label-set", "fer2013"), "contempt", "--label-set ferplus", "'-'"
    )
    answer = json.loads(command(*check, "affectnet8", "--labels", "ferplus").stdout)
    assert answer["splits"]["Training"] == dict.fromkeys(FERPLUS.classes, 1)
    done = command(*check, ",".join([*AFFECTNET7, "-"]))
    assert json.loads(done.stdout)["n"] == 7
    assert "Note: 1 image was left out, as the class names say." in done.stderr


def test_a_labeled_table_named_test_is_evaluated_as_the_test_split(tmp_path: Path, command: Command) -> None:
    rows = [f"{label},{' '.join([str(20 * label)] * 2304)}" for label in range(7)]
    (tmp_path / "test.csv").write_text("\n".join(["emotion,pixels", *rows]))
    answer = json.loads(command("evaluate", "default", "--data", tmp_path / "test.csv", "--json").stdout)
    assert (answer["split"], answer["n"]) == ("PrivateTest", 7)


@pytest.mark.slow
def test_model_labels_with_unclosed_brackets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"no model")
    done = mien("export", tmp_path / "model.h5", "--model-class-names", "['angry', 'happy'")
    is_one_sentence(done, "brackets that are not closed")


@pytest.mark.slow
def test_a_run_folder_remembers_the_class_names_of_its_data(tmp_path: Path) -> None:
    from mien.training.builtin_recipes import get_recipe
    from mien.training.run_config import RunConfig, read_config

    recipe = get_recipe("classic-short")
    for class_names in (None, "affectnet7"):
        origin = RunConfig(recipe, "data", "fer2013", class_names=class_names)
        (tmp_path / "recipe.json").write_text(json.dumps({**recipe.to_dict(), "data": origin.data()}))
        assert read_config(tmp_path) == origin


@pytest.mark.parametrize("name", [".", "..", "inner/..", "run"])
def test_a_run_folder_given_as_a_relative_path_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = tmp_path / "outer" / "here"
    (place / "inner").mkdir(parents=True)
    monkeypatch.chdir(place)
    folder = with_name(Path(name))
    assert folder is not None
    assert folder.name == {"..": "outer", "run": "run"}.get(name, "here")
    assert folder.resolve() == Path(name).resolve()
