"""The options of the training loop: old names, and the license by either spelling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig
from mien.training.trainer_options import TrainerOptions
from tests.builders.datasets import make_dataset


def test_old_names_of_options_are_aliases() -> None:
    old: dict[str, Any] = {"origin": {"path": "x.csv"}, "views": "cache"}
    options = TrainerOptions(**old)
    assert options == TrainerOptions(arguments={"path": "x.csv"}, augmentation_cache="cache")
    assert (options.origin, options.views) == ({"path": "x.csv"}, "cache")  # type: ignore[attr-defined]
    assert replace(options, views="other").augmentation_cache == "other"


@pytest.mark.parametrize("key", ["license", "licence"])
def test_the_license_is_read_by_its_documented_key_and_by_the_old_one(key: str) -> None:
    arguments = {"path": "x.csv", "labels": "fer2013", "votes": None, key: "CC-BY-4.0"}
    assert TrainerOptions(arguments=arguments).license == "CC-BY-4.0"
    assert RunConfig.from_data(get_recipe("classic"), arguments).license == "CC-BY-4.0"
    assert TrainerOptions().license == TrainerOptions(arguments={"path": "x.csv"}).license == ""


@pytest.mark.slow
@pytest.mark.parametrize("key", ["license", "licence"])
def test_the_license_is_in_the_card_of_a_trained_model(tmp_path: Path, key: str) -> None:
    import keras

    from mien.training.custom import CustomParts
    from mien.training.run_folder import load_best
    from mien.training.trainer import train

    network = keras.Sequential(
        [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    )
    recipe = replace(get_recipe("classic"), epochs=1)
    arguments = {"path": "memory", "labels": "fer2013", "votes": None, key: "MIT"}
    train(make_dataset(), recipe, tmp_path / "run", arguments=arguments, custom=CustomParts(network=network))
    card = load_best(tmp_path / "run").card
    assert card
    assert card.license == "MIT"
