"""Convert a network of `gpu_campaign.py` to a Keras network of the same specification."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.training.networks import Compact, build_network

if TYPE_CHECKING:
    from pathlib import Path

    import keras

HEADS = (7, 8, 7)


def read_facts(path: str | Path) -> dict[str, Any]:
    """Read the metadata of a network of the campaign: name, specification, seed, epochs, scores on PublicTest."""
    with np.load(path) as arrays:
        facts: dict[str, Any] = json.loads(str(arrays["facts"]))
    return facts


def spec_of(facts: dict[str, Any]) -> Compact:
    """Return the specification of the network."""
    fields = facts["spec"]
    return Compact(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def keras_network(path: str | Path, *, heads: tuple[int, ...] = HEADS) -> keras.Model:
    """Build the network with its weights, in float32.

    Args:
        path: an .npz file of the campaign.
        heads: the number of classes of each head to keep, starting with the first.
    """
    import keras

    network = build_network(spec_of(read_facts(path)), heads)
    with np.load(path) as arrays:
        for kind, prefix in ((keras.layers.Conv2D, "conv"), (keras.layers.BatchNormalization, "norm")):
            made = sorted((x for x in network.layers if isinstance(x, kind)), key=_order_made)
            for index, layer in enumerate(made):
                values = np.asarray(arrays[f"{prefix}{index:03}"], np.float32)
                bias = f"{prefix}{index:03}_bias"
                layer.set_weights(
                    list(values)
                    if prefix == "norm"
                    else [values, arrays[bias]]
                    if layer.use_bias
                    else [values]
                )
        kernel, bias = arrays["heads"], arrays["heads_bias"]
        start = 0
        for output, classes in zip(network.outputs, heads, strict=True):
            layer = output._keras_history.operation  # noqa: SLF001
            layer.set_weights([kernel[:, start : start + classes], bias[start : start + classes]])
            start += classes
    return network


def _order_made(layer: keras.layers.Layer) -> int:
    """Return a sort key for layers of a type: the number that Keras assigned at creation."""
    number = re.search(r"_(\d+)$", layer.name)
    return int(number.group(1)) if number else 0
