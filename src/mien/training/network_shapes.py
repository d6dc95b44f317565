"""Check the input and output shapes of Keras networks, and add layers that convert crops to their input."""

from __future__ import annotations

from typing import Any

import keras

from mien.assumptions import Assumptions
from mien.errors import ModelError
from mien.images import CROP_SIZE
from mien.network_input import NetworkInput, image_input, read_input

_RESCALING = (
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.UnitNormalization,
)
_ARITHMETIC = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide"}
"""Layers and `keras.ops` operations (by name, because these are not public) that rescale pixel values."""

_PASSING = {
    "InputLayer", "Identity", "Flatten", "Reshape", "Permute", "RepeatVector", "Concatenate", "Resizing", "CenterCrop",
    "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise",
    "ActivityRegularization", "Cast", "ExpandDims", "Squeeze", "Transpose", "Repeat", "Tile", "BroadcastTo", "Pad",
    "GetItem", "Resize",
}  # fmt: skip
"""Operations that keep the range of pixel values at inference; so do the augmentation layers `Random...`."""


def adapted(
    network: keras.Model,
    name: str,
    *,
    scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> tuple[keras.Model, int, Assumptions]:
    """Adapt a network without a model card to gray crops (48, 48, 1) with pixel values 0 to 255.

    Args:
        network: the network, with one softmax over the classes at its end.
        name: its path or name, for error messages.
        scale: factor for pixel values; see `pixel_range_of`.
        pixel_range: input values of black and white pixels, in place of a scale.
        input_shape: the shape of an image, which sets variable dimensions of the network.

    Returns:
        The adapted network, its number of classes, and what was assumed about its input.

    Raises:
        ModelError: If its input cannot be adapted, or its output is not of shape (classes,).
    """
    taken = input_of(network, name, input_shape)
    made = for_crops(network, taken)
    classes = check_shapes(made, name, heads=1)
    levels = pixel_range_of(made, scale, pixel_range)
    assumed = Assumptions(
        levels if (scale, pixel_range) == (None, None) else None,
        (taken.width, taken.height) if taken is not None and taken.assumed else None,
    )
    return rescaled(made, levels), classes, assumed


def pixel_range_of(
    network: keras.Model, scale: float | None = None, pixel_range: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Return the input values of black and white pixels for a network without a model card.

    Args:
        network: the network.
        scale: factor for pixel values; by default 1 for a network that begins with arithmetic or a normalization, else
            1/255.
        pixel_range: the values, in place of a scale.
    """
    if scale is None:
        scale = 1.0 if rescales(network) else 1 / 255
    return pixel_range or (0.0, 255 * scale)


def rescaled(network: keras.Model, taken: tuple[float, float]) -> keras.Model:
    """Return a network that takes pixel values 0 to 255, with a rescaling layer in front if it needs one.

    Args:
        network: a network with input (48, 48, 1).
        taken: input values of black and white pixels, from `pixel_range_of`.
    """
    low, high = taken
    if (low, high) == (0, 255):
        return network
    image = keras.Input(network.input_shape[1:], name="image")
    return keras.Model(image, network(keras.layers.Rescaling((high - low) / 255, offset=low)(image)))


def with_softmax(network: keras.Model) -> keras.Model:
    """Return a network that returns the softmax of the logits of another one."""
    image = keras.Input(network.input_shape[1:], name="image")
    return keras.Model(image, keras.layers.Softmax(name="probabilities")(network(image)), name=network.name)


def rescales(network: keras.Model) -> bool:
    """Return whether a network begins with arithmetic or a normalization.

    See `mien.network_formats.Network.pixel_range`.
    """
    first, _ = _first_operations(network)
    return any(
        isinstance(operation, _RESCALING) or type(operation).__name__ in _ARITHMETIC for operation in first
    )


def _first_operations(operation: Any) -> tuple[list[Any], bool]:
    """Return the first operations that do not keep the range of the input, and whether the output keeps it."""
    if isinstance(operation, keras.Sequential):
        for layer in operation.layers:
            first, passed = _first_operations(layer)
            if not passed:
                return first, False
        return [], True
    if isinstance(operation, keras.Model) and hasattr(operation, "operations"):
        return _first_in_graph(operation)
    if isinstance(operation, keras.Model):  # a subclass without a graph: any layer may be the first
        return list(operation.layers), False
    name = type(operation).__name__
    passed = name in _PASSING or name.startswith("Random")
    return ([], True) if passed else ([operation], False)


def _first_in_graph(network: keras.Model) -> tuple[list[Any], bool]:
    reached, found = {id(tensor) for tensor in network.inputs}, []
    for operation in network.operations:  # in topological order
        for node in operation._inbound_nodes:  # noqa: SLF001 - each call, of other networks as well
            if reached.isdisjoint(id(tensor) for tensor in node.input_tensors):
                continue
            first, passed = _first_operations(operation)
            found += first
            if passed:
                reached |= {id(tensor) for tensor in node.output_tensors}
    return found, not reached.isdisjoint(id(tensor) for tensor in network.outputs)


def input_of(
    network: keras.Model, name: str, input_shape: tuple[int, int, int] | None = None
) -> NetworkInput | None:
    """Return the input of a network for images; `None` if it takes something else, such as flat images.

    Args:
        network: the network.
        name: its path or name, for error messages.
        input_shape: the shape of an image, (height, width, channels) or (channels, height, width), which sets variable
            dimensions. By default, a variable height or width is 48 pixels.

    Raises:
        ModelError: If its channels are variable and no `input_shape` is given, or a fixed dimension differs from it.
    """
    shape = network.input_shape
    if input_shape is None and not (isinstance(shape, tuple) and len(shape) == 4 and None in shape[1:]):
        return image_input(shape) if isinstance(shape, tuple) else None
    return read_input(name, list(shape) if isinstance(shape, tuple) else [], input_shape)


def for_crops(network: keras.Model, taken: NetworkInput | None) -> keras.Model:
    """Return a network that takes gray crops of 48x48 pixels, with layers in front that convert them to its own input.

    Crops are resized, and the gray channel is repeated for three channels. Inputs may be channels-first or, at 48x48
    pixels, flat. A network with any other input is returned unchanged.

    Args:
        network: the network.
        taken: its input, from `input_of`.
    """
    shape = network.input_shape
    if not isinstance(shape, tuple) or shape[1:] == (CROP_SIZE, CROP_SIZE, 1):
        return network
    image = keras.Input((CROP_SIZE, CROP_SIZE, 1), name="image")
    if taken is not None:
        made = image
        if (taken.height, taken.width) != (CROP_SIZE, CROP_SIZE):
            made = keras.layers.Resizing(taken.height, taken.width)(made)
        made = keras.layers.Concatenate()([made] * 3) if taken.channels == 3 else made
        made = keras.layers.Permute((3, 1, 2))(made) if taken.channels_first else made
    elif shape[1:] == (CROP_SIZE * CROP_SIZE,):
        made = keras.layers.Flatten()(image)
    else:
        return network
    return keras.Model(image, network(made), name=network.name)


def check_input(network: keras.Model, name: str, *, is_file: bool = True) -> None:
    """Check that a network takes gray crops of 48x48 pixels.

    Args:
        network: the network.
        name: its path or name, for the error message.
        is_file: whether `name` is the path of a file; else the network is a Python object.

    Raises:
        ModelError: If it has another input.
    """
    taken = network.input_shape
    expected = (None, CROP_SIZE, CROP_SIZE, 1)
    if taken != expected:
        raise ModelError(
            f"{name}: expected a network that takes {expected[1:]}, got one that takes {_told(taken)}. "
            f"{_wrapping(taken, name if is_file else None)}"
        )


def check_shapes(network: keras.Model, name: str, *, heads: int) -> int:
    """Check the input and the outputs of a network; return the number of classes of its first head.

    Raises:
        ModelError: If it has another input, another number of heads, or an output that is not of shape (classes,).
    """
    check_input(network, name)
    given = network.output_shape
    outputs = given if isinstance(given, list) else [given]
    if len(outputs) != heads or any(len(shape) != 2 for shape in outputs):
        raise ModelError(
            f"{name}: expected a network with {heads} output{'s' if heads > 1 else ''} of shape (classes,), got "
            f"{_told(given)}. Save it with one softmax over the classes at its end."
        )
    return int(outputs[0][1])


def _told(shape: object) -> str:
    return str(shape)[:80]


def _wrapping(taken: object, path: str | None) -> str:
    """Return how to convert a network with another input to gray crops, if Keras layers can do it."""
    layers = "keras.layers"
    match taken:
        case (_, int() as height, int() as width, (1 | 3) as channels):
            made = "image"
            if channels == 3:
                made = f"{layers}.Concatenate()([image] * 3)"
            if (height, width) != (CROP_SIZE, CROP_SIZE):
                made = f"{layers}.Resizing({height}, {width})({made})"
        case (_, (1 | 3) as channels, 48, 48):
            made = "image" if channels == 1 else f"{layers}.Concatenate()([image] * 3)"
            made = f"{layers}.Permute((3, 1, 2))({made})"
        case (_, 2304):
            made = f"{layers}.Flatten()(image)"
        case _:
            return f"mien hands gray crops of {CROP_SIZE}x{CROP_SIZE} pixels to a network."
    image = f"image = keras.Input(({CROP_SIZE}, {CROP_SIZE}, 1))"
    wrapped = f"keras.Model(image, network({made}))"
    if path is None:
        return f"Add layers in front that make such an input of a crop: {image}; network = {wrapped}"
    return (
        "Add layers in front that make such an input of a crop: network = "
        f"keras.models.load_model({path[-80:]!r}); {image}; {wrapped}.save('wrapped.keras')"
    )
