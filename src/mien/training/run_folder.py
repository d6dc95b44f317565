"""A run folder after its training: what was trained, on what, and the models that leave it.

recipe.json  history.csv  best.keras  last.keras  state.json            while it trains
facial_emotions_model.h5  model.onnx  card.json                         when it ends
release.onnx                                                            of recipes for a model that is shipped
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.files import remove_leftovers, write_text
from mien.training.onnx_export import export_onnx
from mien.training.recipe import Recipe
from mien.training.renamed_fields import renamed_fields
from mien.training.keras_io import load_classifier, save_network
from mien.training.checkpoint import read_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from mien.card import ModelCard
    from mien.training.keras_io import KerasClassifier

BEST, LAST, LEGACY, ONNX, RELEASE, CARD, EVALUATION = (
    "best.keras",
    "last.keras",
    "facial_emotions_model.h5",
    "model.onnx",
    "release.onnx",
    "card.json",
    "evaluation.json",
)
RECIPE = "recipe.json"

OWN_FILES = (
    RECIPE, "history.csv", "state.json", BEST, LAST, LEGACY, ONNX, RELEASE, CARD, EVALUATION, "curves.png",
    "confusion.png", "samples.png", "mistakes.png", "confident.png",
)  # fmt: skip
"""All files that a training writes into its run folder."""


_OLD_NAMES = {"labels": "label_set", "views_in": "augmentation_cache", "licence": "license"}


@renamed_fields(**_OLD_NAMES)
@dataclass(frozen=True)
class RunConfig:
    """The arguments of a run, as `recipe.json` keeps them, so that it can be resumed and evaluated later.

    Args:
        recipe: the recipe.
        path: the data, as `mien.load` takes it; the source of a `mien.Dataset` that was passed in Python.
        label_set: name of the label set.
        votes: the FER+ votes, if a path was given.
        teachers: the models that it learns from, as they were given.
        start: the model whose weights it starts from, as it was given.
        augmentation_cache: the folder of precomputed augmented images, if one was given.
        save_every: minimum time between two checkpoints in seconds.
        license: the license of the model, for its card; empty if none was given.
        class_names: what the numbers of the data stand for, if it was given.
        custom: custom parts that were passed in Python (`network`, `callbacks`, `augment`), by name.
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

    def data(self) -> dict[str, Any]:
        """Everything but the recipe, as it stands in `recipe.json`; with the keys that older versions read."""
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
        }

    @classmethod
    def from_data(cls, recipe: Recipe, data: Mapping[str, Any]) -> RunConfig:
        """The arguments that `data` gave, together with the recipe."""
        return cls(
            recipe=recipe,
            path=data["path"],
            label_set=data["labels"],
            votes=data["votes"],
            teachers=tuple(data.get("teachers", ())),
            start=data.get("start"),
            augmentation_cache=data.get("views_in"),
            save_every=float(data.get("save_every", 0.0)),
            license=str(data.get("licence") or ""),
            class_names=data.get("class_names"),
            custom=tuple(data.get("custom", ())),
        )


Origin = RunConfig  # the old name


def read_config(folder: str | Path) -> RunConfig | None:
    """The arguments of the run in a folder, `None` if there is no run.

    Raises:
        ModelError: `recipe.json` is damaged.
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


read_origin = read_config  # the old name


def foreign_files(folder: str | Path) -> list[str]:
    """Names of files that a training would overwrite in a folder which no training of ours has begun.

    A folder is that of a training when its `recipe.json` is one that a training wrote.
    """
    try:
        if read_config(folder) is not None:
            return []
    except (ModelError, OSError):  # somebody else's recipe.json, or a damaged one: it stays
        pass
    return [name for name in OWN_FILES if os.path.lexists(Path(folder) / name)]


def remove_run(folder: str | Path) -> None:
    """Remove the files of a training from its run folder; what else is in there stays.

    Raises:
        ModelError: no training has begun in that folder.
    """
    folder = Path(folder)
    if read_config(folder) is None:
        raise ModelError(f"{folder}: expected the run folder of a training, found none.")
    remove_leftovers(folder)
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """The rows of a run's epochs."""
    return read_state(Path(folder) / LAST).history


def is_whole(folder: str | Path) -> bool:
    """Whether a training has ended by itself and all that follows its last epoch is written."""
    last = Path(folder) / LAST
    return last.is_file() and (Path(folder) / EVALUATION).is_file() and read_state(last).finished


def load_best(folder: str | Path) -> KerasClassifier:
    """The network of a run's best epoch.

    Raises:
        ModelError: no epoch is whole yet.
    """
    path = Path(folder) / BEST
    if not path.is_file():
        raise ModelError(f"{folder}: expected a run folder with a whole epoch in it, found no {BEST}.")
    return load_classifier(path)


def write_models(folder: str | Path, network: keras.Model, card: ModelCard) -> bool:
    """Write `facial_emotions_model.h5`, `model.onnx` and `card.json`, and the card into `best.keras`.

    Args:
        folder: the run folder.
        network: its best network.
        card: its card, with scores and temperatures.

    Returns:
        Whether `model.onnx` was written too: the conversion needs TensorFlow and tf2onnx, which a machine that trains
        on another back end may not have.

    Raises:
        ModelError: the conversion to ONNX failed.
    """
    folder = Path(folder)
    for name in (BEST, LEGACY):
        save_network(network, folder / name, card)
    write_text(folder / CARD, card.to_json() + "\n")
    (folder / RELEASE).unlink(missing_ok=True)  # of another epoch, if there is one
    if any(find_spec(name) is None for name in ("tensorflow", "tf2onnx")):
        (folder / ONNX).unlink(missing_ok=True)  # of another epoch, if there is one
        return False
    export_onnx(folder / BEST, folder / ONNX, card)
    return True
