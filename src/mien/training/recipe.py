"""Recipes: frozen data that says all of a training, with its command, its cost and the score to expect."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from mien import __version__
from mien.errors import ModelError
from mien.images import CROP_SIZE
from mien.training.augmentation import Augmentation
from mien.training.networks import NetworkSpec, Precision, get_network

_NOTES = frozenset({"command", "cost", "expected", "teachers", "release"})
"""What does not change a training: a run folder keeps by itself whom it learned from, a release comes after its end."""


_WHOLE = frozenset({"epochs", "batch_size", "plateau_patience", "stopping_patience", "views", "seed"})
"""The fields that are whole numbers."""


@dataclass(frozen=True)
class Recipe:
    """All that a training does, apart from its data.

    Args:
        name: what `--recipe` calls it.
        network: the architecture.
        epochs: the most epochs it runs.
        batch_size: pictures a step.
        optimizer: `adam`, `adamw`, or `sgd` with Nesterov's momentum of 0.9.
        learning_rate: its rate at the start (`plateau`) or at its peak (`cosine`).
        weight_decay: share of each weight taken away a step, times the rate; not for `adam`.
        schedule: `plateau` lowers the rate when the validation loss stops falling (ReduceLROnPlateau);
            `cosine` warms up and then falls to zero along a cosine over all epochs.
        warmup_epochs: length of the warm-up of `cosine`.
        plateau_patience: epochs without a better validation loss before the rate is lowered.
        plateau_factor: what the rate is multiplied by then.
        minimum_rate: where lowering ends.
        stopping_patience: epochs without a better validation loss before the training ends (EarlyStopping).
        sides: `(side, epochs)` pairs: the training begins with that many epochs on pictures reduced to that side,
            in this order, and does the rest at 48 (progressive resizing,
            https://arxiv.org/abs/2104.00298); empty: all at 48.
        augmentation: random changes to the training pictures.
        label_smoothing: share of each target spread evenly over all classes.
        average: momentum of the running average of the weights, 0 for none. With one, it is the average that is
            judged and saved (Polyak and Juditsky 1992, https://doi.org/10.1137/0330046).
        joint: weight of a second head that learns the FER+ votes of the training pictures beside FER2013's labels,
            on the same trunk; 0 for none.
        select: which epoch's network is kept: `loss`, that with the lowest validation loss, or `last`, for a schedule
            that ends at rate 0 with averaged weights, where no epoch needs choosing.
        distil: share of each target that is what teachers say of the same changed picture (Hinton et al. 2015,
            https://arxiv.org/abs/1503.02531); 0 for a training without teachers.
        views: how many changed versions of each training picture there are, prepared before the training (see
            `mien.training.augmentation_cache`), no more than there are epochs; after that many epochs they come again,
            each with half a chance mirrored. 0: every epoch has new ones, made while it trains.
        drop_copies: leave training pictures out of which PublicTest or PrivateTest holds an exact copy.
        class_weights: `balanced` weighs each picture by the rarity of its class, `none` does not.
        precision: the numbers the network computes with while it trains. `bfloat16` halves the time on processors
            that have it (AVX512-BF16, AMX) and on GPUs; what is saved is a float32 network all the same.
        seed: fixes the first weights, the order of the pictures, the augmentation and the dropout.
        teachers: recipes that `mien train` trains first, whose networks teach where the command names no others.
        release: whether the training ends with a file to be shipped, int8 with biases in its heads.
        command: the command that this recipe stands for.
        cost: what it took, and on which machine.
        expected: the score to expect, with data and split.
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
    sides: tuple[tuple[int, int], ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    label_smoothing: float = 0.0
    average: float = 0.0
    joint: float = 0.0
    select: Literal["loss", "last"] = "loss"
    distil: float = 0.0
    views: int = 0
    drop_copies: bool = False
    class_weights: Literal["none", "balanced"] = "none"
    precision: Precision = "float32"
    seed: int = 0
    teachers: tuple[str, ...] = ()
    release: bool = False
    command: str = ""
    cost: str = ""
    expected: str = ""

    def __post_init__(self) -> None:
        self._check_types()
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (1, 100_000), "batch_size": (1, 65_536), "learning_rate": (1e-12, 10), "seed": (0, 2**31 - 1),
            "warmup_epochs": (0, self.epochs), "plateau_patience": (1, 100_000), "stopping_patience": (1, 100_000),
            "plateau_factor": (0, 1), "minimum_rate": (0, 1), "label_smoothing": (0, 0.99),
            "weight_decay": (0, 1), "average": (0, 0.999999), "joint": (0, 100), "distil": (0, 1),
            "views": (0, 999),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            _require_number(self.name, name, value, whole=name in _WHOLE)
            if not low <= value <= high:
                raise ModelError(f"Recipe {self.name}: expected {name} from {low} to {high}, got {value}.")
        for name, choices in {
            "schedule": ("plateau", "cosine"),
            "optimizer": ("adam", "adamw", "sgd"),
            "select": ("loss", "last"),
            "class_weights": ("none", "balanced"),
            "precision": ("float32", "bfloat16"),
        }.items():
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in choices:
                raise ModelError(
                    f"Recipe {self.name}: expected {name} to be one of {', '.join(choices)}, got "
                    f"{repr(getattr(self, name))[:80]}."
                )

    def _check_types(self) -> None:
        """Refuse fields of another type, which would fail somewhere in a training."""
        if not isinstance(self.name, str) or not self.name:
            raise ModelError(f"Recipe: expected its name as a word, got {repr(self.name)[:80]}.")
        _require_number(self.name, "epochs", self.epochs, whole=True)
        sides = self.sides
        for name, right, expected in (
            ("network", isinstance(self.network, NetworkSpec), "a Classic or a Compact"),
            ("augmentation", isinstance(self.augmentation, Augmentation), "an Augmentation"),
            ("drop_copies", isinstance(self.drop_copies, bool), "True or False"),
            ("release", isinstance(self.release, bool), "True or False"),
            (
                "teachers",
                _is_tuple(self.teachers) and all(isinstance(t, str) for t in self.teachers),
                "a tuple of names",
            ),
            ("sides", _is_tuple(sides) and all(_is_side(s) for s in sides), "pairs of whole numbers over 0"),
        ):
            if not right:
                raise ModelError(
                    f"Recipe {self.name}: expected {name} to be {expected}, got {repr(getattr(self, name))[:80]}."
                )

    def side_of(self, epoch: int) -> tuple[int, int]:
        """The side in pixels at which an epoch (from 0) is trained, and the epoch at which that side ends."""
        end = 0
        for side, epochs in self.sides:
            end += epochs
            if epoch < end:
                return side, min(end, self.epochs)
        return CROP_SIZE, self.epochs

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON-clean data; `from_dict` reads it back."""
        data = asdict(self)
        data["network"] = {"kind": type(self.network).__name__.lower(), **data["network"]}
        return data

    def settings(self) -> dict[str, Any]:
        """What it does, without the notes on what it builds on and on the run that it stands for."""
        return {name: value for name, value in self.to_dict().items() if name not in _NOTES}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote.

        Raises:
            ModelError: a field is missing or unknown.
        """
        if not isinstance(data, dict):
            raise ModelError(f"Expected a recipe as a dict of its fields, got {type(data).__name__}.")
        if unknown := sorted(map(str, data.keys() - {f.name for f in fields(cls)})):
            raise ModelError(
                f"This recipe has fields that mien {__version__} does not know ({', '.join(unknown)}): another version "
                "wrote it."
            )
        try:
            data = dict(data)
            network = dict(data["network"])
            spec = get_network(network.pop("kind"))
            data["network"] = spec(**{key: _frozen(value) for key, value in network.items()})
            data["sides"] = tuple((side, epochs) for side, epochs in data["sides"])
            data["augmentation"] = Augmentation(**data["augmentation"])
            data["teachers"] = tuple(data.get("teachers", ()))
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"This recipe does not have the fields of a recipe ({error}).") from error

    def with_options(self, **options: Any) -> Recipe:
        """This recipe with some fields set, those that are not `None`.

        In a training that is shortened, `warmup_epochs` and the stages of `sides` keep their shares of a `cosine`. The
        notes on command, cost and score are left out where another training than theirs comes of it.

        Raises:
            ModelError: there is no such field, or it cannot have that value.
        """
        options = {key: value for key, value in options.items() if value is not None}
        epochs = options.get("epochs", self.epochs)
        if unknown := sorted(options.keys() - {f.name for f in fields(self)}):
            raise ModelError(
                f"Recipe {self.name}: expected fields of a recipe, got {', '.join(unknown)[:80]}. They are: "
                f"{', '.join(f.name for f in fields(self))}."
            )
        _require_number(self.name, "epochs", epochs, whole=True)
        warmup = min(self.warmup_epochs, max(epochs, 0))
        if options.get("schedule", self.schedule) == "cosine":
            warmup = self.warmup_epochs * min(1.0, max(epochs, 0) / self.epochs)
        changed = replace(self, **{"warmup_epochs": warmup, **options})
        if self.schedule == "cosine" and "sides" not in options:
            changed = replace(changed, sides=self._sides_in(epochs))
        if set(changed.differences(self)) <= {"seed", "precision"}:
            return changed
        return replace(changed, command="", cost="", expected="")

    def _sides_in(self, epochs: int) -> tuple[tuple[int, int], ...]:
        """The stages of a training of another length, each with its share of the epochs."""
        ends, end = [0], 0
        for _, length in self.sides:
            end += length
            ends.append(round(epochs * end / self.epochs))
        stages = ((side, ends[i + 1] - ends[i]) for i, (side, _) in enumerate(self.sides))
        return tuple((side, length) for side, length in stages if length)

    def differences(self, other: Recipe) -> list[str]:
        """Names of the fields in which two recipes train differently."""
        return [
            f.name
            for f in fields(self)
            if f.name not in _NOTES and getattr(self, f.name) != getattr(other, f.name)
        ]


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple)


def _is_side(value: Any) -> bool:
    return _is_tuple(value) and len(value) == 2 and all(type(x) is int and x > 0 for x in value)


def _require_number(recipe: str, name: str, value: Any, *, whole: bool) -> None:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = "a whole number" if whole else "a number"
        raise ModelError(f"Recipe {recipe}: expected {name} to be {expected}, got {repr(value)[:80]}.")


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
