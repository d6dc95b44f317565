"""`Recipe`: all settings of a training apart from its data, frozen, with its command, cost and expected score.

from mien.training.builtin_recipes import get_recipe

recipe = get_recipe("classic").with_options(epochs=20, seed=1)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from mien import __version__
from mien.errors import ModelError
from mien.html_table import html_table
from mien.images import CROP_SIZE
from mien.renamed import renamed_fields, with_new_names
from mien.training.augmentation import Augmentation
from mien.training.network_specs import NetworkSpec, Precision, get_network
from mien.training.recipe_checks import check_recipe, require_number
from mien.wording import counted

_NOTES = frozenset({"command", "cost", "expected", "teachers", "release"})
"""Fields that do not change a training: the run folder records its teachers, and a release follows its end."""

OLD_NAMES = {
    "sides": "progressive_sizes",
    "average": "ema_momentum",
    "distil": "distillation_weight",
    "views": "augmented_copies",
}
"""Names of fields in older code and `recipe.json` files, with the names that they have now."""


@renamed_fields(**OLD_NAMES)
@dataclass(frozen=True, repr=False)
class Recipe:
    """All settings of a training, apart from its data.

    Args:
        name: name of the recipe, as for `mien.train(recipe=...)`.
        network: the architecture.
        epochs: maximum number of epochs.
        batch_size: images per step.
        optimizer: `adam`, `adamw`, or `sgd` with Nesterov momentum 0.9.
        learning_rate: the initial rate (`plateau`) or the peak rate (`cosine`).
        weight_decay: share of each weight subtracted per step, times the learning rate; not used by `adam`.
        schedule: `plateau` lowers the rate when the validation loss stops falling (ReduceLROnPlateau); `cosine`
            warms up and then decays to zero along a cosine over all epochs.
        warmup_epochs: length of the warm-up of `cosine`.
        plateau_patience: epochs without a lower validation loss before the rate is reduced.
        plateau_factor: factor by which the rate is multiplied then.
        minimum_rate: the lowest rate of `plateau`.
        stopping_patience: epochs without a lower validation loss before training stops (EarlyStopping).
        progressive_sizes: `(size, epochs)` pairs: training starts with that many epochs on images reduced to that
            size in pixels, in this order, and continues at 48 (progressive resizing,
            https://arxiv.org/abs/2104.00298); empty: always 48.
        augmentation: random changes to the training images.
        label_smoothing: share of each target spread evenly over all classes.
        ema_momentum: momentum of an exponential moving average of the weights, 0 for none. With one, the averaged
            weights are evaluated and saved (Polyak and Juditsky 1992, https://doi.org/10.1137/0330046).
        joint: weight of a second head that learns the FER+ votes of the training images beside FER2013's labels, on
            the same trunk; 0 for none.
        select: which epoch is kept, and what early stopping watches: `loss`, the lowest validation loss; `macro_f1`,
            the highest macro-F1 on the validation images; or `last`, for a schedule that ends at rate 0 with averaged
            weights, where no epoch needs to be selected.
        distillation_weight: share of each target that comes from teachers' predictions for the same augmented image
            (Hinton et al. 2015, https://arxiv.org/abs/1503.02531); 0 trains without teachers.
        augmented_copies: augmented copies of each training image that are computed before training (see
            `mien.training.augmentation_cache`), at most one per epoch; they are reused in turn, each mirrored half of
            the time. 0: every epoch computes new ones while it trains.
        drop_copies: leave out training images of which PublicTest or PrivateTest holds an exact copy.
        class_weights: `balanced` weights the loss of each image by inverse class frequency, `none` does not.
        sampling: `shuffled` shows each image once an epoch, `balanced` each class equally often.
        loss: `cross_entropy`, or `focal` (focal loss), which reduces the weight of images that the network already
            predicts with confidence (https://arxiv.org/abs/1708.02002).
        focal_gamma: focusing parameter of the focal loss.
        frozen_epochs: number of epochs at the start in which only the heads are trained; if equal to `epochs`, the
            trunk is never trained.
        trunk_rate: learning rate of all layers except the heads, as a share of the learning rate; needs `sgd`.
        precision: the type of number for computation during training. `bfloat16` halves the time on
            processors that have it (AVX512-BF16, AMX) and on GPUs; the saved network is float32 either way.
        seed: fixes the initial weights, the order of the images, the augmentation and the dropout.
        teachers: recipes that are trained first and used as teachers, unless other teachers are given.
        release: whether training ends by writing `release.onnx`: int8, with calibrated temperatures.
        command: the command that trains this recipe.
        cost: how long it took, and on which machine.
        expected: expected score, with data and split.
    """

    name: str
    network: NetworkSpec
    epochs: int = 60
    batch_size: int = 64
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["plateau", "cosine"] = "plateau"
    warmup_epochs: float = 0.5
    plateau_patience: int = 3
    plateau_factor: float = 0.3
    minimum_rate: float = 1e-6
    stopping_patience: int = 8
    progressive_sizes: tuple[tuple[int, int], ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    label_smoothing: float = 0.0
    ema_momentum: float = 0.0
    joint: float = 0.0
    select: Literal["loss", "macro_f1", "last"] = "loss"
    distillation_weight: float = 0.0
    augmented_copies: int = 0
    drop_copies: bool = False
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = 2.0
    frozen_epochs: int = 0
    trunk_rate: float = 1.0
    precision: Precision = "float32"
    seed: int = 0
    teachers: tuple[str, ...] = ()
    release: bool = False
    command: str = ""
    cost: str = ""
    expected: str = ""

    def __post_init__(self) -> None:
        check_recipe(self)

    def __repr__(self) -> str:
        network = type(self.network).__name__
        teachers = f", teachers {', '.join(self.teachers)[:80]}" if self.teachers else ""
        return (
            f"<Recipe {self.name}: {network}, up to {counted(self.epochs, 'epoch')}, batch size {self.batch_size}, "
            f"{self.optimizer}, learning rate {self.learning_rate:g} ({self.schedule}), seed {self.seed}{teachers}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (name, _cell(value)) for name, value in self.to_dict().items() if value not in (self.name, "", ())
        ]
        return html_table(rows, title=f"Recipe {self.name}", align="left")

    def size_of(self, epoch: int) -> tuple[int, int]:
        """Return the image size in pixels of an epoch (from 0), and the epoch at which that size ends."""
        end = 0
        for size, epochs in self.progressive_sizes:
            end += epochs
            if epoch < end:
                return size, min(end, self.epochs)
        return CROP_SIZE, self.epochs

    def is_frozen(self, epoch: int) -> bool:
        """Return whether only the heads are trained in an epoch (from 0)."""
        return epoch < self.frozen_epochs

    def stage_end(self, epoch: int) -> int:
        """Return the epoch at which the stage of an epoch (from 0) ends: a new image size, or the trunk is unfrozen."""
        end = self.size_of(epoch)[1]
        return min(end, self.frozen_epochs) if self.is_frozen(epoch) else end

    def begins_stage(self, epoch: int) -> bool:
        """Return whether a new stage begins at an epoch (from 0), with another model."""
        return epoch > 0 and (
            self.size_of(epoch) != self.size_of(epoch - 1)
            or self.is_frozen(epoch) != self.is_frozen(epoch - 1)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a JSON-serializable dict; `from_dict` is the inverse."""
        data = asdict(self)
        data["network"] = {"kind": type(self.network).__name__.lower(), **data["network"]}
        return data

    def settings(self) -> dict[str, Any]:
        """Return the fields that affect a training, without the notes on teachers, command, cost and score."""
        return {name: value for name, value in self.to_dict().items() if name not in _NOTES}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """Create a recipe from the result of `to_dict`, also with the field names of older versions.

        Raises:
            ModelError: If a field is missing or unknown.
        """
        if not isinstance(data, dict):
            raise ModelError(f"Expected a recipe as a dict of its fields, got {type(data).__name__}.")
        data = with_new_names(data, OLD_NAMES)
        if unknown := sorted(map(str, data.keys() - {f.name for f in fields(cls)})):
            raise ModelError(
                f"This recipe has fields that mien {__version__} does not know ({', '.join(unknown)}): another version "
                "wrote it."
            )
        try:
            network = dict(data["network"])
            spec = get_network(network.pop("kind"))
            data["network"] = spec(**{key: _frozen(value) for key, value in network.items()})
            data["progressive_sizes"] = tuple((size, n) for size, n in data["progressive_sizes"])
            data["augmentation"] = Augmentation.from_dict(data["augmentation"])
            data["teachers"] = tuple(data.get("teachers", ()))
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"This recipe does not have the fields of a recipe ({error}).") from error

    def with_options(self, **options: Any) -> Recipe:
        """Return this recipe with some fields changed; `None` leaves a field unchanged.

        If `epochs` is reduced, `frozen_epochs` keeps its share of the epochs, and so do `warmup_epochs` and
        `progressive_sizes` with the schedule `cosine`. Notes that no longer apply (command, cost, score) are removed.

        Raises:
            ModelError: If there is no such field, or it cannot have that value.
        """
        options = with_new_names(options, OLD_NAMES)
        options = {key: value for key, value in options.items() if value is not None}
        epochs = options.get("epochs", self.epochs)
        if unknown := sorted(options.keys() - {f.name for f in fields(self)}):
            raise ModelError(
                f"Recipe {self.name}: expected fields of a recipe, got {', '.join(unknown)[:80]}. They are: "
                f"{', '.join(f.name for f in fields(self))}."
            )
        require_number(self.name, "epochs", epochs, whole=True)
        warmup = min(self.warmup_epochs, max(epochs, 0))
        if options.get("schedule", self.schedule) == "cosine":
            warmup = self.warmup_epochs * min(1.0, max(epochs, 0) / self.epochs)
        frozen = round(self.frozen_epochs * min(1.0, max(epochs, 0) / self.epochs))
        changed = replace(self, **{"warmup_epochs": warmup, "frozen_epochs": frozen, **options})
        if self.schedule == "cosine" and "progressive_sizes" not in options:
            changed = replace(changed, progressive_sizes=self._sizes_in(epochs))
        if set(changed.differences(self)) <= {"seed", "precision"}:
            return changed
        return replace(changed, command="", cost="", expected="")

    def _sizes_in(self, epochs: int) -> tuple[tuple[int, int], ...]:
        """Return the progressive sizes for another number of epochs, each with its share of the epochs."""
        ends, end = [0], 0
        for _, length in self.progressive_sizes:
            end += length
            ends.append(round(epochs * end / self.epochs))
        stages = ((size, ends[i + 1] - ends[i]) for i, (size, _) in enumerate(self.progressive_sizes))
        return tuple((size, length) for size, length in stages if length)

    def differences(self, other: Recipe) -> list[str]:
        """Return the names of the training settings in which two recipes differ."""
        return [
            f.name
            for f in fields(self)
            if f.name not in _NOTES and getattr(self, f.name) != getattr(other, f.name)
        ]


def _cell(value: Any) -> str:
    """Return a value for a table."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
