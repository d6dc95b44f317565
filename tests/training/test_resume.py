"""Resuming: other votes, classes and starts are refused, and checkpoints of older versions are still resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.errors import ModelError
from mien.labels import LabelSet
from mien.training import resume
from mien.training.backend import backend_name
from mien.training.checkpoint import TrainingState
from mien.training.recipe import Recipe
from mien.training.resume import fingerprint, open_state
from mien.training.run_config import require_same_start
from tests.builders.datasets import make_dataset
from tests.builders.trainings import tiny_recipe

JOINT = tiny_recipe(joint=1.0)


def with_votes(dataset: Dataset, seed: int) -> Dataset:
    return replace(dataset, votes=np.random.default_rng(seed).integers(0, 6, (len(dataset), 10)))


def data_of(dataset: Dataset) -> dict[str, Any]:
    return fingerprint(dataset.subset("Training"), dataset.subset("PublicTest"))


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that resumes a training with other data than those it was begun with."""
    (tmp_path / "last.keras").touch()

    def call(recipe: Recipe, before: dict[str, Any], now: dict[str, Any]) -> TrainingState:
        state = TrainingState(recipe.to_dict(), data=before, backend=backend_name())
        monkeypatch.setattr(resume, "read_state", lambda _: state)
        return open_state(tmp_path, recipe, now, resume=True)

    return call


def test_other_votes_are_refused_if_they_are_trained(begun: Any) -> None:
    dataset = make_dataset()
    one, other = (data_of(with_votes(dataset, seed)) for seed in (0, 1))
    assert begun(JOINT, one, data_of(with_votes(dataset, 0))).data == one
    with pytest.raises(
        ModelError, match=r"was trained on other FER\+ votes\. Resume with the same votes, or "
    ):
        begun(JOINT, one, other)
    begun(tiny_recipe(), one, other)
    begun(tiny_recipe(), one, data_of(dataset))


def test_votes_of_another_type_are_the_same() -> None:
    dataset = with_votes(make_dataset(), 0)
    assert dataset.votes is not None
    assert data_of(replace(dataset, votes=dataset.votes.astype(np.int32))) == data_of(dataset)


def test_other_class_names_are_refused(begun: Any) -> None:
    one, other = (
        data_of(make_dataset(label_set=LabelSet("custom", names)))
        for names in (("smiling", "crying"), ("bored", "alert"))
    )
    assert one["sha256"] == other["sha256"]
    with pytest.raises(
        ModelError, match=r"other classes \(smiling, crying, not bored, alert\)\. Resume with"
    ):
        begun(tiny_recipe(), one, other)


def test_a_checkpoint_of_an_older_version_is_resumed_and_completed(begun: Any) -> None:
    now = data_of(with_votes(make_dataset(), 0))
    older = {name: value for name, value in now.items() if name not in {"votes", "classes"}}
    assert begun(JOINT, {**older, "source": "before"}, now).data == {**now, "source": "before"}
    with pytest.raises(ModelError, match="trained on other data"):
        begun(JOINT, {**older, "sha256": "0"}, now)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("small", "tiny", "small, not tiny"),
        (None, "tiny", "none, not tiny"),
        ("runs/a", "runs/b", "runs/a, not runs/b"),
    ],
)
def test_another_start_is_refused(before: str | None, now: str | None, told: str) -> None:
    with pytest.raises(
        ModelError, match=rf"mine was started with another .* to start from \({told}\)\. Resume"
    ):
        require_same_start(Path("mine"), before, now)


def test_the_same_start_may_be_named_by_another_path() -> None:
    require_same_start(Path("mine"), "small", "small")
    require_same_start(Path("mine"), None, None)
    require_same_start(Path("mine"), "runs/a", str(Path("runs/a").resolve()))
