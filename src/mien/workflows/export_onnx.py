"""Write ONNX files: from a Keras network, as int8, or as a copy with another model card."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtra, ModelError
from mien.files import write_bytes
from mien.workflows.export_parity import COMPARED, compare

if TYPE_CHECKING:
    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.recognition.classifier import Classifier
    from mien.workflows.export_parity import Parity
    from mien.workflows.loaded_model import LoadedModel

_PROBABILITIES = "mien_probabilities"
"""Name of the output of an added softmax."""

CALIBRATION_IMAGES = 512
"""Number of training images for int8 calibration."""

_CALIBRATION_BATCH = 64


def write_onnx(loaded: LoadedModel, card: ModelCard, target: Path) -> Path:
    """Write a Keras network as ONNX; return the path."""
    from mien.training.keras_io import save_network
    from mien.training.onnx_export import export_onnx

    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the network as loaded, which may include an added rescaling layer
        source = save_network(loaded.network, Path(folder) / "network.keras", card)
        return export_onnx(source, target, card)


def copy_onnx(loaded: LoadedModel, card: ModelCard, target: Path) -> None:
    """Write a copy of an ONNX file, with another card if necessary."""
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import has_card, read_card

    name, data = read_model(str(loaded.path))
    # A bundled name can select another label set of its file, and a file from another program has no card.
    if not has_card(name, data) or read_card(name, data) != card:
        data = with_card(_with_fixed_shape(data, loaded.classifier), card)
    write_bytes(target, data)


def with_card(data: bytes, card: ModelCard) -> bytes:
    """Return an ONNX file with another card.

    Raises:
        MissingExtra: If onnx is not installed.
    """
    from mien.card import METADATA_KEY

    network = _parsed(data)
    import onnx

    metadata = {entry.key: entry.value for entry in network.metadata_props}
    onnx.helper.set_model_props(network, {**metadata, METADATA_KEY: card.to_json()})
    return bytes(network.SerializeToString())


def _parsed(data: bytes) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "train") from error
    return onnx.load_model_from_string(data)


def _with_fixed_shape(data: bytes, classifier: Classifier) -> bytes:
    """Return an ONNX file whose input has no variable dimensions but the batch: those that the classifier uses."""
    network = _parsed(data)
    entry = next(one for one in network.graph.input if one.name == classifier.input_name)
    for dimension, side in zip(entry.type.tensor_type.shape.dim[1:], classifier.input_shape, strict=True):
        dimension.dim_value = side
    return bytes(network.SerializeToString())


def add_softmax(loaded: LoadedModel, card: ModelCard, target: Path) -> None:
    """Write a copy of an ONNX file that returns logits, with a softmax at its end and a card inside.

    Raises:
        ModelError: If it is not an ONNX file without a card, or returns probabilities already.
        MissingExtra: If onnx is not installed.
    """
    import numpy as np

    from mien.data.synthetic.drawn_faces import synthetic_dataset
    from mien.recognition.classifier import Classifier
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import has_card

    name, data = read_model(str(loaded.path))
    if loaded.classifier is None or has_card(name, data):
        raise ModelError(
            f"{name}: expected an ONNX file without a model card to add a softmax to, got another model."
        )
    crops = synthetic_dataset(21).images
    raw = loaded.classifier.raw_outputs(crops)
    if np.allclose(raw.sum(axis=1), 1, atol=1e-3) and raw.min() >= 0:
        raise ModelError(f"{name}: its outputs sum to 1 already: they are probabilities. Leave `logits` out.")
    data = _softmaxed(_with_fixed_shape(data, loaded.classifier), card.output)
    data = with_card(data, replace(card, output=_PROBABILITIES))
    write_bytes(target, data)
    Classifier(target).probabilities(crops)  # checks that they are probabilities


def _softmaxed(data: bytes, output: str) -> bytes:
    network = _parsed(data)
    import onnx

    graph = network.graph
    graph.node.append(onnx.helper.make_node("Softmax", [output], [_PROBABILITIES], axis=-1))
    found = next(entry for entry in graph.output if entry.name == output)
    added = onnx.ValueInfoProto()
    added.CopyFrom(found)
    added.name = _PROBABILITIES
    graph.output.append(added)
    return bytes(network.SerializeToString())


def write_int8(loaded: LoadedModel, card: ModelCard, target: Path, dataset: Dataset) -> Parity:
    """Write a model as int8 ONNX, calibrated on training images of a data set, and compare it with its original.

    Returns:
        The comparison.

    Raises:
        ModelError: If it cannot be quantized, or predicts other classes than its original.
    """
    from mien.data.dataset import TRAINING
    from mien.data.image_sample import sample_images
    from mien.recognition.classifier import Classifier
    from mien.training.onnx_export import Calibration, quantize

    crops = sample_images(dataset.subset(TRAINING).images, CALIBRATION_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "model.onnx", Path(folder) / "model.int8.onnx"
        (copy_onnx if loaded.network is None else write_onnx)(loaded, card, source)
        original = Classifier(source)
        spec = original.card.input
        batches = original.input_batches(crops, _CALIBRATION_BATCH)
        calibration = Calibration(batches, original.input_name, (spec.low, spec.high))
        quantize(source, made, calibration, name=str(loaded.path))
        compared = crops[:COMPARED]
        given = Classifier(made).raw_outputs(compared)
        parity = compare(original.raw_outputs(compared), given, target, int8=True)
        write_bytes(target, made.read_bytes())
    return parity
