"""The model card: metadata stored inside a model file, such as class names, input format and scores.

>>> card = ModelCard("mine", ("no", "yes"), "custom")
>>> ModelCard.from_json(card.to_json()) == card
True
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.html_table import html_table
from mien.images import CROP_SIZE
from mien.json_values import parse
from mien.quoting import quoted
from mien.renamed import renamed_fields, renamed_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

METADATA_KEY = "mien.card"
"""Key of the card in the metadata of an ONNX file."""

NOT_STATED = "not stated"


@renamed_fields(colour="color")
@dataclass(frozen=True)
class InputSpec:
    """The input of a network.

    Args:
        height: height in pixels.
        width: width in pixels.
        color: `gray`: one channel, luma by ITU-R BT.601.
        low: input value of a black pixel.
        high: input value of a white pixel; further rescaling is part of the network.
    """

    height: int = CROP_SIZE
    width: int = CROP_SIZE
    color: str = "gray"
    low: float = 0.0
    high: float = 255.0

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            _require(isinstance(value, int) and 0 < value <= 4096, name, value)
        _require(isinstance(self.color, str), "color", self.color)
        for name in ("low", "high"):
            value = getattr(self, name)
            _require(isinstance(value, int | float) and math.isfinite(value), name, value)


@renamed_fields(taxonomy="label_set")
@dataclass(frozen=True)
class Head:
    """An additional output of the same network, for another label set.

    Args:
        label_set: name of the label set.
        labels: class names in the order of the probabilities.
        output: name of the output with the probabilities.
        temperature: the logits are divided by this before the softmax.
        scores: measured scores with their data set and split.
    """

    label_set: str
    labels: tuple[str, ...]
    output: str
    temperature: float = 1.0
    scores: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(isinstance(self.label_set, str), "label_set", self.label_set)
        _require(isinstance(self.output, str), "output", self.output)
        _require(isinstance(self.scores, dict), "scores", self.scores)
        _check_head(self.output, self.labels, self.temperature)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The same as `labels`."""
        return self.labels


@renamed_fields(taxonomy="label_set", licence="license")
@dataclass(frozen=True, repr=False)
class ModelCard:
    """Description of a model: class names, input, training, scores, license and limitations.

    Args:
        name: name of the model.
        labels: class names in the order of the probabilities.
        label_set: name of the label set.
        input: the input of the network.
        temperature: the logits are divided by this before the softmax; 1 leaves the probabilities unchanged.
        training_data: the data set that it was trained on.
        recipe: the settings of the training.
        scores: measured scores with their data set and split.
        license: license of the weights, as stated by their author; `NOT_STATED` by default.
        limits: what the model must not be used for.
        made_with: versions of the software that made it.
        output: name of the output with the probabilities.
        heads: additional outputs of the same network.
        division: how data without splits were read and divided for the training, with a checksum of the images, so
            that the same data can be divided in the same way again; empty for other data.
    """

    name: str
    labels: tuple[str, ...]
    label_set: str
    input: InputSpec = field(default_factory=InputSpec)
    temperature: float = 1.0
    training_data: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    license: str = NOT_STATED
    limits: str = (
        "Names the expression a face shows in a still image, not what a person feels. "
        "Not for decisions about people. Accuracy differs between groups of people and was not measured by group."
    )
    made_with: str = ""
    output: str = "probabilities"
    heads: tuple[Head, ...] = ()
    division: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "label_set", "training_data", "license", "limits", "made_with", "output"):
            _require(isinstance(getattr(self, name), str), name, getattr(self, name))
        for name in ("recipe", "scores", "division"):
            _require(isinstance(getattr(self, name), dict), name, getattr(self, name))
        _require(isinstance(self.input, InputSpec), "input", self.input)
        _require(all(isinstance(head, Head) for head in self.heads), "heads", self.heads)
        _check_head(self.name, self.labels, self.temperature)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities; the same as `labels`."""
        return self.labels

    @property
    def all_heads(self) -> tuple[Head, ...]:
        """All outputs of the network with their label sets, the main output first."""
        own = Head(self.label_set, self.labels, self.output, self.temperature, self.scores)
        return (own, *self.heads)

    @property
    def answers(self) -> tuple[Head, ...]:
        """Old name of `all_heads`."""
        return self.all_heads

    @property
    def label_sets(self) -> dict[str, tuple[str, ...]]:
        """Class names of each label set that the network supports, by its name, the main one first."""
        return {head.label_set: head.labels for head in self.all_heads}

    @property
    def taxonomies(self) -> dict[str, tuple[str, ...]]:
        """Former name of `label_sets`."""
        return self.label_sets

    def with_label_set(self, label_set: str) -> ModelCard:
        """Return the card of the same network for another of its label sets; the current one becomes a head.

        Raises:
            ModelError: If the network does not support the label set.
        """
        if not isinstance(label_set, str) or label_set not in self.label_sets:
            raise ModelError.from_parts(
                self.name,
                expected=f"one of its label sets ({', '.join(self.label_sets)})",
                received=quoted(label_set),
            )
        chosen = next(head for head in self.all_heads if head.label_set == label_set)
        others = tuple(head for head in self.all_heads if head.label_set != label_set)
        return replace(self, **vars(chosen), heads=others)

    @renamed_parameters(taxonomy="label_set")
    def answering_in(self, label_set: str) -> ModelCard:
        """Old name of `with_label_set`."""
        return self.with_label_set(label_set)

    def calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply the temperature to probabilities (n, classes): `p ** (1 / T)`, normalized to sum to 1."""
        if self.temperature == 1:
            return probabilities
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / np.float64(self.temperature)
        scaled = np.exp(logits - logits.max(axis=1, keepdims=True))  # the highest is 1, to avoid underflow
        return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float32)

    def __repr__(self) -> str:
        return f"<ModelCard {quoted(self.name)}: {', '.join(self.label_sets)}; {', '.join(self.labels)[:80]}>"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, str]] = []
        for head in self.all_heads:
            rows.append((f"predicts {head.label_set}", ", ".join(head.labels)))
            rows += [
                (f"accuracy on {split}", f"{scores['accuracy']:.2%}")
                for split, scores in head.scores.items()
                if isinstance(scores, dict) and isinstance(scores.get("accuracy"), float)
            ]
            rows.append(("temperature", f"{head.temperature:.3f}"))
        rows += [
            ("trained on", self.training_data or NOT_STATED),
            ("made with", self.made_with or NOT_STATED),
            ("license", self.license),
            ("limits", self.limits),
        ]
        return html_table(rows, title=self.name, align="left")

    def to_dict(self) -> dict[str, Any]:
        """Return the card as nested dictionaries, by its names in files and in JSON documents."""
        data = _with_file_names(asdict(self))
        return data if self.division else {name: data[name] for name in data if name != "division"}

    def to_json(self) -> str:
        """Return the card as JSON text; `from_json` is the inverse.

        Raises:
            ModelError: If its recipe or scores contain values that JSON cannot represent, such as NaN.
        """
        try:
            return json.dumps(self.to_dict(), indent=1, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"Model card {quoted(self.name)}: expected values that JSON can represent ({error})."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Parse a card from JSON text, as written by `to_json`.

        Raises:
            ModelError: If the text is not a model card.
        """
        try:
            data = parse(text)
            data["labels"] = _labels_of(data)
            data["input"] = InputSpec(**data["input"])
            heads = data.get("heads", ())
            data["heads"] = tuple(Head(**{**head, "labels": _labels_of(head)}) for head in heads)
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:120]
            raise ModelError.from_parts(
                expected="the JSON of a model card", received=f"something else ({reason})"
            ) from error


_FILE_NAMES = {"label_set": "taxonomy", "license": "licence", "color": "colour"}
"""Fields of a card that have another name in files and in JSON documents."""


def _with_file_names(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a card, its input and its heads by their names in files."""
    named = {_FILE_NAMES.get(key, key): value for key, value in data.items()}
    if "heads" in named:
        named["heads"] = [_with_file_names(head) for head in named["heads"]]
    if "input" in named:
        named["input"] = _with_file_names(named["input"])
    return named


def _labels_of(data: dict[str, Any]) -> tuple[Any, ...]:
    labels = data["labels"]
    if not isinstance(labels, list):
        raise TypeError("labels must be a list")
    return tuple(labels)


def _require(right: bool, name: str, value: Any) -> None:
    if not right or isinstance(value, bool):
        raise ModelError(f"Model card: invalid {name}: {quoted(value)}.")


def _check_head(name: str, labels: tuple[str, ...], temperature: float) -> None:
    def require(right: bool, expected: str, received: Any) -> None:
        if not right:
            raise ModelError.from_parts(
                f"Model card {quoted(name)}", expected=expected, received=quoted(received)
            )

    require(isinstance(labels, tuple | list), "a tuple of class names", labels)
    printable = all(isinstance(label, str) and label.strip() and label.isprintable() for label in labels)
    require(printable, "class names of printable characters", list(labels))
    require(1 < len(labels) == len(set(labels)), "two or more unique class names", labels)
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    require(number and 1e-3 <= temperature <= 1e3, "a temperature from 0.001 to 1000", temperature)
