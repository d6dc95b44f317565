"""Write ONNX files: from a Keras network, as int8, or as a copy with another card."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import MissingExtra
from mien.files import write_bytes

if TYPE_CHECKING:
    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.workflows.load_model import LoadedModel

CALIBRATION_IMAGES = 512
"""Training images whose activations set the ranges of int8."""


def write_onnx(loaded: LoadedModel, card: ModelCard, target: Path) -> Path:
    """Write a Keras network as ONNX; gives back the path."""
    from mien.training.keras_io import save_network
    from mien.training.onnx_export import export_onnx

    with (
        tempfile.TemporaryDirectory() as folder
    ):  # as it was loaded: with the rescaling it may have been given
        source = save_network(loaded.network, Path(folder) / "network.keras", card)
        return export_onnx(source, target, card)


def copy_onnx(loaded: LoadedModel, card: ModelCard, target: Path) -> None:
    """Write a copy of an ONNX file, with another card where it needs one."""
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import has_card, read_card

    name, data = read_model(str(loaded.path))
    # A bundled name may predict in another label set than its file, and a file of another program has no card.
    if not has_card(name, data) or read_card(name, data) != card:
        data = with_card(data, card)
    write_bytes(target, data)


def with_card(data: bytes, card: ModelCard) -> bytes:
    """The same ONNX file with another card.

    Raises:
        MissingExtra: onnx is not installed.
    """
    from mien.card import METADATA_KEY

    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "train") from error
    network = onnx.load_model_from_string(data)
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    onnx.helper.set_model_props(network, {**metadata, METADATA_KEY: card.to_json()})
    return bytes(network.SerializeToString())


def write_int8(loaded: LoadedModel, card: ModelCard, target: Path, dataset: Dataset) -> None:
    """Write a model as int8 ONNX; training images of a data set set its ranges."""
    from mien.data.dataset import TRAINING
    from mien.training.onnx_export import quantize

    crops = dataset.subset(TRAINING).images[:CALIBRATION_IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        source = loaded.path
        if loaded.network is not None:
            source = write_onnx(loaded, card, Path(folder) / "model.onnx")
        quantize(source, target, crops)
