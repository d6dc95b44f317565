"""The model card: the contract that travels inside a model file. Read, never guessed from a file name."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.html_table import html_table
from mien.images import CROP_SIZE
from mien.quoting import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

METADATA_KEY = "mien.card"
"""Key of the card in an ONNX file's metadata."""

NOT_STATED = "not stated"

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from 1 in sum, and a probability under 0: room for float16 and int8 models,
none for logits."""


@dataclass(frozen=True)
class InputSpec:
    """What a network takes.

    Args:
        height: rows of pixels.
        width: columns of pixels.
        colour: `gray`: one channel, luma by ITU-R BT.601.
        low: the pixel value of black.
        high: the pixel value of white; the network rescales by itself.
    """

    height: int = CROP_SIZE
    width: int = CROP_SIZE
    colour: str = "gray"
    low: float = 0.0
    high: float = 255.0

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            _require(
                isinstance(getattr(self, name), int) and 0 < getattr(self, name) <= 4096,
                name,
                getattr(self, name),
            )
        _require(isinstance(self.colour, str), "colour", self.colour)
        for name in ("low", "high"):
            value = getattr(self, name)
            _require(isinstance(value, int | float) and math.isfinite(value), name, value)


@dataclass(frozen=True)
class Head:
    """A further answer of the same network, in another label set.

    Args:
        taxonomy: name of the label set.
        labels: class names in the order of its probabilities.
        output: name of the output that holds them.
        temperature: what its logits are divided by before softmax.
        scores: measured scores with their data and split.
    """

    taxonomy: str
    labels: tuple[str, ...]
    output: str
    temperature: float = 1.0
    scores: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(isinstance(self.taxonomy, str), "taxonomy", self.taxonomy)
        _require(isinstance(self.output, str), "output", self.output)
        _require(isinstance(self.scores, dict), "scores", self.scores)
        _check_answer(self.output, self.labels, self.temperature)


@dataclass(frozen=True, repr=False)
class ModelCard:
    """What a model is, takes, gives and is worth.

    Args:
        name: name of the model.
        labels: class names in the order of its probabilities.
        taxonomy: name of the label set.
        input: what it takes.
        temperature: what the logits are divided by before softmax; 1 leaves the probabilities as they are.
        training_data: what it was trained on.
        recipe: how.
        scores: measured scores with their data and split.
        licence: of the weights, which is for their maker to give; `NOT_STATED` until then.
        limits: what it must not be used for or trusted in.
        made_with: versions of what made it.
        output: name of the output that holds the probabilities.
        heads: further answers of the same network.
    """

    name: str
    labels: tuple[str, ...]
    taxonomy: str
    input: InputSpec = field(default_factory=InputSpec)
    temperature: float = 1.0
    training_data: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: str = NOT_STATED
    limits: str = (
        "Names the expression a face shows in a still image, not what a person feels. "
        "Not for decisions about people. Accuracy differs between groups of people and was not measured by group."
    )
    made_with: str = ""
    output: str = "probabilities"
    heads: tuple[Head, ...] = ()

    def __post_init__(self) -> None:
        for name in ("name", "taxonomy", "training_data", "licence", "limits", "made_with", "output"):
            _require(isinstance(getattr(self, name), str), name, getattr(self, name))
        for name in ("recipe", "scores"):
            _require(isinstance(getattr(self, name), dict), name, getattr(self, name))
        _require(isinstance(self.input, InputSpec), "input", self.input)
        _require(all(isinstance(head, Head) for head in self.heads), "heads", self.heads)
        _check_answer(self.name, self.labels, self.temperature)

    @property
    def answers(self) -> tuple[Head, ...]:
        """All answers of the network, its own first."""
        own = Head(self.taxonomy, self.labels, self.output, self.temperature, self.scores)
        return (own, *self.heads)

    @property
    def taxonomies(self) -> dict[str, tuple[str, ...]]:
        """The label sets that the network answers in, by name, its own first."""
        return {answer.taxonomy: answer.labels for answer in self.answers}

    def answering_in(self, taxonomy: str) -> ModelCard:
        """The card of the same network as it answers in one of its label sets; this one's answer becomes a head.

        Raises:
            ModelError: it does not know that label set.
        """
        if not isinstance(taxonomy, str) or taxonomy not in self.taxonomies:
            raise ModelError(
                f"{self.name}: expected one of its label sets ({', '.join(self.taxonomies)}), got {quoted(taxonomy)}."
            )
        chosen = next(answer for answer in self.answers if answer.taxonomy == taxonomy)
        others = tuple(answer for answer in self.answers if answer.taxonomy != taxonomy)
        return replace(self, **vars(chosen), heads=others)

    def calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, classes) as the temperature wants them: `p ** (1 / T)`, scaled to sum to 1."""
        if self.temperature == 1:
            return probabilities
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / np.float64(self.temperature)
        scaled = np.exp(logits - logits.max(axis=1, keepdims=True))  # the highest is 1, so that none is lost
        return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float32)

    def __repr__(self) -> str:
        return f"<ModelCard {_short(self.name)}: {', '.join(self.taxonomies)}; {', '.join(self.labels)[:80]}>"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, str]] = []
        for answer in self.answers:
            rows.append((f"predicts {answer.taxonomy}", ", ".join(answer.labels)))
            rows += [
                (f"accuracy on {split}", f"{scores['accuracy']:.2%}")
                for split, scores in answer.scores.items()
                if isinstance(scores, dict) and isinstance(scores.get("accuracy"), float)
            ]
            rows.append(("temperature", f"{answer.temperature:.3f}"))
        rows += [
            ("trained on", self.training_data or NOT_STATED),
            ("made with", self.made_with or NOT_STATED),
            ("license", self.licence),
            ("limits", self.limits),
        ]
        return html_table(rows, title=self.name, align="left")

    def to_json(self) -> str:
        """The card as JSON text; `from_json` reads it back.

        Raises:
            ModelError: its recipe or scores hold what JSON does not know, NaN for example.
        """
        try:
            return json.dumps(asdict(self), indent=1, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"Model card {_short(self.name)}: expected what JSON can hold ({error})."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card that `to_json` wrote.

        Raises:
            ModelError: the text is no model card.
        """
        try:
            data = json.loads(text)
            data["labels"] = _labels_of(data)
            data["input"] = InputSpec(**data["input"])
            heads = data.get("heads", ())
            data["heads"] = tuple(Head(**{**head, "labels": _labels_of(head)}) for head in heads)
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:120]
            raise ModelError(f"Expected the JSON of a model card, got something else ({reason}).") from error


def _labels_of(data: dict[str, Any]) -> tuple[Any, ...]:
    labels = data["labels"]
    if not isinstance(labels, list):
        raise TypeError("labels must be a list")
    return tuple(labels)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _require(right: bool, name: str, value: Any) -> None:
    if not right or isinstance(value, bool):
        raise ModelError(f"Model card: expected another {name} than {_short(value)}.")


def _check_answer(name: str, labels: tuple[str, ...], temperature: float) -> None:
    if isinstance(labels, str) or not isinstance(labels, tuple | list):
        raise ModelError(f"Model card {_short(name)}: expected a tuple of labels, got {_short(labels)}.")
    if not all(isinstance(label, str) and label.strip() and label.isprintable() for label in labels):
        raise ModelError(
            f"Model card {_short(name)}: expected labels in printable letters, got {_short(list(labels))}."
        )
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ModelError(
            f"Model card {_short(name)}: expected two or more unique labels, got {_short(labels)}."
        )
    if (
        isinstance(temperature, bool)
        or not isinstance(temperature, int | float)
        or not 1e-3 <= temperature <= 1e3
    ):
        raise ModelError(
            f"Model card {_short(name)}: expected a temperature from 0.001 to 1000, got {_short(temperature)}."
        )


def require_probabilities(given: NDArray[np.floating[Any]], *, name: str = "") -> None:
    """Refuse what are no probabilities: finite, 0 or more, each row summing to 1 but for `SUM_TOLERANCE`.

    Args:
        given: (n, classes), before any temperature, which could hide what they are.
        name: the model's, to begin the sentence with.

    Raises:
        ModelError: they are none.
    """
    if not len(given):
        return
    expected = f"{name}: expected" if name else "Expected"
    sums, lowest = given.sum(axis=1), given.min()
    if lowest >= -SUM_TOLERANCE and np.abs(sums - 1).max() <= SUM_TOLERANCE:
        return
    if bad := int((~np.isfinite(given)).any(axis=1).sum()):
        raise ModelError(
            f"{expected} finite probabilities from the model, got NaN or infinity for {bad} of {len(given)} images. "
            "Its weights may be broken: use an earlier save."
        )
    raise ModelError(
        f"{expected} probabilities from the model that are 0 or more and sum to 1, got values down to {lowest:.4g} "
        f"and sums from {sums.min():.4g} to {sums.max():.4g}. Does the network lack its softmax?"
    )
