"""Groups and existing splits: whole groups are held out, and groups in several splits are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import mien
from mien.cli import run
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, Dataset
from mien.data.inspection import hold_out, inspect
from mien.data.units import shared_groups
from mien.errors import DataError
from mien.labels import LabelSet
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig
from mien.workflows import run_data
from mien.workflows.options import DataOptions
from mien.workflows.reporter import SilentReporter
from mien.workflows.run_data import DataRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def people(root: Path, in_training: int, in_test: Sequence[int]) -> Path:
    """Folders `split/class/person` with two images of each person in each class."""
    rng = np.random.default_rng(0)
    for split, persons in (("train", range(in_training)), ("test", in_test)):
        for label in ("down", "up"):
            for person in persons:
                folder = root / split / label / f"p{person}"
                folder.mkdir(parents=True)
                for i in range(2):
                    image = rng.integers(0, 256, (48, 48), np.uint8)
                    assert cv2.imwrite(str(folder / f"{i}.png"), image)
    return root


def grouped(labels: Sequence[int], groups: Sequence[str], splits: Sequence[str] = ()) -> Dataset:
    images = np.random.default_rng(1).integers(0, 256, (len(labels), 48, 48), np.uint8)
    label_set = LabelSet("custom", tuple(f"c{i}" for i in range(max(labels) + 1)))
    targets = np.eye(len(label_set), dtype=np.float32)[list(labels)]
    split = np.array(splits or [TRAINING] * len(labels))
    return Dataset(images, targets, split, label_set, groups=np.array(groups))


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
def test_whole_groups_are_held_out(fraction: float) -> None:
    groups = [f"p{i % 20}" for i in range(200)]
    held = hold_out(grouped([i // 100 for i in range(200)], groups), fraction)
    assert shared_groups(held) == []
    counts = held.counts()
    assert counts[PUBLIC_TEST] == {"c0": round(100 * fraction), "c1": round(100 * fraction)}
    assert counts[TRAINING] == {"c0": round(100 * (1 - fraction)), "c1": round(100 * (1 - fraction))}
    again = hold_out(grouped([i // 100 for i in range(200)], groups), fraction)
    assert (again.split == held.split).all()


def test_copies_connect_groups_that_are_held_out() -> None:
    dataset = grouped([0, 0, 1, 1, 0, 1] * 4, [f"p{i}" for i in range(24)])
    dataset.images[0] = dataset.images[23]
    for seed in range(5):
        split = hold_out(dataset, 0.3, seed).split
        assert split[0] == split[23]


def test_only_group_with_a_class_stays_in_training() -> None:
    labels = [*[0] * 12, *[1] * 12, 2, 2]
    groups = [*[f"p{i % 6}" for i in range(24)], "p0", "p0"]
    for seed in range(5):
        held = hold_out(grouped(labels, groups), 0.4, seed)
        assert held.counts()[TRAINING]["c2"] == 2
        assert (held.split == PUBLIC_TEST).any()
    with pytest.raises(
        DataError, match=r"expected enough groups to hold some of Training out, got 1 with none"
    ):
        hold_out(grouped([0, 1, 0, 1], ["p0"] * 4))


def test_images_of_a_person_are_not_held_out_apart(tmp_path: Path) -> None:
    dataset = mien.load(people(tmp_path, 6, [10, 11]), group="folder")
    assert dataset.left_out.notes() == []
    held = hold_out(dataset)
    assert (held.split == PUBLIC_TEST).any()
    assert shared_groups(held) == []


def test_people_in_two_splits_are_told(tmp_path: Path) -> None:
    dataset = mien.load(people(tmp_path, 3, [1, 2, 5]), group="folder")
    (note,) = dataset.left_out.notes()
    assert note.startswith(
        "2 of 4 groups have images in several splits (p1, p2), so the scores are too high."
    )
    assert inspect(dataset).to_dict()["shared_groups"] == 2
    assert "shared_groups" not in inspect(mien.load(tmp_path)).to_dict()
    assert shared_groups(grouped([0, 1], ["a", "a"], [TRAINING, PRIVATE_TEST])) == ["a"]


def test_data_check_counts_groups_in_several_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = str(people(tmp_path / "data", 3, [1, 2]))
    assert run(["data", "check", data, "--group", "folder", "--no-plot"]) == 0
    done = capsys.readouterr()
    assert "groups with images in several splits" in done.out
    assert "2 of 3 groups have images in several splits (p1, p2)" in " ".join(done.err.split())
    run(["data", "check", data, "--group", "folder", "--json"])
    assert json.loads(capsys.readouterr().out)["shared_groups"] == 2


def test_evaluation_finds_the_groups_that_a_run_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(run_data, "load_data", lambda data, options, _: given.append((data, options.group)))
    config = RunConfig(get_recipe("classic"), str(tmp_path / "data"), reading={"group": "folder"})
    for data, group in ((tmp_path / "data", None), (tmp_path / "other", None), (tmp_path / "data", "name")):
        request = DataRequest(data, DataOptions(group=group), "PublicTest")
        run_data._read(request, tmp_path, config, SilentReporter())
    assert [group for _, group in given] == ["folder", None, "name"]
