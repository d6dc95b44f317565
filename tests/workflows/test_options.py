"""Options as one frozen object: assigned to recipe, augmentation, data and run; unknown ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mien.class_names import parse_class_names
from mien.cli.option_names import with_current_names, with_options
from mien.errors import DataError, ModelError
from mien.recognition.onnx_card import check_class_names
from mien.training.augmentation import Augmentation
from mien.training.builtin_recipes import RECIPES, find_recipe, get_recipe
from mien.training.network_specs import Compact
from mien.training.recipe import Recipe
from mien.training.trainer import Run as Trained
from mien.workflows.load_model import parse_names
from mien.workflows.options import ModelOptions, TrainOptions
from mien.workflows.run import Run


def test_keywords_are_assigned_to_recipe_and_run_options() -> None:
    options = TrainOptions.of(
        "compact",
        epochs=3,
        rotation=15,
        mixup=0.2,
        label_set="ferplus",
        teachers="large",
        out="here",
        seed=None,
    )
    recipe = options.choose_recipe()
    assert (recipe.name, recipe.epochs, recipe.seed) == ("compact", 3, 0)
    assert (recipe.augmentation.rotation, recipe.augmentation.mixup) == (15, 0.2)
    assert recipe.augmentation.random_erasing == get_recipe("compact").augmentation.random_erasing
    assert options.data.label_set == "ferplus"
    assert (options.teachers, options.out) == (("large",), Path("here"))


def test_old_names_of_fields_are_aliases() -> None:
    options = TrainOptions.of("small", distil=0.5, views=3, turn=7, erase=0.2)
    recipe = options.choose_recipe()
    assert (recipe.distillation_weight, recipe.augmented_copies) == (0.5, 3)
    assert (recipe.distil, recipe.views) == (0.5, 3)  # type: ignore[attr-defined]
    assert (recipe.augmentation.rotation, recipe.augmentation.random_erasing) == (7, 0.2)
    augmentation = Augmentation(turn=5, light=0.2, coarse=0.3, erase=0.4)  # type: ignore[call-arg]
    assert augmentation == Augmentation(rotation=5, brightness=0.2, downscale=0.3, random_erasing=0.4)
    assert augmentation.light == 0.2  # type: ignore[attr-defined]


def test_a_recipe_of_an_older_version_is_read() -> None:
    for recipe in RECIPES.values():
        data = recipe.to_dict()
        for old, new in {"sides": "progressive_sizes", "average": "ema_momentum", "distil": "distillation_weight",
                         "views": "augmented_copies"}.items():  # fmt: skip
            data[old] = data.pop(new)
        inner = data["augmentation"] = dict(data["augmentation"])
        for old, new in {"turn": "rotation", "light": "brightness", "coarse": "downscale",
                         "erase": "random_erasing"}.items():  # fmt: skip
            inner[old] = inner.pop(new)
        assert Recipe.from_dict(data) == recipe


@pytest.mark.parametrize(("name", "hint"), [("epoch", "Did you mean epochs"), ("xyzzy", "They are: ")])
def test_an_unknown_option_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ModelError, match=f"no option '{name}'. {hint}"):
        TrainOptions.of("classic", **{name: 3})


def test_a_recipe_is_found_by_its_json_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps({"base": "compact", "epochs": 9, "augmentation": {"turn": 3}, "network": {"stem": 16}})
    )
    recipe = find_recipe(path)
    assert (recipe.name, recipe.epochs, recipe.augmentation.rotation) == ("mine", 9, 3)
    assert recipe.network == Compact(stem=16)
    assert recipe.augmentation.random_erasing == get_recipe("compact").augmentation.random_erasing
    whole = tmp_path / "recipe.json"
    whole.write_text(json.dumps({**get_recipe("small").to_dict(), "data": {"path": "fer2013.csv"}}))
    assert find_recipe(str(whole)) == get_recipe("small")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object"),
        ('{"epochz": 3}', "does not know \\(epochz\\)"),
        ('{"base": "none"}', "one of classic"),
        ('{"epochs": "many"}', "expected epochs to be a whole number"),
    ],
)
def test_invalid_recipe_file_is_refused(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(ModelError, match=told):
        find_recipe(tmp_path / "mine.json")
    with pytest.raises(ModelError, match="no such file"):
        find_recipe(str(tmp_path / "other.json"))


def test_messages_are_rewritten_with_command_line_options() -> None:
    told = "Choose another with `out`, `resume=True` it, give `teachers=MODEL` or `model_class_names=a,b`; see `x`."
    assert with_options(told) == (
        "Choose another with --out, --resume it, give --teacher MODEL or --model-class-names a,b; see `x`."
    )
    assert with_options("Try fewer `workers`.") == "Try fewer --workers."


def test_old_options_keep_working() -> None:
    given = ["train", "--labels", "fer2013", "--views-in=x", "--distil", "0", "--", "--labels"]
    expected = [
        "train",
        "--label-set",
        "fer2013",
        "--augmentation-cache=x",
        "--distillation-weight",
        "0",
        "--",
        "--labels",
    ]
    assert with_current_names(given) == expected


def test_count_parameters_of_the_builtin_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.training.network_specs import count_parameters

    known = {"classic": 2_395_591, "compact": 1_561_127, "small": 1_202_671, "large": 3_856_447,
             "teacher": 6_229_583, "teacher-fine": 6_255_615, "teacher-deep": 6_472_799}  # fmt: skip
    for name, number in known.items():
        recipe = get_recipe(name)
        assert count_parameters(recipe.network, (7, 8) if recipe.joint else (7,)) == number


def test_options_are_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainOptions.of(epochs=1).resume = True  # type: ignore[misc]


@pytest.mark.parametrize("make", [np.array, pd.Series, pd.Index])
def test_class_names_may_be_arrays_or_columns_of_tables(make: Any) -> None:
    names = ["angry", "happy"]
    options = TrainOptions.of(class_names=make(names)).data
    assert options.class_names == options.kept()["class_names"] == names
    assert json.loads(json.dumps(options.kept())) == {"class_names": names}
    opening = ModelOptions(class_names=make(names))
    assert opening.described
    assert parse_names(opening.class_names) == names


def test_class_names_of_a_model_may_be_class_indices_but_no_set() -> None:
    assert ModelOptions(class_names={"happy": 1, "angry": 0}).class_names == ("angry", "happy")  # type: ignore[arg-type]
    assert check_class_names({"happy": 1, "angry": 0}) == ("angry", "happy")
    for refuse in (check_class_names, parse_class_names, lambda names: ModelOptions(class_names=names)):
        with pytest.raises(DataError, match="got set, which has no order"):
            refuse({"angry", "happy"})


def test_teachers_and_start_may_be_runs() -> None:
    run = Run(Trained(Path("runs/mine"), get_recipe("classic"), [{"val_loss": 1.0}], interrupted=False))
    assert TrainOptions.of(start=run).start == "runs/mine"
    for given in (run, [run], Path("runs/mine"), "runs/mine", iter(["runs/mine"])):
        assert TrainOptions.of(teachers=given).teachers == ("runs/mine",)
