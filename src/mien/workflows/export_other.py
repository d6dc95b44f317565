"""Exports to the formats of other runtimes: LiteRT, SavedModel, OpenVINO; each is run back and compared."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MissingExtra, ModelError
from mien.files import write_bytes
from mien.ownership import guard_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.workflows.loaded_model import LoadedModel

CALIBRATION_FACES = 300
_COMPARED = 100
_MOST_DIFFERENCE = 1e-3
"""Of a float model's probabilities from those of the original."""

_LEAST_AGREEMENT = 0.7
"""Share of faces for which an int8 model must name the same class; fewer tell of a broken conversion."""


@dataclass(frozen=True)
class Parity:
    """How an exported model compares to its original.

    Args:
        faces: on how many faces.
        difference: the largest difference of a probability.
        agreement: share of faces for which both name the same class.
    """

    faces: int
    difference: float
    agreement: float

    def __str__(self) -> str:
        return (
            f"Run back on {self.faces} faces: the largest difference of a probability is {self.difference:.2g}, and "
            f"{self.agreement:.1%} get the same class."
        )


def write_tflite(
    loaded: LoadedModel, card: ModelCard, target: Path, dataset: Dataset, *, int8: bool
) -> Parity:
    """Write a LiteRT file and compare it to its original.

    Raises:
        ModelError: the conversion failed, or gives other answers.
    """
    from mien.training.keras_io import save_network
    from mien.training.tflite import TfliteNetwork, export_tflite

    crops = _faces(dataset)
    with tempfile.TemporaryDirectory() as folder:
        source = save_network(loaded.network, Path(folder) / "network.keras", card)
        made = Path(folder) / target.name
        export_tflite(source, made, card, crops if int8 else None)
        raw = TfliteNetwork(made, card)
        parity = _compare(_original(loaded, card, crops[:_COMPARED]), raw.probabilities(crops[:_COMPARED]))
        _require(parity, target, int8=int8)
        write_bytes(target, made.read_bytes())
    return parity


def write_saved_model(loaded: LoadedModel, card: ModelCard, target: Path, dataset: Dataset) -> Parity:
    """Write a TensorFlow SavedModel with the card beside it, and compare it to its original.

    Raises:
        MissingExtra: TensorFlow is not installed.
        ModelError: it gives other answers.
    """
    if find_spec("tensorflow") is None:
        raise MissingExtra("TensorFlow", "train-cpu")
    import tensorflow as tf

    from mien.files import write_text

    crops = _faces(dataset)[:_COMPARED]
    loaded.network.export(str(target), format="tf_saved_model", verbose=False)
    write_text(target / "mien_card.json", card.to_json() + "\n")
    model = tf.saved_model.load(str(target))  # its variables live as long as it does
    served = model.serve(crops[..., None].astype(np.float32))
    given = served[0] if isinstance(served, list | tuple) else served
    parity = _compare(_original(loaded, card, crops), np.asarray(given))
    _require(parity, target, int8=False)
    return parity


def write_openvino(onnx: Path, card: ModelCard, target: Path, dataset: Dataset) -> Parity:
    """Write an OpenVINO model (`.xml`, with its `.bin` beside it) from an ONNX file, and compare it to that.

    Raises:
        MissingExtra: openvino is not installed.
        ModelError: it gives other answers.
    """
    if find_spec("openvino") is None:
        raise MissingExtra("openvino", "openvino")
    import openvino as ov

    from mien.recognition.classifier import Classifier

    crops = _faces(dataset)[:_COMPARED]
    model = ov.convert_model(str(onnx))
    model.set_rt_info(card.to_json(), "mien_card")
    weights = target.with_suffix(".bin")
    if guard := guard_of(weights):
        guard.check(weights)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        ov.save_model(model, str(made), compress_to_fp16=False)
        compiled = ov.compile_model(
            ov.Core().read_model(str(made)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )  # which bfloat16 would be where the processor has it
        given = compiled(crops[..., None].astype(np.float32))[card.output]
        parity = _compare(_raw(Classifier(onnx), card, crops), np.asarray(given))
        _require(parity, target, int8=False)
        write_bytes(weights, made.with_suffix(".bin").read_bytes())
        write_bytes(target, made.read_bytes())
    return parity


def _faces(dataset: Dataset) -> NDArray[np.uint8]:
    from mien.data.dataset import TRAINING

    part = dataset.subset(TRAINING) if (dataset.split == TRAINING).any() else dataset
    return part.images[:CALIBRATION_FACES]


def _raw(classifier: Any, card: ModelCard, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    from copy import copy

    plain = copy(classifier)
    plain.card = replace(card, temperature=1.0)
    return np.asarray(plain.probabilities(crops))


def _original(loaded: LoadedModel, card: ModelCard, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The raw probabilities of the network's first head, before its temperature."""
    from mien.training.networks import HEADS

    answer = loaded.network.predict(crops[..., None].astype(np.float32), verbose=0)
    given = (
        answer[HEADS.index(card.output) if card.output in HEADS else 0]
        if isinstance(answer, list)
        else answer
    )
    return np.asarray(given, np.float32)


def _compare(original: NDArray[np.float32], given: NDArray[np.float32]) -> Parity:
    return Parity(
        len(original),
        float(np.abs(original - given).max()),
        float((original.argmax(1) == given.argmax(1)).mean()),
    )


def _require(parity: Parity, target: Path, *, int8: bool) -> None:
    kept = parity.agreement >= _LEAST_AGREEMENT if int8 else parity.difference <= _MOST_DIFFERENCE
    if not kept:  # NaN too
        raise ModelError(f"{target}: the exported model gives other answers than its original. {parity}")
