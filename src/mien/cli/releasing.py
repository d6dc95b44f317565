"""The file that a training is for: int8, its biases and temperatures fitted on PublicTest, its scores in its card.

Networks that learned from votes, or from teachers, and are asked for a majority name some classes too often. One bias a
class in each head mends that (see `mien.evaluation.calibration`); what it gives to pictures that it was not fitted on is
told by cross-validation. PrivateTest is not looked at.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.exporting import CALIBRATION_FACES, with_card
from mien.cli.finishing import card_scores
from mien.data.dataset import PUBLIC_TEST, TRAINING
from mien.data.ferplus import as_ferplus
from mien.evaluation.calibration import apply_biases, fit_biases
from mien.evaluation.cross_validation import judge_temperature, out_of_fold
from mien.evaluation.evaluate import evaluate
from mien.files import write_bytes
from mien.recognition.classifier import Classifier
from mien.training.keras_loading import load_network
from mien.training.onnx_export import export_onnx, quantize
from mien.training.saving import save_network

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.evaluation.evaluate import Evaluation

FITTED = "PublicTest (fitted on)"
"""How a card names the split that its biases and temperatures were fitted on."""


def write_release(
    network: keras.Model, card: ModelCard, dataset: Dataset, target: str | Path
) -> dict[str, dict[str, Any]]:
    """Write a network as int8 ONNX, with biases and temperatures that were fitted on PublicTest.

    Args:
        network: a trained network, which stays as it is.
        card: its card.
        dataset: what it was trained on, with the split PublicTest; for a network with two heads, with votes.
        target: the ONNX file to write.

    Returns:
        By label set, the accuracy on PublicTest of the network in `float32` and in `int8` without biases,
        `cross_validated`: of int8 with biases that were fitted on other pictures than they are judged on (`None` where
        there are fewer than five), `float32_with_biases` and `int8_with_biases`; `n`: the pictures; `biases` by label;
        and `temperature_at_bound`: whether the search for a temperature ended at a bound.

    Raises:
        ModelError: the conversion to ONNX failed.
        DataError: PublicTest is empty.
    """
    card = _uncalibrated(card)
    told: dict[str, dict[str, Any]] = {taxonomy: {} for taxonomy in card.taxonomies}
    crops = dataset.subset(TRAINING).images[:CALIBRATION_FACES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy = load_network(save_network(network, folder / "float.keras", card))
        plain, small = _both_files(copy, card, crops, folder)
        for taxonomy, row in told.items():
            row["float32"] = _judged(plain, dataset, taxonomy).accuracy
            raw = _judged(small, dataset, taxonomy)
            biases = fit_biases(raw.probabilities, raw.true)
            row["int8"], row["n"] = raw.accuracy, raw.n
            row["cross_validated"] = _cross_validated(raw)
            row["biases"] = dict(zip(raw.labels, biases.round(4).tolist(), strict=True))
            layer = copy.get_layer(card.answering_in(taxonomy).output)
            layer.bias.assign(layer.bias + biases)
        plain, small = _both_files(copy, card, crops, folder)
        for taxonomy in reversed(list(card.taxonomies)):  # its own last, so that this one stays in front
            told[taxonomy]["float32_with_biases"] = _judged(plain, dataset, taxonomy).accuracy
            raw = _judged(small, dataset, taxonomy)
            told[taxonomy]["int8_with_biases"] = raw.accuracy
            fit = judge_temperature(raw.probabilities, raw.true)
            told[taxonomy]["temperature_at_bound"] = fit.at_bound
            card = replace(card.answering_in(taxonomy), temperature=fit.temperature)
        put_card(small, card)
        put_card(small, with_scores(small, dataset, {PUBLIC_TEST: FITTED}))
        write_bytes(Path(target), small.read_bytes())
    return told


def put_card(path: Path, card: ModelCard) -> None:
    """Write a card into an ONNX file, in place of the one that it has."""
    write_bytes(path, with_card(path.read_bytes(), card))


def with_scores(path: Path, dataset: Dataset, splits: dict[str, str]) -> ModelCard:
    """The card of an ONNX file with its scores on some splits in each of its label sets, besides those that it has.

    Args:
        path: the file.
        dataset: the pictures, with votes where a label set is FER+'s.
        splits: what the card is to call each split.
    """
    card = Classifier(path).card
    for taxonomy in reversed(list(card.taxonomies)):
        card = card.answering_in(taxonomy)
        scores = dict(card.scores)
        for split, title in splits.items():
            found = _judged(path, dataset, taxonomy, split)
            scores[title] = card_scores(found)
            scores[title]["accuracy_without_copies"] = found.duplicate_free["accuracy"]
        card = replace(card, scores=scores)
    return card


def _uncalibrated(card: ModelCard) -> ModelCard:
    heads = tuple(replace(head, temperature=1.0, scores={}) for head in card.heads)
    return replace(card, temperature=1.0, scores={}, heads=heads)


def _both_files(
    network: keras.Model, card: ModelCard, crops: NDArray[np.uint8], folder: Path
) -> tuple[Path, Path]:
    """The network as ONNX, in float32 and in int8."""
    saved = save_network(network, folder / "float.keras", card)
    plain = export_onnx(saved, folder / "float.onnx", card)
    return plain, quantize(plain, folder / "int8.onnx", crops)


def _judged(path: Path, dataset: Dataset, taxonomy: str, split: str = PUBLIC_TEST) -> Evaluation:
    answer = Classifier(path).answering_in(taxonomy)
    pictures = dataset if dataset.taxonomy.name == taxonomy else as_ferplus(dataset)
    return evaluate(answer.probabilities, pictures, labels=answer.labels, split=split)


def _cross_validated(raw: Evaluation) -> float | None:
    """The accuracy with biases that were fitted on four fifths of the pictures and used on the other."""
    found = out_of_fold(raw.probabilities, raw.true, fit_biases, apply_biases)
    return None if found is None else float((found.argmax(axis=1) == raw.true).mean())
