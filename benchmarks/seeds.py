"""Scores of several seeds of each network: mean, standard deviation and ensembles.

usage: python benchmarks/seeds.py --data fer2013.csv --votes FERPlus [--split PublicTest] [--out FILE]
       small=MODEL,MODEL,MODEL large=MODEL,MODEL,MODEL [teachers=MODEL,MODEL]

Each model of a group is evaluated with FER2013's seven classes and FER+'s eight, with and without flip TTA, then the
group as an ensemble, the mean of its members' probabilities; finally the ensemble of all models.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mien
from machine import describe_machine
from mien.data.ferplus import as_ferplus
from mien.evaluation.scoring import evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

CHUNK = 256
JUDGEMENTS = (("fer2013", False), ("fer2013", True), ("ferplus", False), ("ferplus", True))


class Remembering:
    """A model with cached predictions.

    Args:
        path: an ONNX file.
    """

    def __init__(self, path: str) -> None:
        self._classifier = mien.Classifier(path)
        self._known: dict[str, dict[bytes, NDArray[np.float32]]] = {
            name: {} for name in self._classifier.label_sets
        }

    def probabilities(self, label_set: str, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for gray crops uint8 (n, 48, 48) in a label set."""
        known = self._known[label_set]
        keys = [crop.tobytes() for crop in crops]
        new = [i for i, key in enumerate(keys) if key not in known]
        for start in range(0, len(new), CHUNK):
            chosen = new[start : start + CHUNK]
            answers = self._classifier.all_probabilities(np.ascontiguousarray(crops[chosen]))
            for name, rows in answers.items():
                self._known[name].update(zip((keys[i] for i in chosen), rows, strict=True))
        return np.stack([known[key] for key in keys])


def score_ensemble(members: Sequence[Remembering], dataset: Dataset, split: str) -> dict[str, Any]:
    """Return the scores of the mean of the members' predictions, by label set and with or without flip TTA."""
    found = {}
    for label_set, tta in JUDGEMENTS:

        def predict(crops: NDArray[np.uint8], label_set: str = label_set) -> NDArray[np.float32]:
            return np.mean([member.probabilities(label_set, crops) for member in members], axis=0)

        images = dataset if label_set == "fer2013" else as_ferplus(dataset)
        labels = mien.FER2013.classes if label_set == "fer2013" else mien.FERPLUS.classes
        scores = evaluate(predict, images, class_names=labels, split=split, batch_size=100_000, flip_tta=tta)
        kept = scores.to_dict()
        found[label_set + (" with flip TTA" if tta else "")] = {
            name: kept[name] for name in ("n", "accuracy", "accuracy_interval", "macro_f1", "loss", "ece")
        } | {"accuracy_without_copies": kept["duplicate_free"]["accuracy"]}
    return found


def spread(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return mean and standard deviation over seeds of accuracy and macro-F1."""
    return {
        kind: {
            name: [
                statistics.mean(row[kind][name] for row in rows),
                statistics.stdev(row[kind][name] for row in rows),
            ]
            for name in ("accuracy", "accuracy_without_copies", "macro_f1")
        }
        for kind in rows[0]
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print one line per evaluation."""
    for kind, scores in found.items():
        if isinstance(scores["accuracy"], list):
            told = ", ".join(f"{key} {100 * m:.2f} ± {100 * s:.2f}" for key, (m, s) in scores.items())
        else:
            low, high = scores["accuracy_interval"]
            told = (
                f"accuracy {scores['accuracy']:.2%} ({low:.2%} to {high:.2%}), without copies "
                f"{scores['accuracy_without_copies']:.2%}, macro-F1 {scores['macro_f1']:.4f}, loss {scores['loss']:.4f}"
            )
        print(f"{name:<34} {kind:<22} {told}", flush=True)


def main() -> None:
    """Evaluate, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("--split", default="PublicTest")
    parser.add_argument("--out", type=Path)
    parser.add_argument("groups", nargs="+", metavar="NAME=MODEL,MODEL")
    options = parser.parse_args()
    dataset = mien.load(options.data, votes=options.votes)
    results: dict[str, Any] = {}
    everyone: list[Remembering] = []
    for group in options.groups:
        name, _, paths = group.partition("=")
        members = {Path(path).stem: Remembering(path) for path in paths.split(",")}
        everyone += members.values()
        rows = {stem: score_ensemble([member], dataset, options.split) for stem, member in members.items()}
        for stem, row in rows.items():
            show(stem, row)
        results[name] = {"models": rows}
        if len(rows) == 1:
            continue
        results[name]["spread"] = spread(list(rows.values()))
        results[name]["ensemble"] = score_ensemble(list(members.values()), dataset, options.split)
        show(f"{name}, mean of {len(rows)}", results[name]["spread"])
        show(f"{name}, ensemble", results[name]["ensemble"])
    results["all"] = {"ensemble": score_ensemble(everyone, dataset, options.split)}
    show(f"ensemble of all {len(everyone)}", results["all"]["ensemble"])
    if options.out:
        document = {
            "split": options.split,
            "machine": describe_machine(("mien", "onnxruntime", "numpy")),
            "results": results,
        }
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
