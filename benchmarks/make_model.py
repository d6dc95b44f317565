"""Make the bundled model from a finished training: int8, calibrated, judged, its scores in its card.

usage: python benchmarks/make_model.py RUN... --data fer2013.csv --votes FERPlus [--out src/mien/assets/small.onnx]
       [--private] [--report benchmarks/results/public.json]

RUN is the folder of a training with two heads; of several, one trained from the other, the weights are averaged. What
`mien train` leaves as release.onnx where TensorFlow is installed is made here for runs that came from elsewhere,
and named after the file. With --private the scores on PrivateTest are measured too and written into the card: once, at
the end. --report adds what PublicTest says of it to a file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mien
from mien.cli.releasing import put_card, with_scores, write_release
from mien.data.dataset import PRIVATE_TEST, TRAINING
from mien.recognition.classifier import Classifier

if TYPE_CHECKING:
    import keras

    from mien.card import ModelCard
    from mien.data.dataset import Dataset

LICENCE = (
    "MIT, as far as it is ours to give. Trained on FER2013, whose pictures no clear licence allows passing on: whether "
    "a model trained on it may be used in your case is for you to judge."
)
"""What the README says of the bundled models, in their cards."""

SAMPLE = 4096  # training pictures on which the normalisations of an average are measured


def float_network(runs: list[Path], training: Dataset) -> tuple[keras.Model, ModelCard]:
    """The network of a run, or the average of several, and its card."""
    from mien.training.averaging import average_networks
    from mien.training.keras_loading import load_network
    from mien.training.recipe import Recipe
    from mien.training.saving import read_card

    card = read_card(runs[-1] / "best.keras")
    if card is None:
        raise SystemExit(f"{runs[-1]}: expected the run folder of a training, got a network without a card.")
    networks = [load_network(run / "best.keras") for run in runs]
    if len(runs) == 1:
        return networks[0], card
    rng = np.random.default_rng(0)
    chosen = training.images[np.sort(rng.permutation(len(training))[:SAMPLE])]
    changed = Recipe.from_dict(card.recipe).augmentation.apply(chosen, rng)
    return average_networks(networks, changed), card


def show(card: ModelCard, told: dict[str, dict[str, Any]]) -> None:
    """What was measured."""
    for taxonomy, row in told.items():
        print(f"{taxonomy}, accuracy on PublicTest:")
        for name, value in row.items():
            print(f"  {name} {f'{value:.4f}' if isinstance(value, float) else value}")
        for title, scores in card.answering_in(taxonomy).scores.items():
            print(f"  {title}: " + ", ".join(f"{name} {value}" for name, value in scores.items()))


def keep_report(path: Path, name: str, told: dict[str, dict[str, Any]]) -> None:
    """Add a model to the report."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found[name] = told
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def keep_sum(path: Path) -> None:
    """Put the file's checksum into the list beside it, where there is one."""
    sums = path.with_name("SHA256SUMS")
    if sums.exists():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {path.name}")]
        lines.append(f"{digest}  {path.name}")
        sums.write_text("\n".join(sorted(lines, key=lambda line: line[66:])) + "\n")


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
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    dataset = mien.load(options.data, votes=options.votes)
    with tempfile.TemporaryDirectory() as folder:
        network, card = float_network(options.runs, dataset.subset(TRAINING))
        made = Path(folder) / "int8.onnx"
        told = write_release(network, card, dataset, made)
        if options.private:
            put_card(made, with_scores(made, dataset, {PRIVATE_TEST: "PrivateTest"}))
        card = Classifier(made).card
        source = card.training_data.replace(options.data, Path(options.data).name)
        put_card(
            made,
            replace(card, name=f"{options.out.stem}-{card.taxonomy}", training_data=source, licence=LICENCE),
        )
        options.out.write_bytes(made.read_bytes())
    show(card, told)
    if options.report:
        keep_report(options.report, options.out.stem, told)
    keep_sum(options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
