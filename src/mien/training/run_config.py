"""`RunConfig`: the arguments of a run, stored in `recipe.json` in its folder to resume and evaluate it later.

config = read_config("runs/mine")
config.recipe.epochs, config.path
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.renamed import renamed_fields
from mien.training.experiment_tracking import Tracking
from mien.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

RECIPE = "recipe.json"

IN_MEMORY = ("memory", "a data frame")
"""Sources of data that were never read from a path."""

_OLD_NAMES = {"labels": "label_set", "views_in": "augmentation_cache", "licence": "license"}


@renamed_fields(**_OLD_NAMES)
@dataclass(frozen=True)
class RunConfig:
    """The arguments of a run, as stored in `recipe.json` to resume and evaluate it later.

    Args:
        recipe: the recipe.
        path: the data, as for `mien.load`; the source of data that were passed in Python.
        label_set: name of the label set.
        votes: the FER+ votes, if a path was given.
        teachers: the teachers, as given.
        start: the model whose weights the training starts from, as given.
        augmentation_cache: the folder of precomputed augmented images, if one was given.
        save_every: minimum time between two checkpoints in seconds.
        license: the license of the model, for its card; empty if none was given.
        class_names: the meaning of class numbers in the data, if it was given.
        reading: further options for reading the data, see `mien.workflows.options.DataOptions.kept`; empty in older
            runs.
        tracking: logs for TensorBoard and MLflow.
        custom: custom parts that were passed in Python (`network`, `callbacks`, `augment`), by name.
        in_memory: whether the data were passed in Python, as a `mien.Dataset` or arrays, so that `path` may not be
            sufficient to read them again.
    """

    recipe: Recipe
    path: str
    label_set: str = "fer2013"
    votes: str | None = None
    teachers: tuple[str, ...] = ()
    start: str | None = None
    augmentation_cache: str | None = None
    save_every: float = 0.0
    license: str = ""
    class_names: str | None = None
    custom: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    tracking: Tracking = field(default_factory=Tracking)
    in_memory: bool = False

    def data(self) -> dict[str, Any]:
        """Return everything except the recipe, as stored in `recipe.json`, with the keys that older versions read."""
        return {
            "path": self.path,
            "labels": self.label_set,
            "votes": self.votes,
            "teachers": list(self.teachers),
            "start": self.start,
            "views_in": self.augmentation_cache,
            "save_every": self.save_every,
            "licence": self.license,
            **({"class_names": self.class_names} if self.class_names else {}),
            **({"custom": list(self.custom)} if self.custom else {}),
            **({"reading": dict(self.reading)} if self.reading else {}),
            **({"in_memory": True} if self.in_memory else {}),
            **({"tracking": asdict(self.tracking)} if self.tracking != Tracking() else {}),
        }

    @classmethod
    def from_data(cls, recipe: Recipe, data: Mapping[str, Any]) -> RunConfig:
        """Create the arguments from a recipe and the result of `data`, also of an older version."""
        path = data["path"]
        drawn = _path_of_drawn(path)
        return cls(
            recipe=recipe,
            path=drawn or path,
            label_set=data["labels"],
            votes=data.get("votes"),
            teachers=tuple(data.get("teachers", ())),
            start=data.get("start"),
            augmentation_cache=data.get("views_in"),
            save_every=float(data.get("save_every", 0.0)),
            license=license_of(data),
            class_names=data.get("class_names"),
            custom=tuple(data.get("custom", ())),
            reading=dict(data.get("reading") or {}),
            tracking=Tracking(**data.get("tracking", {})),
            in_memory=bool(data.get("in_memory", drawn or path in IN_MEMORY)),
        )


def license_of(arguments: Mapping[str, Any]) -> str:
    """Return the license among the arguments of a run, stored as `license` or `licence`; empty if there is none."""
    return str(arguments.get("license") or arguments.get("licence") or "")


def _path_of_drawn(source: str) -> str | None:
    """Return the path of drawn faces that older versions stored by their source; `None` for other data."""
    if not str(source).startswith("drawn faces"):
        return None
    from mien.data.synthetic.drawn_faces import path_of_source

    return path_of_source(source)


def read_config(folder: str | Path) -> RunConfig | None:
    """Read the arguments of the run in a folder; `None` if there is no run.

    Raises:
        ModelError: If `recipe.json` is damaged.
    """
    path = Path(folder) / RECIPE
    if not path.is_file():
        return None
    try:
        data = dict(json.loads(path.read_text(encoding="utf-8")))
        arguments = data.pop("data")
        return RunConfig.from_data(Recipe.from_dict(data), arguments)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path}: expected the recipe of a training, got something else ({error})."
        ) from error


def require_same_start(folder: Path, before: str | None, now: str | None) -> None:
    """Check that a training is resumed with the model that it started from, by its name or path.

    Raises:
        ModelError: If it is not.
    """
    if before == now or (before and now and Path(before).resolve() == Path(now).resolve()):
        return
    raise ModelError(
        f"{folder} was started with another model to start from ({before or 'none'}, not {now or 'none'}). Resume with "
        "the same settings, or start anew in another folder with `out`."
    )
