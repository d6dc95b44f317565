"""`RecipeFields`: the fields that a JSON file or dict gives of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mien.errors import ModelError
from mien.renamed import with_new_names
from mien.training.augmentation import OLD_NAMES as AUGMENTATION_OLD_NAMES
from mien.training.recipe import OLD_NAMES, Recipe


@dataclass(frozen=True)
class RecipeFields:
    """The fields that a JSON file or dict gives of a recipe.

    Args:
        values: the fields by their current names.
        base: name of the recipe that has the others.
        what: what gives them, for messages.
    """

    values: Mapping[str, Any]
    base: str
    what: str

    @classmethod
    def of(cls, data: Any, what: str, name: str = "custom") -> RecipeFields:
        """Create them from the content of a JSON file or a dict.

        Raises:
            ModelError: If it is not an object.
        """
        if not isinstance(data, Mapping):
            raise ModelError(
                f"{what}: expected a JSON object with the fields of a recipe, got {type(data).__name__}."
            )
        given = {
            key: value for key, value in data.items() if key not in {"base", "data"}
        }  # `data`: of a run folder
        return cls({"name": name, **with_new_names(given, OLD_NAMES)}, str(data.get("base", "classic")), what)

    def over(self, recipe: Recipe) -> Recipe:
        """Return a recipe with these fields changed.

        Raises:
            ModelError: If they are not the fields of a recipe.
        """
        base, given = recipe.to_dict(), dict(self.values)
        for part in ("network", "augmentation"):
            inner = given.get(part)
            if isinstance(inner, Mapping) and (
                part != "network" or inner.get("kind", base[part]["kind"]) == base[part]["kind"]
            ):
                old = AUGMENTATION_OLD_NAMES if part == "augmentation" else {}
                given[part] = {**base[part], **with_new_names(inner, old)}
        whole = {**base, "command": "", "cost": "", "expected": "", **given}
        try:
            return Recipe.from_dict(whole)
        except ModelError as error:
            raise ModelError(f"{self.what}: {error}") from error
