"""The model card: the contract that travels inside a model file. Read, never guessed from a file name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.images import CROP_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

METADATA_KEY = "mien.card"
"""Key of the card in an ONNX file's metadata."""


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


@dataclass(frozen=True)
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
        licence: of the weights.
        limits: what it must not be used for or trusted in.
        made_with: versions of what made it.
    """

    name: str
    labels: tuple[str, ...]
    taxonomy: str
    input: InputSpec = field(default_factory=InputSpec)
    temperature: float = 1.0
    training_data: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: str = "MIT"
    limits: str = (
        "Names the expression a face shows in a still picture, not what a person feels. "
        "Not for decisions about people. Accuracy differs between groups of people and was not measured by group."
    )
    made_with: str = ""

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ModelError(
                f"Model card {self.name}: expected two or more unique labels, got {self.labels}."
            )
        if not self.temperature > 0:
            raise ModelError(
                f"Model card {self.name}: expected a temperature above 0, got {self.temperature}."
            )

    def calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, classes) as the temperature wants them: `p ** (1 / T)`, scaled to sum to 1."""
        if self.temperature == 1:
            return probabilities
        scaled = np.maximum(probabilities, np.finfo(np.float32).tiny) ** (1 / self.temperature)
        return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float32)

    def to_json(self) -> str:
        """The card as JSON text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card that `to_json` wrote.

        Raises:
            ModelError: the text is no model card.
        """
        try:
            data = json.loads(text)
            data["labels"] = tuple(data["labels"])
            data["input"] = InputSpec(**data["input"])
            return cls(**data)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"Expected the JSON of a model card, got something else ({error}).") from error
