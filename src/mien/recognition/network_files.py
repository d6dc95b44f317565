"""Open model files of any format as networks with model cards, and check that both fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.model_kinds import EXAMPLE_LABELS, HAS_CARD, ModelKind, kind_of, shown
from mien.network_formats import CROP_FORMATS, FORMATS, open_network
from mien.network_input import (
    REMAKE,
    NetworkInput,
    check_input_shape,
    check_pixel_range,
    check_pixel_scale,
    read_input,
)
from mien.recognition.model_files import BUNDLED, RUN_MODEL, RUN_NETWORK, read_model
from mien.recognition.onnx_card import (
    UnnamedClassesError,
    card_of,
    check_class_names,
    has_card,
    read_card,
)
from mien.recognition.onnx_network import OnnxNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.card import ModelCard
    from mien.network_formats import Network


class DescribedCardError(ModelError):
    """A model file has a model card, but a description was given as well."""


@dataclass(frozen=True)
class Description:
    """The user's description of a model file without a model card.

    Args:
        class_names: class names in the order of the probabilities.
        pixel_scale: factor that pixel values from 0 to 255 are multiplied by.
        pixel_range: input values of black and white pixels, instead of a scale.
        logits: whether it returns logits, of which the softmax is taken.
        input_shape: shape of an image, (height, width, channels) or (channels, height, width), for a network with
            variable dimensions.

    Raises:
        ModelError: If the pixel scale is not a number over 0, the pixel range is not two increasing numbers, both are
            given, or the input shape is not that of an image.
    """

    class_names: Sequence[str] | None = None
    pixel_scale: float | None = None
    pixel_range: tuple[float, float] | None = None
    logits: bool = False
    input_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixel_range", check_pixel_range(self.pixel_range))
        object.__setattr__(self, "pixel_scale", check_pixel_scale(self.pixel_scale, self.pixel_range))
        object.__setattr__(self, "input_shape", check_input_shape(self.input_shape))

    @property
    def given(self) -> bool:
        """Whether any field is set."""
        told = (self.class_names, self.pixel_scale, self.pixel_range, self.input_shape)
        return self.logits or any(one is not None for one in told)


def open_described(
    model: str | Path, described: Description, threads: int = 0
) -> tuple[Network, ModelCard, NetworkInput]:
    """Open a model file.

    Args:
        model: path of a model file or a run folder, or the name of a bundled model.
        described: the user's description of it.
        threads: number of CPU threads per call; 0 lets the library choose.

    Returns:
        The network, its model card or one made from the description, and its input.

    Raises:
        UnnamedClassesError: If it has no model card, and no class names are given.
        DescribedCardError: If it has a model card, but a description is given as well.
        ModelError: If it cannot be opened, or does not match its model card or the description.
    """
    model = _keras_file_of(model)
    kind, input_shape = _other_format(model), described.input_shape
    if kind is None:
        network: Network = _open_onnx(model, described, threads)
    else:
        network = open_network(Path(model), kind, threads, input_shape)
        input_shape = None if kind in CROP_FORMATS else input_shape
    if network.card is not None and described.given:
        raise DescribedCardError(
            f"{shown(network.name)}: {HAS_CARD.replace('model_class_names', 'class_names')}"
        )
    if network.card is not None:
        return network, network.card, check_network(network, network.card)
    if described.class_names is None:
        raise UnnamedClassesError(
            f"{shown(network.name)}: this file has no model card, so its class names are unknown. Give them in index "
            f"order, for example `class_names={EXAMPLE_LABELS.split(',')}`."
        )
    names = check_class_names(described.class_names)
    card = card_of(network, names, described.pixel_scale, described.pixel_range, input_shape)
    return network, card, check_network(network, card, input_shape)


def _keras_file_of(model: Any) -> Any:
    """Return the Keras file of a run folder that has no ONNX file (yet); another model as it is."""
    if not isinstance(model, str | Path) or not str(model) or model in BUNDLED:
        return model
    path = Path(model)
    try:
        unfinished = kind_of(path) is ModelKind.RUN and not (path / RUN_MODEL).is_file()
    except (OSError, ValueError):  # reported when it is opened
        return model
    return path / RUN_NETWORK if unfinished else model


def _other_format(model: Any) -> ModelKind | None:
    """Return the format of a file in a supported format other than ONNX; `None` for other files, see `read_model`."""
    if not isinstance(model, str | Path) or not str(model) or model in BUNDLED:
        return None
    try:
        kind = kind_of(model)
    except (OSError, ValueError):
        return None
    return kind if kind in FORMATS else None


def _open_onnx(model: str | Path, described: Description, threads: int) -> OnnxNetwork:
    name, data = read_model(model)
    foreign = described.given and not has_card(name, data)
    card = None if foreign and described.class_names is not None else read_card(name, data)
    return OnnxNetwork(model, name, data, card, threads)


def check_network(
    network: Network, card: ModelCard, input_shape: tuple[int, int, int] | None = None
) -> NetworkInput:
    """Check that a network has the input and the outputs that its model card describes.

    Args:
        network: the network.
        card: its model card, or one made for it.
        input_shape: the shape of an image, which sets variable dimensions.

    Returns:
        Its input.

    Raises:
        ModelError: If they differ.
    """
    spec, outputs = card.input, {output.name: output for output in network.outputs}
    shapes = [list(entry.shape) for entry in network.inputs]
    if not -1e6 <= spec.low < spec.high <= 1e6:
        raise ModelError.from_parts(
            network.name,
            expected="a range of pixel values from black to white",
            received=f"{spec.low} to {spec.high}",
            remedy=REMAKE,
        )
    if len(shapes) != 1:
        raise ModelError.from_parts(network.name, expected="one input", received=f"{shapes}", remedy=REMAKE)
    told = network.card.input if network.card else None
    taken = read_input(network.name, shapes[0], input_shape, told)
    if (spec.height, spec.width, spec.color) != (taken.height, taken.width, taken.color):
        raise ModelError.from_parts(
            network.name,
            expected=f"one input of shape (n, {spec.height}, {spec.width}, 1) or (n, 1, {spec.height}, "
            f"{spec.width}) of {spec.color} pixels, as its model card says",
            received=f"{shapes}",
            remedy=REMAKE,
        )
    for head in card.all_heads:
        found = outputs.get(head.output)
        if found is None or len(found.shape) != 2 or found.shape[-1] not in {len(head.labels), None}:
            raise ModelError.from_parts(
                network.name,
                expected=f"an output {head.output} with {len(head.labels)} classes",
                received=f"{ {name: list(output.shape) for name, output in outputs.items()} }",
            )
    types = {entry.dtype for entry in (*network.inputs, *(outputs[head.output] for head in card.all_heads))}
    if types != {"float32"}:
        raise ModelError.from_parts(
            network.name,
            expected="float32 inputs and outputs",
            received=", ".join(sorted(types)),
            remedy=REMAKE,
        )
    return taken
