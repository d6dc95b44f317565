"""Compare the speed and accuracy of mien with another package, on clean and corrupted images, in one run.

usage: python benchmarks/accuracy.py --data fer2013.csv --votes FERPlus [--split PublicTest] [--model default]
       [--also MODEL...] [--fer PYTHON_WITH_FER] [--rounds 11] [--out benchmarks/results/accuracy.json]

Evaluates FER2013 with seven classes, with and without flip TTA, and without the images that have a copy in another
split; the FER+ majority with eight; then every corruption of `corruptions.py` in three strengths, with seven classes.
`fer` gets the same crops, enlarged to the 64 pixels of its network, in its own process. Models given with `--also` are
evaluated in the same way. With `--fer` and the bundled default model, the speed of both is measured first, in turns,
as `speed.py` does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mien
from corruptions import CORRUPTIONS, STRENGTHS, corrupt
from machine import describe_machine
from mien.data.ferplus import as_ferplus
from mien.evaluation import metrics
from mien.evaluation.scoring import evaluate
from speed import PACKAGES, beside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

Predict = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]

_KEPT = (
    "n",
    "accuracy",
    "accuracy_interval",
    "macro_f1",
    "loss",
    "ece",
    "per_class",
    "confusion",
    "duplicate_free",
)


def fer_through(python: str) -> Predict:
    """Return a function from crops to probabilities that runs `fer`'s own network with another interpreter."""

    def predict(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "crops.npy", Path(folder) / "probabilities.npy"
            np.save(source, crops)
            peers = Path(__file__).with_name("peers.py")
            command = [python, str(peers), "fer", "--crops", str(source), str(target)]
            subprocess.run(command, check=True, capture_output=True)
            return np.load(target)

    return predict


def score_split(
    predict: Predict, dataset: Dataset, labels: tuple[str, ...], split: str, *, tta: bool = False
) -> dict[str, Any]:
    """Return the scores of one model on one split."""
    scores = evaluate(
        predict, dataset, class_names=labels, split=split, batch_size=100_000, flip_tta=tta
    ).to_dict()
    return {name: scores[name] for name in _KEPT}


def both(name: str) -> tuple[Predict, Predict]:
    """Return the predictions of a model of mien with seven and with eight classes."""
    classifier = mien.Classifier(name)
    if "ferplus" not in classifier.label_sets:
        return classifier.probabilities, without_contempt(classifier.probabilities)
    return (
        classifier.with_label_set("fer2013").probabilities,
        classifier.with_label_set("ferplus").probabilities,
    )


def without_contempt(predict: Predict) -> Predict:
    """Map FER2013's seven classes to FER+'s eight; the probability of contempt is 0."""
    columns = [i for i in mien.FERPLUS.map_to(mien.FER2013) if i is not None]
    return lambda crops: np.pad(predict(crops)[:, columns], ((0, 0), (0, 1)))


def corrupted(predict: Predict, images: Dataset) -> dict[str, list[dict[str, float]]]:
    """Return accuracy and macro-F1 for each corruption, from the weakest to the strongest."""
    table: dict[str, list[dict[str, float]]] = {}
    for name in CORRUPTIONS:
        table[name] = []
        for strength in STRENGTHS:
            answer = predict(corrupt(images.images, name, strength)).argmax(axis=1)
            confusion = metrics.confusion_matrix(images.labels, answer, len(images.label_set))
            table[name].append(
                {"accuracy": metrics.accuracy(confusion), "macro_f1": metrics.macro_f1(confusion)}
            )
    return table


def measure(
    seven: Predict, eight: Predict, dataset: Dataset, split: str, *, with_corruptions: bool
) -> dict[str, Any]:
    """Return all scores of one model."""
    found: dict[str, Any] = {
        "fer2013": score_split(seven, dataset, mien.FER2013.classes, split),
        "fer2013 with flip TTA": score_split(seven, dataset, mien.FER2013.classes, split, tta=True),
        "ferplus": score_split(eight, as_ferplus(dataset), mien.FERPLUS.classes, split),
    }
    if with_corruptions:
        found["corruptions"] = corrupted(seven, dataset.subset(split))
    return found


def show(results: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    for model, found in results.items():
        for name in ("fer2013", "fer2013 with flip TTA", "ferplus"):
            scores = found[name]
            low, high = scores["accuracy_interval"]
            alone = scores["duplicate_free"]["accuracy"]
            print(
                f"{model:<8} {name:<22} n {scores['n']:,}  accuracy {scores['accuracy']:.2%} ({low:.2%} to {high:.2%})  "
                f"macro-F1 {scores['macro_f1']:.4f}  without copies {alone:.2%}  ECE {scores['ece']:.4f}"
            )
    if any("corruptions" not in found for found in results.values()):
        return
    print(f"{'corruption':<16}" + "".join(f"{model:>27}" for model in results))
    for name in CORRUPTIONS:
        cells = [
            " ".join(f"{row['accuracy']:8.2%}" for row in found["corruptions"][name])
            for found in results.values()
        ]
        print(f"{name:<16}" + "".join(f"{cell:>27}" for cell in cells))


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("--split", default="PublicTest")
    parser.add_argument("--model", default="default")
    parser.add_argument("--fer", metavar="PYTHON")
    parser.add_argument("--also", metavar="MODEL", action="append", default=[])
    parser.add_argument("--no-corruptions", action="store_true")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine = describe_machine(PACKAGES)  # before this process imports the models
    timed = options.fer and options.model in {"default", "small"}
    speed = beside({"fer": options.fer}, options.rounds) if timed else None
    dataset = mien.load(options.data, votes=options.votes)
    models = {"mien": both(options.model), **{name: both(name) for name in options.also}}
    if options.fer:
        fer = fer_through(options.fer)
        models["fer"] = (fer, without_contempt(fer))
    results = {
        name: measure(*predicts, dataset, options.split, with_corruptions=not options.no_corruptions)
        for name, predicts in models.items()
    }
    show(results)
    if options.out:
        document = {
            "split": options.split,
            "model": mien.Classifier(options.model).card.name,
            "machine": machine,
            "speed": speed,
            "results": results,
        }
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
