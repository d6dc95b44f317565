"""The built-in recipes by name, each with its command, cost and expected score.

from mien.training.builtin_recipes import RECIPES, find_recipe

recipe = find_recipe("classic")        # or the path of a JSON file
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.errors import ModelError
from mien.quoting import quoted_path
from mien.training.augmentation import Augmentation
from mien.training.fine_tuning_recipe import fine_tuning_recipe
from mien.training.network_specs import Classic, Compact
from mien.training.recipe import Recipe
from mien.training.recipe_fields import RecipeFields
from mien.wording import did_you_mean

_STRONG = Augmentation(
    shift=0.1, rotation=12, zoom=0.15, shear=0.08, brightness=0.12, contrast=0.35, gamma=0.3, downscale=0.12, blur=0.08,
    noise=0.1, jpeg=0.1, random_erasing=0.25,
)  # fmt: skip

# 60 million multiply-adds per face, most of them in layers where int8 is fastest; can be trained on two CPU cores.
_ALONE = Recipe(
    name="small-alone",
    network=Compact(stem=32, widths=(32, 64, 192), blocks=(1, 1, 2), dropout=0.2),
    epochs=150,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=2,
    stopping_patience=150,
    progressive_sizes=((24, 40), (36, 55)),
    augmentation=_STRONG,
    label_smoothing=0.1,
    ema_momentum=0.999,
    select="last",
    joint=1.0,
    drop_copies=True,
    command="mien train --data fer2013.csv --votes FERPlus --recipe small-alone --precision bfloat16",
    cost="1.93 hours on two cores of an AMD EPYC (AVX512-BF16) under other load",
    expected="68.57% on FER2013's PublicTest, 68.74% on PrivateTest, 85.69% on FER+'s test; int8, one seed",
)

# Teachers: too large to bundle, and different from each other, so that they make different errors.
_TEACHER = replace(
    _ALONE,
    name="teacher",
    network=Compact(stem=64, widths=(96, 192, 384), blocks=(2, 2, 2), dropout=0.3),
    epochs=60,
    stopping_patience=60,
    weight_decay=5e-3,
    progressive_sizes=(),
    ema_momentum=0.998,
    augmented_copies=60,
    command=(
        "mien train --data fer2013.csv --votes FERPlus --recipe teacher --augmentation-cache views --save-every 45 "
        "--backend jax --precision bfloat16"
    ),
    cost="168 seconds of epochs on an NVIDIA H200 beside two other trainings",
    expected="69.66% on FER2013's PublicTest, 87.43% on FER+'s; one seed",
)

# Students of all three. This one, the longest of four runs, was the best on PublicTest as int8.
_STUDENT = replace(
    _ALONE,
    name="small",
    weight_decay=5e-3,
    progressive_sizes=(),
    label_smoothing=0.0,
    distillation_weight=0.9,
    augmented_copies=60,
    seed=3,
    teachers=("teacher", "teacher-fine", "teacher-deep"),
    release=True,
    command=(
        "mien train --data fer2013.csv --votes FERPlus --recipe small --augmentation-cache views --save-every 45 "
        "--backend jax --precision bfloat16"
    ),
    cost="107 seconds of epochs on an NVIDIA H200, after its teachers and 114 seconds for their predictions",
    expected=(
        "the run of 2026-11-26, with per-class biases that are no longer fitted: 69.88% on FER2013's PrivateTest, "
        "86.90% on FER+'s test; the same network without biases, the bundled small: 69.82% and 87.12%; one of four runs"
    ),
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="classic",
            network=Classic(),
            command="mien train --data fer2013.csv --recipe classic",
            cost="about 8 minutes per epoch on two quiet cores of an AMD EPYC (Genoa); use a GPU for its 60 epochs",
            expected="not measured: no complete run; classic-short reached 63.75% on PrivateTest",
        ),
        # Two hours on two cores: the first epochs on small images, little dropout, an early decay of the learning rate.
        Recipe(
            name="classic-short",
            network=Classic(dropout=(0.1, 0.1, 0.2), dense_dropout=0.4),
            epochs=22,
            schedule="cosine",
            progressive_sizes=((24, 8), (36, 6)),
            augmentation=Augmentation(shift=0.06, rotation=8, zoom=0.08, brightness=0, contrast=0),
            command="mien train --data fer2013.csv --recipe classic-short --precision bfloat16",
            cost="114 minutes for 20 epochs on two cores of an AMD EPYC (Genoa) under other load",
            expected="63.75% on FER2013's PrivateTest, 61.94% on PublicTest, one seed (docs/results)",
        ),
        Recipe(
            name="compact",
            network=Compact(),
            label_smoothing=0.1,
            augmentation=Augmentation(random_erasing=0.3),
            command="mien train --data fer2013.csv --recipe compact",
            cost="not measured: no complete run",
            expected="not measured: no complete run",
        ),
        _ALONE,
        _TEACHER,
        # The stem has stride 1.
        replace(
            _TEACHER,
            name="teacher-fine",
            network=Compact(
                stem=48, widths=(48, 96, 192, 384), blocks=(1, 2, 2, 2), dropout=0.3, stem_strides=1
            ),
            seed=1,
            command=_TEACHER.command.replace("teacher", "teacher-fine"),
            cost="196 seconds of epochs on an NVIDIA H200 beside two other trainings",
            expected="70.30% on FER2013's PublicTest, 88.44% on FER+'s; one seed",
        ),
        # Narrow and deep, with squeeze and excitation, and mixup.
        replace(
            _TEACHER,
            name="teacher-deep",
            network=Compact(stem=64, widths=(64, 128, 320), blocks=(3, 4, 3), dropout=0.3, squeeze=8),
            augmentation=replace(_STRONG, mixup=0.2),
            seed=2,
            command=_TEACHER.command.replace("teacher", "teacher-deep"),
            cost="217 seconds of epochs on an NVIDIA H200 beside two other trainings",
            expected="69.46% on FER2013's PublicTest, 87.75% on FER+'s; one seed",
        ),
        _STUDENT,
        replace(
            _STUDENT,
            name="large",
            network=Compact(stem=48, widths=(64, 128, 320), blocks=(2, 2, 2), dropout=0.2),
            epochs=89,
            stopping_patience=89,
            seed=0,
            command=_STUDENT.command.replace("small", "large"),
            cost=(
                "202 seconds of epochs on an NVIDIA H200 beside five other trainings, after its teachers and 114 "
                "seconds for their predictions, which small uses too"
            ),
            expected=(
                "the run of 2026-11-26, with per-class biases that are no longer fitted: 70.47% on FER2013's "
                "PrivateTest, 87.82% on FER+'s test; one of three"
            ),
        ),
        # The network is that of the model, and most settings depend on the number of images.
        replace(
            fine_tuning_recipe(_STUDENT.to_dict()["network"], per_class=0),
            command="mien train --data FOLDER --from small --recipe fine-tune",
            cost="234 seconds for five classes of 60 images on two cores of an Intel Xeon under heavy other load",
            expected="depends on the data; docs/fine-tuning.md has measurements on parts of FER2013",
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """Return a built-in recipe.

    Raises:
        ModelError: If there is no recipe of that name.
    """
    if name not in RECIPES:
        raise ModelError(
            f"Expected the recipe to be one of {', '.join(RECIPES)}, got {name[:80]!r}. "
            f"{did_you_mean(name, RECIPES)}".rstrip()
        )
    return RECIPES[name]


def find_recipe(recipe: str | Path | Recipe | Mapping[str, Any]) -> Recipe:
    """Return a recipe by its name, from its JSON file or from its fields.

    Args:
        recipe: a recipe; the name of one that comes with mien; the path of a JSON file, such as `recipe.json` of a
            run folder; or a dict of fields. A JSON file or dict may give only the fields that differ from those of
            another recipe, which it names as `base` (`classic` when not given).

    Raises:
        ModelError: If there is no such recipe, or the file is not a recipe.
    """
    found = read_recipe(recipe)
    return found if isinstance(found, Recipe) else found.over(get_recipe(found.base))


def read_recipe(recipe: str | Path | Recipe | Mapping[str, Any]) -> Recipe | RecipeFields:
    """Return a recipe as `find_recipe`, but that of a JSON file or dict as the fields that it gives.

    Raises:
        ModelError: If there is no such recipe, or the file is not a recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, Mapping):
        return RecipeFields.of(recipe, "this recipe")
    if not isinstance(recipe, str | Path):
        raise ModelError(
            f"Expected a recipe, its name or the path of its JSON file, got {repr(recipe)[:80]}."
        )
    if isinstance(recipe, str) and recipe in RECIPES:
        return RECIPES[recipe]
    path = Path(recipe)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        if path.suffix.lower() == ".json":
            raise ModelError(
                f"{quoted_path(str(recipe))}: there is no such file. See the recipes with: mien recipes"
            )
        return get_recipe(str(recipe))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{quoted_path(str(path))}: this file is not JSON ({str(error)[:80]}).") from error
    return RecipeFields.of(data, quoted_path(str(path)), name=path.stem)
