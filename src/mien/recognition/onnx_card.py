"""The model card in an ONNX file, and one for a file of another program, which has none."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.card import METADATA_KEY, NOT_STATED, InputSpec, ModelCard
from mien.errors import ModelError
from mien.labels import find_taxonomy
from mien.model_kinds import EXAMPLE_LABELS
from mien.recognition.network_input import read_input
from mien.recognition.onnx_inspect import NotOnnxError, OnnxSummary, first_operators, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime as ort

_RESCALING = frozenset(
    {"Mul", "Div", "Sub", "Add", "BatchNormalization", "InstanceNormalization", "QuantizeLinear"}
)


def read_card(name: str, data: bytes) -> ModelCard:
    """The card inside the bytes of an ONNX file.

    Args:
        name: what to call the file in an error.
        data: its bytes.

    Raises:
        ModelError: it is no ONNX file, or has no card or a damaged one.
    """
    metadata = summary_of(name, data).metadata
    remedy = (
        f"Give it one, with the names in the order of its classes: mien export {shlex.quote(name)} --format onnx "
        f"--model-labels {EXAMPLE_LABELS} --out with-card.onnx"
    )
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{name}: expected a model card in the file's metadata, found none, so the names of its classes are not "
            f"known. {remedy}"
        )
    try:
        return ModelCard.from_json(metadata[METADATA_KEY])
    except ModelError as error:
        raise ModelError(f"{name}: {_lowered(str(error))} {remedy}") from error


def has_card(name: str, data: bytes) -> bool:
    """Whether the bytes of an ONNX file hold a model card that can be read.

    Raises:
        ModelError: it is no ONNX file.
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
    """What the bytes of an ONNX file say of it.

    Raises:
        ModelError: they are no ONNX file.
    """
    try:
        return summarise(data)
    except NotOnnxError as error:
        raise ModelError(f"{name}: expected an ONNX model, got something else or a cut file.") from error


def check_class_names(names: Any) -> tuple[str, ...]:
    """Class names as a tuple, made sure to be some: two or more different words.

    Raises:
        ModelError: they are not.
    """
    told = f"{type(names).__name__}" if isinstance(names, str) or not isinstance(names, Iterable) else None
    found = () if told else tuple(names)
    if (
        told
        or len(set(map(str, found))) < max(len(found), 2)
        or not all(isinstance(n, str) and n for n in found)
    ):
        raise ModelError(
            "Expected class names as two or more different words in the order of the network's classes, got "
            f"{told or str(list(found))[:80]}."
        )
    return found


def card_of(
    name: str,
    data: bytes,
    session: ort.InferenceSession,
    class_names: Sequence[str],
    pixel_scale: float | None,
    pixel_range: tuple[float, float] | None = None,
) -> ModelCard:
    """The card of an ONNX file that has none.

    Args:
        name: what to call the file.
        data: its bytes.
        session: made of them.
        class_names: in the order of its probabilities.
        pixel_scale: what pixels from 0 to 255 are multiplied by before they go in. When not given: 1 for a network that
            begins with arithmetic on its input or its normalization, else 1/255, which is what most projects train
            with.
        pixel_range: what black and white are for it, in place of a scale.

    Raises:
        ModelError: no output has that many classes, or its input is not for images.
    """
    wanted = len(class_names)
    outputs = {output.name: output.shape for output in session.get_outputs()}
    fitting = [name for name, shape in outputs.items() if len(shape) == 2 and shape[-1] in {wanted, None}]
    if not fitting:
        raise ModelError(
            f"{name}: expected an output with {wanted} classes, one for each class name, got {_told(outputs)}. "
            "Give as many names as the network has classes, in its order."
        )
    taken = read_input(name, session.get_inputs()[0].shape)
    if pixel_range is None and pixel_scale is None:
        begins = first_operators(data, session.get_inputs()[0].name)
        pixel_scale = 1.0 if begins & _RESCALING else 1 / 255
    low, high = pixel_range or (0.0, 255.0 * (1.0 if pixel_scale is None else pixel_scale))
    known = find_taxonomy(class_names)
    return ModelCard(
        name=Path(name).stem,
        labels=tuple(class_names),
        taxonomy=known.name if known else "custom",
        input=InputSpec(taken.height, taken.width, taken.color, low, high),
        output=fitting[0],
        training_data=NOT_STATED,
    )


def _told(outputs: dict[str, Any]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in list(outputs.items())[:4])


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
