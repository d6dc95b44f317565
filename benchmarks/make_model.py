"""Make the bundled model from a finished training: int8, calibrated, judged, its scores in its card.

usage: python benchmarks/make_model.py RUN... --data fer2013.csv --votes FERPlus [--out src/mien/assets/small.onnx]
       [--private]

RUN is the folder of a training with two heads; of several, one trained from the other, the weights are averaged.
Training pictures set the ranges of int8, PublicTest the biases and the temperatures; what biases give to pictures that
they were not fitted on is told by five-fold cross-validation on PublicTest. With --private the scores on PrivateTest are
measured too and written into the card: once, at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

import mien
from mien.card import METADATA_KEY
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.data.ferplus import as_ferplus
from mien.evaluation.calibration import apply_biases, apply_temperature, fit_biases, fit_temperature
from mien.evaluation.evaluate import evaluate
from mien.recognition.classifier import Classifier
from mien.training.onnx_export import export_onnx, quantize
from mien.training.saving import save_network

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from mien.card import ModelCard
    from mien.data.dataset import Dataset

CALIBRATION_FACES = 512
FOLDS = 5
SAMPLE = 4096  # training pictures on which the normalisations of an average are measured


def float_network(runs: list[Path], training: Dataset) -> tuple[keras.Model, ModelCard]:
    """The network of a run, or the average of several, and its card."""
    from mien.training.averaging import average_networks
    from mien.training.recipe import Recipe
    from mien.training.saving import load_network, read_card

    card = read_card(runs[-1] / "best.keras")
    if card is None:
        raise SystemExit(f"{runs[-1]}: expected the run folder of a training, got a network without a card.")
    networks = [load_network(run / "best.keras") for run in runs]
    if len(runs) == 1:
        return networks[0], card
    rng = np.random.default_rng(0)
    chosen = training.images[np.sort(rng.permutation(len(training))[:SAMPLE])]
    changed = Recipe.from_dict(card.recipe).augmentation.apply(chosen, rng)
    return average_networks(networks, changed), replace(card, scores={})


def both_files(network: keras.Model, card: ModelCard, training: Dataset, folder: Path) -> tuple[Path, Path]:
    """The network as ONNX, in float32 and in int8."""
    plain = export_onnx(save_network(network, folder / "float.keras", card), folder / "float.onnx", card)
    return plain, quantize(plain, folder / "int8.onnx", training.images[:CALIBRATION_FACES])


def add_biases(network: keras.Model, classifier: Classifier, dataset: Dataset) -> None:
    """Add to each head's bias what PublicTest says of the classes it answers too often or too seldom."""
    for taxonomy in classifier.taxonomies:
        answer = classifier.answering_in(taxonomy)
        raw = evaluate(
            answer.probabilities, judged_on(dataset, taxonomy), labels=answer.labels, split=PUBLIC_TEST
        )
        # The card's temperature is not in the weights.
        untempered = apply_temperature(raw.probabilities, 1 / answer.card.temperature)
        biases = fit_biases(untempered, raw.true)
        told = ", ".join(f"{label} {bias:+.2f}" for label, bias in zip(answer.labels, biases, strict=True))
        print(f"{taxonomy}: biases {told}")
        print(
            f"{taxonomy}: accuracy in int8 by cross-validation {cross_validated(untempered, raw.true):.4f}, "
            f"without them {raw.accuracy:.4f}"
        )
        layer = network.get_layer(answer.card.output)
        layer.bias.assign(layer.bias + biases)


def cross_validated(probabilities: NDArray[np.float64], true: NDArray[np.int64]) -> float:
    """The accuracy with biases that were fitted on four fifths of the pictures and used on the other."""
    part = np.random.default_rng(0).permutation(len(true)) % FOLDS
    right = 0
    for fold in range(FOLDS):
        out = part == fold
        biased = apply_biases(probabilities[out], fit_biases(probabilities[~out], true[~out]))
        right += int((biased.argmax(axis=1) == true[out]).sum())
    return right / len(true)


def with_card(path: Path, card: ModelCard) -> Classifier:
    """Write a card into an ONNX file and open it."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return Classifier(path)


def judged_on(dataset: Dataset, taxonomy: str) -> Dataset:
    """The data in the label set that is judged."""
    return dataset if dataset.taxonomy.name == taxonomy else as_ferplus(dataset)


def calibrated(classifier: Classifier, dataset: Dataset) -> ModelCard:
    """The card with temperatures fitted on PublicTest, its first label set in front as it was."""
    card = classifier.card
    for taxonomy in reversed(list(card.taxonomies)):
        card = card.answering_in(taxonomy)
        answer = classifier.answering_in(taxonomy)
        raw = evaluate(
            answer.probabilities, judged_on(dataset, taxonomy), labels=answer.labels, split=PUBLIC_TEST
        )
        warmth = answer.card.temperature * fit_temperature(raw.probabilities, raw.true)
        card = replace(card, temperature=warmth, scores={})
    return card


def scored(classifier: Classifier, dataset: Dataset, splits: dict[str, str]) -> ModelCard:
    """The card with the scores of each label set on each split, told by the split's title."""
    card = classifier.card
    for taxonomy in reversed(list(card.taxonomies)):
        card = card.answering_in(taxonomy)
        answer = classifier.answering_in(taxonomy)
        scores: dict[str, Any] = {}
        for split, title in splits.items():
            found = evaluate(
                answer.probabilities, judged_on(dataset, taxonomy), labels=answer.labels, split=split
            )
            kept = found.to_dict()
            scores[title] = {
                name: kept[name] for name in ("n", "accuracy", "accuracy_interval", "macro_f1", "loss", "ece")
            }
            scores[title]["accuracy_without_copies"] = found.duplicate_free["accuracy"]
            print(
                f"{taxonomy} {split}: "
                + ", ".join(f"{name} {value}" for name, value in scores[title].items())
            )
        card = replace(card, scores=scores)
    return card


def main() -> None:
    """Quantise, calibrate, judge, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("--out", type=Path, default=Path("src/mien/assets/small.onnx"))
    parser.add_argument("--private", action="store_true")
    options = parser.parse_args()
    dataset = mien.load(options.data, votes=options.votes)
    training = dataset.subset(TRAINING)
    with tempfile.TemporaryDirectory() as folder:
        network, card = float_network(options.runs, training)
        _, unbiased = both_files(network, card, training, Path(folder))
        add_biases(network, Classifier(unbiased), dataset)
        plain_file, small = both_files(network, card, training, Path(folder))
        print("float32, before it is int8:")
        scored(Classifier(plain_file), dataset, {PUBLIC_TEST: "PublicTest"})
        plain = Classifier(small).card
        source = plain.training_data.replace(options.data, Path(options.data).name)
        named = with_card(
            small, replace(plain, name=f"{options.out.stem}-{plain.taxonomy}", training_data=source)
        )
        classifier = with_card(small, calibrated(named, dataset))
        splits = {PUBLIC_TEST: "PublicTest (fitted on)"}
        if options.private:
            splits[PRIVATE_TEST] = "PrivateTest"
        with_card(small, scored(classifier, dataset, splits))
        options.out.write_bytes(small.read_bytes())
    sums = options.out.with_name("SHA256SUMS")
    if sums.exists():
        digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
        lines = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {options.out.name}")]
        sums.write_text(
            "\n".join(sorted([*lines, f"{digest}  {options.out.name}"], key=lambda x: x[66:])) + "\n"
        )
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
