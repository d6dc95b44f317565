"""`mien recipes`."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.completion import complete_recipes
from mien.cli.console import out, print_json
from mien.cli.help_text import examples
from mien.cli.shared_options import JsonOption
from mien.wording import counted

if TYPE_CHECKING:
    from mien.training.recipe import Recipe

EXAMPLES = examples(
    "mien recipes",
    "mien recipes small",
    "mien recipes compact --json > mine.json && mien train --recipe mine.json --data fer2013.csv",
)


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=complete_recipes,
            help="A recipe, or the path of a JSON recipe, to show in full.",
            show_default="list all recipes",
        ),
    ] = None,
    *,
    json: JsonOption = False,
) -> None:
    """List the training recipes: network, cost and expected score.

    A JSON file can change fields of a recipe, which it names as "base":
    {"base": "compact", "epochs": 20, "augmentation": {"rotation": 15}}.
    """
    from mien.training.builtin_recipes import RECIPES, find_recipe

    if name is not None:
        recipe = find_recipe(name)
        if json:
            print_json(recipe.to_dict())
        else:
            _print_recipe(recipe)
        return
    if json:
        print_json({"recipes": [_summary(recipe) for recipe in RECIPES.values()]})
        return
    for recipe in RECIPES.values():
        _print_short(recipe)
    out.print("All fields of one: mien recipes NAME. Train with it: mien train --recipe NAME")


def _summary(recipe: Recipe) -> dict[str, Any]:
    from mien.labels import FER2013, FERPLUS
    from mien.training.network_specs import count_parameters

    classes = (len(FER2013), len(FERPLUS)) if recipe.joint else (len(FER2013),)
    return {**recipe.to_dict(), "parameters": count_parameters(recipe.network, classes)}


def _print_short(recipe: Recipe) -> None:
    summary = _summary(recipe)
    schedule = "cosine" if recipe.schedule == "cosine" else "reduced on plateaus"
    out.print(recipe.name, style="bold")
    out.print(
        f"  {summary['network']['kind']} network, {summary['parameters']:,} parameters; up to "
        f"{counted(recipe.epochs, 'epoch')} of batch size {recipe.batch_size}, {recipe.optimizer}, "
        f"learning rate {recipe.learning_rate:g} ({schedule})"
    )
    if recipe.teachers:
        out.print(f"  teachers  {', '.join(recipe.teachers)}")
    out.print(f"  cost      {recipe.cost}")
    out.print(f"  score     {recipe.expected}")
    out.print()


def _print_recipe(recipe: Recipe) -> None:
    data = recipe.to_dict()
    width = max(len(name) for name in data)
    for name, value in data.items():
        if isinstance(value, dict):
            out.print(name)
            for inner, setting in value.items():
                out.print(f"  {inner:<{width}} {_shown(setting)}")
        else:
            out.print(f"{name:<{width + 2}} {_shown(value)}")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else jsonlib.dumps(value)
