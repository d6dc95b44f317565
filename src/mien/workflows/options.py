"""The options of the workflows as frozen dataclasses, so that signatures do not repeat single options.

`TrainOptions.of` assigns keywords to the fields of the recipe and of the run:

    options = TrainOptions.of("classic", epochs=20, rotation=15, out="runs/mine")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.class_names import as_ordered, in_index_order
from mien.errors import ModelError
from mien.recognition.values import boolean
from mien.training.custom import CustomParts
from mien.wording import did_you_mean

if TYPE_CHECKING:
    from mien.labels import LabelSet
    from mien.training.recipe import Recipe

ClassNames = str | Sequence[str | None] | Mapping[Any, Any]
"""The meaning of class numbers in data, as for `mien.load`."""


@dataclass(frozen=True)
class DataOptions:
    """Options for reading data.

    Args:
        label_set: the label set or its name; by default that of the data.
        class_names: the meaning of class numbers in the data, or the classes to use, as for `mien.load`.
        votes: the FER+ votes.
        cache: whether to cache the arrays of a table.
        merge: names that are merged into one class, as for `mien.load`.
        group: how to find the person or video of an image, as for `mien.load`.
        shares: shares of Training, PublicTest and PrivateTest for data without splits; by default 70, 15 and 15
            percent in a training.
        split_seed: random seed of this division.
        detect: whether to detect, align and crop the face in each image.
        keep_crops: a folder for these crops.
    """

    label_set: str | LabelSet | None = None
    class_names: ClassNames | None = None
    votes: str | Path | None = None
    cache: bool = True
    merge: Any = None
    group: str | None = None
    shares: Any = None
    split_seed: int | None = None
    detect: bool | None = None
    keep_crops: str | Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", as_ordered(self.class_names))
        if self.detect is not None:
            object.__setattr__(self, "detect", boolean(self.detect, "detect"))

    def kept(self) -> dict[str, Any]:
        """Return the options that `recipe.json` stores to read the same data again, without empty entries."""
        from mien.data.classes import parse_merge
        from mien.labels import LABEL_SETS, LabelSet

        label_set = self.label_set
        if isinstance(label_set, LabelSet):
            label_set = label_set.name if LABEL_SETS.get(label_set.name) == label_set else None
        merge = {new: list(old) for new, old in parse_merge(self.merge)}
        kept = {
            "label_set": label_set,
            "class_names": self.class_names, "merge": merge, "group": self.group, "shares": self.shares,
            "split_seed": self.split_seed, "detect": self.detect,
        }  # fmt: skip
        return {name: value for name, value in kept.items() if value not in (None, {}, False)}


@dataclass(frozen=True)
class ModelOptions:
    """Options for opening a model.

    Args:
        label_set: the label set to predict, if the model supports it; else its own.
        class_names: its class names in index order, for a file without a model card.
        pixel_scale: factor for pixel values 0 to 255, for a file without a model card.
        pixel_range: input values of black and white pixels, for a file without a model card, in place of a scale.
        logits: whether a file without a model card returns logits, of which the softmax is taken.
        input_shape: shape of an image, (height, width, channels) or (channels, height, width), for a file without a
            model card whose input has variable dimensions.
    """

    label_set: str | None = None
    class_names: Sequence[str] | str | None = None
    pixel_scale: float | None = None
    pixel_range: tuple[float, float] | None = None
    logits: bool = False
    input_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", in_index_order(self.class_names))

    @property
    def described(self) -> bool:
        """Whether they describe a file without a model card."""
        told = (self.class_names or None, self.pixel_scale, self.pixel_range, self.input_shape)
        return self.logits or any(one is not None for one in told)


@dataclass(frozen=True)
class TrainOptions:
    """All options of a training besides its data.

    Args:
        recipe: a recipe, its name, the path of its JSON file or its fields; `None`: `classic`, or that of the run
            that is resumed.
        changes: changed fields of the recipe and of its augmentation.
        data: options for reading the data.
        teachers: models to learn from: paths, bundled names or a `mien.Run`; by default the teachers of the recipe are
            trained first.
        start: a model whose weights to start from, likewise; without a recipe it is fine-tuned, with defaults by the
            number of images.
        freeze: whether to train only the heads, on the trunk of `start`.
        augmentation_cache: the folder of precomputed augmented images and teachers' predictions.
        save_every: minimum time between two checkpoints in seconds.
        license: the license of the model, for its card.
        backend: the Keras backend.
        devices: number of devices to train on, or `all`; by default one. Several devices require JAX.
        hosts: a name for each host, the first as HOST:PORT; by default only this host.
        host_index: index of this host in `hosts`, from 0.
        out: the run folder.
        resume: whether to continue the training in the run folder.
        tensorboard: whether to write logs for TensorBoard to the run folder; `None`: as in the run that is resumed,
            else no.
        mlflow: whether to log the training with MLflow, or the tracking URI to log to; `True` uses the environment
            variable MLFLOW_TRACKING_URI, or else a database in the run folder; `None`: as in the run that is resumed,
            else no.
        custom: custom parts, from Python.
    """

    recipe: str | Path | Recipe | Mapping[str, Any] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    data: DataOptions = field(default_factory=DataOptions)
    teachers: tuple[str, ...] = ()
    start: str | None = None
    freeze: bool = False
    augmentation_cache: Path | None = None
    save_every: float | None = None
    license: str | None = None
    backend: str | None = None
    devices: int | str | None = None
    hosts: str | tuple[str, ...] | None = None
    host_index: int | None = None
    out: Path | None = None
    resume: bool = False
    tensorboard: bool | None = None
    mlflow: bool | str | None = None
    custom: CustomParts = field(default_factory=CustomParts)

    @classmethod
    def of(
        cls, recipe: str | Path | Recipe | Mapping[str, Any] | None = None, **options: Any
    ) -> TrainOptions:
        """Create the options of a training from keywords: fields of this class, of its parts, and of the recipe.

        Keywords that are `None` change nothing.

        Raises:
            ModelError: If there is no such option.
        """
        from mien.renamed import with_new_names
        from mien.training.recipe import OLD_NAMES

        given = {name: value for name, value in options.items() if value is not None}
        given = with_new_names(given, OLD_NAMES)
        own = {f.name for f in fields(cls)} - {"recipe", "changes", "data", "custom"}
        data = _take(given, {f.name for f in fields(DataOptions)})
        custom = _take(given, {f.name for f in fields(CustomParts)})
        run = _take(given, own)
        if (teachers := run.get("teachers")) is not None:
            several = isinstance(teachers, Iterable) and not isinstance(teachers, str)
            run["teachers"] = tuple(map(_path_of_model, teachers if several else [teachers]))
        for name in ("out", "augmentation_cache"):
            if name in run:
                run[name] = Path(run[name])
        if "start" in run:
            run["start"] = _path_of_model(run["start"])
        if "callbacks" in custom:
            custom["callbacks"] = tuple(custom["callbacks"])
        _require_known(given, own)
        return cls(recipe, given, DataOptions(**data), **run, custom=CustomParts(**custom))

    def choose_recipe(self, begun: Recipe | None = None) -> Recipe:
        """Return the chosen recipe, or that of the run that is resumed, with the changes.

        Raises:
            ModelError: If there is no such recipe, or a field cannot have that value.
        """
        from mien.training.builtin_recipes import find_recipe

        default = "fine-tune" if self.start else "classic"
        return self.change(begun or find_recipe(default if self.recipe is None else self.recipe))

    def change(self, chosen: Recipe) -> Recipe:
        """Return a recipe with the changes.

        Raises:
            ModelError: If a field cannot have that value.
        """
        changes = dict(self.changes)
        augmentation = {name: changes.pop(name) for name in _augmentation_fields() & changes.keys()}
        if augmentation:
            changes["augmentation"] = replace(
                changes.get("augmentation", chosen.augmentation), **augmentation
            )
        if self.start:
            changes.setdefault("progressive_sizes", ())
        changed = chosen.with_options(**changes)
        return changed.with_options(frozen_epochs=changed.epochs) if self.freeze else changed


def refuse_given(why: str, given: Mapping[str, Any], *, remedy: str = "") -> None:
    """Refuse options that do not apply to a workflow, because ignoring them would give another result than requested.

    Args:
        why: what they do not apply to, as the start of a sentence.
        given: their values by name; those that are `None` or `False` are not given.
        remedy: another remedy than leaving them out, as the end of a sentence.

    Raises:
        ModelError: If one of them is given.
    """
    names = [f"`{name}`" for name, value in given.items() if value is not None and value is not False]
    if names:
        told = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        raise ModelError(
            f"{why}, to which {told} {'does' if len(names) == 1 else 'do'} not apply. Leave {told} out{remedy}."
        )


def _path_of_model(model: Any) -> str:
    """Return the path or name of a model; of a `mien.Run`, its folder."""
    folder = getattr(model, "folder", None)
    return str(folder if isinstance(folder, Path) else model)


def _take(given: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: given.pop(name) for name in sorted(names & given.keys())}


def _augmentation_fields() -> set[str]:
    from mien.training.augmentation import OLD_NAMES, Augmentation

    return {f.name for f in fields(Augmentation)} | set(OLD_NAMES)


def _require_known(given: Mapping[str, Any], own: set[str]) -> None:
    """Check that the changed fields exist."""
    from mien.training.recipe import OLD_NAMES, Recipe

    recipe = {f.name for f in fields(Recipe)} - {"name", "network"} | set(OLD_NAMES)
    known = recipe | _augmentation_fields() | own | {f.name for f in fields(DataOptions)}
    known |= {f.name for f in fields(CustomParts)}
    for name in sorted(given.keys() - recipe - _augmentation_fields()):
        hint = did_you_mean(name, sorted(known)) or f"They are: {', '.join(sorted(known))}."
        raise ModelError(f"A training has no option {name[:80]!r}. {hint}")
