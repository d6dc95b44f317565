"""Write `release.onnx`: int8, calibrated, with its scores in its model card.

A network with two heads, FER2013's labels and FER+'s votes, gets a third label set, `fused`, computed from both
(`mien.training.onnx_fusion`), which becomes its default. The temperatures of the two heads are fitted on PublicTest;
that of `fused` on PublicTest and, if they are given, on faces of other sources. PrivateTest is not read.

    report = write_release(network, card, dataset, "release.onnx")
    report["fer2013"]["int8"]        # accuracy on PublicTest
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import Head
from mien.data.dataset import PUBLIC_TEST, TRAINING
from mien.data.ferplus import as_ferplus, vote_distribution
from mien.data.image_sample import sample_images
from mien.evaluation.calibration import apply_temperature
from mien.evaluation.cross_validation import cross_validate_temperature
from mien.evaluation.metrics import log_loss
from mien.evaluation.scoring import evaluate
from mien.files import write_bytes
from mien.labels import FER2013, FERPLUS, FUSED
from mien.recognition.classifier import Classifier
from mien.training.keras_io import save_network
from mien.training.onnx_export import export_onnx, quantize
from mien.training.onnx_fusion import FUSED_OUTPUT, add_fused_answer
from mien.workflows.evaluate_model import card_scores
from mien.workflows.export_onnx import CALIBRATION_IMAGES, with_card

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.evaluation.evaluation import Evaluation

FITTED = "PublicTest (fitted on)"
"""The name in the card of the split that the temperatures were fitted on."""

_TEMPERATURES = np.geomspace(0.4, 2.5, 74)


def write_release(
    network: keras.Model,
    card: ModelCard,
    dataset: Dataset,
    target: str | Path,
    *,
    faces: Dataset | None = None,
) -> dict[str, dict[str, Any]]:
    """Write a network as int8 ONNX, with temperatures that were fitted on PublicTest.

    Args:
        network: a trained network, which is not changed.
        card: its card.
        dataset: its training data, with the split PublicTest; for a network with two heads, with votes.
        target: the ONNX file to write.
        faces: faces of other sources, on which the temperature of `fused` is fitted as well.

    Returns:
        By label set, the accuracy on PublicTest in `float32` and in `int8` (`fused`: only `int8`, against FER2013's
        labels), the number of images `n`, and `temperature_at_bound`: whether the search for a temperature ended at a
        bound.

    Raises:
        ModelError: If the conversion to ONNX failed.
        DataError: PublicTest is empty.
    """
    card = _uncalibrated(card)
    crops = sample_images(dataset.subset(TRAINING).images, CALIBRATION_IMAGES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, small = _both_files(network, card, crops, folder)
        report = {
            label_set: {"float32": _evaluated(plain, dataset, label_set).accuracy}
            for label_set in card.label_sets
        }
        finish_release(small, card, dataset, report, faces=faces)
        write_bytes(Path(target), small.read_bytes())
    return report


def finish_release(
    path: Path,
    card: ModelCard,
    dataset: Dataset,
    report: dict[str, dict[str, Any]],
    *,
    faces: Dataset | None = None,
) -> None:
    """Add the fused output to an int8 file, fit its temperatures, and write its scores on PublicTest to its card.

    Args:
        path: the ONNX file, which is rewritten.
        card: its card, uncalibrated.
        dataset: as for `write_release`.
        report: the results by label set, updated in place.
        faces: as for `write_release`.
    """
    votes = dataset.subset(TRAINING).votes
    if [head.label_set for head in card.all_heads] == [FER2013.name, FERPLUS.name] and votes is not None:
        shares = vote_distribution(votes).sum(axis=0)
        write_bytes(path, add_fused_answer(path.read_bytes(), shares / shares.sum()))
        own, *others = card.all_heads
        fused = Head(FUSED, FER2013.classes, FUSED_OUTPUT)
        card = replace(card, **vars(fused), heads=(own, *others))
    put_card(path, card)
    for label_set in reversed(list(card.label_sets)):  # the main label set last, so that it comes first
        raw = _evaluated(path, dataset, label_set)
        row = report.setdefault(label_set, {})
        row["int8"], row["n"] = raw.accuracy, raw.n
        if label_set == FUSED:
            temperature, row["temperature_at_bound"] = _fit_over(path, raw, faces)
        else:
            fit = cross_validate_temperature(raw.probabilities, raw.true, raw.groups)
            temperature, row["temperature_at_bound"] = fit.temperature, fit.at_bound
        card = replace(card.with_label_set(label_set), temperature=temperature)
    put_card(path, card)
    put_card(path, with_scores(path, dataset, {PUBLIC_TEST: FITTED}))


def _fit_over(path: Path, public: Evaluation, faces: Dataset | None) -> tuple[float, bool]:
    """Fit the temperature to the mean log loss over PublicTest and each other source; also return if at a bound."""
    parts = [(public.probabilities, public.true)]
    if faces is not None and faces.sources is not None:
        given = Classifier(path).with_label_set(FUSED).probabilities(faces.images)
        for source in sorted(set(faces.sources.tolist())):
            here = faces.sources == source
            parts.append((given[here].astype(np.float64), faces.labels[here]))
    losses = [
        float(np.mean([log_loss(true, apply_temperature(p, float(t))) for p, true in parts]))
        for t in _TEMPERATURES
    ]
    best = int(np.argmin(losses))
    return float(_TEMPERATURES[best]), best in {0, len(_TEMPERATURES) - 1}


def put_card(path: Path, card: ModelCard) -> None:
    """Replace the card of an ONNX file."""
    write_bytes(path, with_card(path.read_bytes(), card))


def with_scores(path: Path, dataset: Dataset, splits: dict[str, str]) -> ModelCard:
    """Return the card of an ONNX file with additional scores: on some splits, in each of its label sets.

    Args:
        path: the file.
        dataset: the images, with votes if a label set is FER+'s.
        splits: name of each split in the card.
    """
    card = Classifier(path).card
    for label_set in reversed(list(card.label_sets)):
        card = card.with_label_set(label_set)
        scores = dict(card.scores)
        for split, title in splits.items():
            found = _evaluated(path, dataset, label_set, split)
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
    """Write the network as ONNX, in float32 and in int8."""
    saved = save_network(network, folder / "float.keras", card)
    plain = export_onnx(saved, folder / "float.onnx", card)
    return plain, quantize(plain, folder / "int8.onnx", crops)


def _evaluated(path: Path, dataset: Dataset, label_set: str, split: str = PUBLIC_TEST) -> Evaluation:
    classifier = Classifier(path).with_label_set(label_set)
    votes = label_set == FERPLUS.name and dataset.label_set != FERPLUS
    images = as_ferplus(dataset) if votes else dataset
    return evaluate(classifier.probabilities, images, class_names=classifier.labels, split=split)
