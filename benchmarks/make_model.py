"""Build a bundled model: int8, with the fused label set, calibrated and evaluated, with the scores in its card.

usage: python benchmarks/make_model.py RUN... --data fer2013.csv --votes FERPlus [--faces FOLDER]
       [--out src/mien/assets/small.onnx] [--private] [--report benchmarks/results/public.json] [--biases NAME]

RUN is the run folder of a network with two heads (if several are given, each trained from the previous one, their
weights are averaged), a network of `gpu_campaign.py` (.npz), or an int8 file that this script made before (.onnx), whose
heads are kept, without the biases that --report contains for NAME, if given. --faces are faces from other sources, on
which the temperature of the fused label set is fitted together with PublicTest. --private also measures the scores on
PrivateTest and writes them to the card: once, at the end. --report adds the PublicTest scores to a file.
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
from card_texts import LICENSE, LIMITS
from mien.data.dataset import PRIVATE_TEST, TRAINING
from mien.recognition.classifier import Classifier
from mien.workflows.release import finish_release, put_card, with_scores, write_release

if TYPE_CHECKING:
    import keras

    from mien.card import ModelCard
    from mien.data.dataset import Dataset

SAMPLE = (
    4096  # training images on which the batch normalization statistics of averaged weights are recomputed
)


def campaign_network(path: Path) -> tuple[keras.Model, ModelCard]:
    """Return a network of the GPU campaign, and its card."""
    from campaign_weights import keras_network, read_facts
    from mien.card import Head, ModelCard
    from mien.labels import FER2013, FERPLUS
    from mien.training.networks import HEADS

    facts = read_facts(path)
    card = ModelCard(
        name=facts["name"],
        labels=FER2013.classes,
        label_set=FER2013.name,
        training_data=(
            "fer2013.csv with the votes of ferplus, 28017 images of the split Training, none of them a copy of a test "
            "image; distilled from teacher-fine, teacher-wide, teacher-deep"
        ),
        recipe={"name": "gpu_campaign", "network": {"kind": "compact", **facts["spec"]}, "seed": facts["seed"],
                "epochs": facts["epochs"]},
        made_with=f"mien {mien.__version__}, benchmarks/gpu_campaign.py, PyTorch 2.11.0",
        output=HEADS[0],
        heads=(Head(FERPLUS.name, FERPLUS.classes, HEADS[1]),),
    )  # fmt: skip
    return keras_network(path, heads=(len(FER2013), len(FERPLUS))), card


def refit(
    path: Path, biases: dict[str, Any], dataset: Dataset, faces: Dataset | None, made: Path
) -> dict[str, Any]:
    """Write an int8 file without its biases and with the fused label set to `made`."""
    from mien.labels import FER2013, FERPLUS
    from mien.training.onnx_fusion import remove_biases

    card = Classifier(path).card
    heads = tuple(replace(head, temperature=1.0, scores={}) for head in card.heads)
    card = replace(card, temperature=1.0, scores={}, heads=heads)
    order = {FER2013.name: FER2013.classes, FERPLUS.name: FERPLUS.classes}
    added = {
        answer.output: np.array(
            [biases[answer.label_set]["biases"][name] for name in order[answer.label_set]]
        )
        for answer in card.all_heads
        if biases
    }
    made.write_bytes(remove_biases(path.read_bytes(), added))
    told: dict[str, Any] = {}
    finish_release(made, card, dataset, told, faces=faces)
    return told


def float_network(runs: list[Path], training: Dataset) -> tuple[keras.Model, ModelCard]:
    """Return the network of a run, or the average of several, and its card."""
    from mien.training.keras_io import read_card
    from mien.training.keras_loading import load_network
    from mien.training.recipe import Recipe
    from mien.training.weight_averaging import average_networks

    card = read_card(runs[-1] / "best.keras")
    if card is None:
        raise SystemExit(f"{runs[-1]}: expected a run folder, got a network without a model card.")
    networks = [load_network(run / "best.keras") for run in runs]
    if len(runs) == 1:
        return networks[0], card
    rng = np.random.default_rng(0)
    chosen = training.images[np.sort(rng.permutation(len(training))[:SAMPLE])]
    changed = Recipe.from_dict(card.recipe).augmentation.apply(chosen, rng)
    return average_networks(networks, changed), card


def show(card: ModelCard, told: dict[str, dict[str, Any]]) -> None:
    """Print the scores."""
    for label_set, row in told.items():
        print(f"{label_set}, accuracy on PublicTest:")
        for name, value in row.items():
            print(f"  {name} {f'{value:.4f}' if isinstance(value, float) else value}")
        for title, scores in card.with_label_set(label_set).scores.items():
            print(f"  {title}: " + ", ".join(f"{name} {value}" for name, value in scores.items()))


def keep_report(path: Path, name: str, told: dict[str, dict[str, Any]]) -> None:
    """Add a model to the report."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found[name] = told
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def keep_sum(path: Path) -> None:
    """Update the checksum of the file in SHA256SUMS, if there is such a list."""
    sums = path.with_name("SHA256SUMS")
    if sums.exists():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {path.name}")]
        lines.append(f"{digest}  {path.name}")
        sums.write_text("\n".join(sorted(lines, key=lambda line: line[66:])) + "\n")


def main() -> None:
    """Quantize, calibrate, evaluate and write the model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("--out", type=Path, default=Path("src/mien/assets/small.onnx"))
    parser.add_argument("--faces", help="folder with faces from other sources")
    parser.add_argument("--biases", help="name of the .onnx file in --report")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    dataset = mien.load(options.data, votes=options.votes)
    faces = mien.load(options.faces) if options.faces else None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        first = options.runs[0]
        if first.suffix == ".onnx":
            report = json.loads(options.report.read_text(encoding="utf-8")) if options.biases else {}
            known = report.get(options.biases, {})
            told = refit(first, known, dataset, faces, made)
        else:
            if first.suffix == ".npz":
                network, card = campaign_network(first)
            else:
                network, card = float_network(options.runs, dataset.subset(TRAINING))
            told = write_release(network, card, dataset, made, faces=faces)
        if options.private:
            put_card(made, with_scores(made, dataset, {PRIVATE_TEST: "PrivateTest"}))
        card = Classifier(made).card
        source = card.training_data.replace(options.data, Path(options.data).name)
        put_card(
            made, replace(card, name=options.out.stem, training_data=source, license=LICENSE, limits=LIMITS)
        )
        options.out.write_bytes(made.read_bytes())
    show(card, told)
    if options.report and not options.biases:
        keep_report(options.report, options.out.stem, told)
    keep_sum(options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
