"""Read the model card of an ONNX file, or create one for a model file of another program."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.card import METADATA_KEY, NOT_STATED, InputSpec, ModelCard
from mien.class_names import in_index_order
from mien.errors import ModelError
from mien.labels import find_label_set
from mien.model_kinds import EXAMPLE_LABELS
from mien.network_input import read_input
from mien.recognition.onnx_inspect import NotOnnxError, OnnxSummary, first_operators, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.network_formats import Network

_RESCALING = frozenset(
    {
        "Mul", "Div", "Sub", "Add", "QLinearMul", "QLinearAdd", "BatchNormalization", "InstanceNormalization",
        "LayerNormalization", "GroupNormalization", "MeanVarianceNormalization",
    }
)  # fmt: skip
"""Arithmetic and normalizations; see `mien.network_formats.Network.pixel_range`."""


class UnnamedClassesError(ModelError):
    """A model file has no model card, and no class names were given."""


def read_card(name: str, data: bytes) -> ModelCard:
    """Read the model card from the bytes of an ONNX file.

    Args:
        name: name of the file for error messages.
        data: its bytes.

    Raises:
        UnnamedClassesError: If it has no model card.
        ModelError: If it is not an ONNX file, or its model card is damaged.
    """
    metadata = summary_of(name, data).metadata
    remedy = (
        f"Add one, with the class names in the order of its outputs: mien export {shlex.quote(name)} --format onnx "
        f"--model-class-names {EXAMPLE_LABELS} --out with-card.onnx"
    )
    if METADATA_KEY not in metadata:
        raise UnnamedClassesError(
            f"{name}: the file has no model card in its metadata, so its class names are unknown. {remedy}"
        )
    try:
        return ModelCard.from_json(metadata[METADATA_KEY])
    except ModelError as error:
        raise ModelError(f"{name}: {_lowered(str(error))} {remedy}") from error


def has_card(name: str, data: bytes) -> bool:
    """Return whether the bytes of an ONNX file contain a valid model card.

    Raises:
        ModelError: If it is not an ONNX file.
    """
    text = summary_of(name, data).metadata.get(METADATA_KEY)
    if text is None:
        return False
    try:
        ModelCard.from_json(text)
    except ModelError:
        return False
    return True


def summary_of(name: str, data: bytes) -> OnnxSummary:
    """Read metadata and external data references from the bytes of an ONNX file.

    Raises:
        ModelError: If it is not an ONNX file.
    """
    try:
        return summarise(data)
    except NotOnnxError as error:
        raise ModelError.from_parts(
            name, expected="an ONNX model", received="another or a truncated file"
        ) from error


def check_class_names(names: Any) -> tuple[str, ...]:
    """Validate class names and return them as a tuple.

    Raises:
        DataError: If they are a set, or a mapping that does not number them from 0.
        ModelError: If they are not two or more different, non-empty strings.
    """
    names = in_index_order(names)
    wrong_type = (
        f"{type(names).__name__}" if isinstance(names, str) or not isinstance(names, Iterable) else None
    )
    found = () if wrong_type else tuple(names)
    if (
        wrong_type
        or len(set(map(str, found))) < max(len(found), 2)
        or not all(isinstance(n, str) and n for n in found)
    ):
        raise ModelError.from_parts(
            expected="class names as two or more different strings in the order of the network's classes",
            received=f"{wrong_type or str(list(found))[:80]}",
        )
    return found


def rescales(data: bytes, name: str) -> bool:
    """Return whether an ONNX network starts with arithmetic or a normalization of an input of this name."""
    return bool(first_operators(data, name) & _RESCALING)


def card_of(
    network: Network,
    class_names: Sequence[str],
    pixel_scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> ModelCard:
    """Create a model card for a file that has none.

    Args:
        network: the network in the file.
        class_names: class names in the order of the probabilities.
        pixel_scale: factor that pixel values from 0 to 255 are multiplied by. By default 1 for a network that starts
            with arithmetic or a normalization of its input, else 1/255, which most projects use for training.
        pixel_range: input values of black and white pixels, instead of a scale.
        input_shape: shape of an image, which sets variable dimensions of the input.

    Raises:
        ModelError: If no output has that many classes, or the input is not an image.
    """
    wanted = len(class_names)
    outputs = {output.name: list(output.shape) for output in network.outputs}
    fitting = [name for name, shape in outputs.items() if len(shape) == 2 and shape[-1] in {wanted, None}]
    if not fitting:
        raise ModelError.from_parts(
            network.name,
            expected=f"an output with {wanted} classes, one per class name",
            received=_listed(outputs),
            remedy="Give as many names as the network has classes, in its order.",
        )
    taken = read_input(network.name, list(network.inputs[0].shape), input_shape)
    if pixel_range is None:
        told = network.pixel_range if pixel_scale is None else None
        pixel_range = told or (0.0, 1.0 if pixel_scale is None else 255.0 * pixel_scale)
    low, high = pixel_range
    known = find_label_set(class_names)
    return ModelCard(
        name=Path(network.name).stem,
        labels=tuple(class_names),
        label_set=known.name if known else "custom",
        input=InputSpec(taken.height, taken.width, taken.color, low, high),
        output=fitting[0],
        training_data=NOT_STATED,
    )


def _listed(outputs: dict[str, Any]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in list(outputs.items())[:4])


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
