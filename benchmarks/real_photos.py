"""Evaluate models on faces from sources other than FER2013, by source, with intervals over people and videos.

usage: python benchmarks/real_photos.py --faces FOLDER [--fer PYTHON] [--out benchmarks/results/real_photos.json]
       tiny small large small-2026-11

FOLDER contains sheets (see `mien.data.image_sheets`) with the columns source and group. PYTHON is an interpreter with
fer installed; it gets the same crops. If the faces were used to choose settings, as in this project, the result is not
a test score.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mien
from machine import describe_machine
from mien.evaluation.by_source import score_sources
from mien.evaluation.metrics import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset


def ask_fer(python: str, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return probabilities of fer's network for crops uint8 (n, 48, 48), in FER2013's order; each row sums to 1."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "crops.npy", Path(folder) / "probabilities.npy"
        np.save(source, crops)
        peers = Path(__file__).with_name("peers.py")
        subprocess.run([python, peers, "fer", "--crops", source, target], check=True, capture_output=True)
        given = np.load(target).astype(np.float64)
    return given / given.sum(axis=1, keepdims=True)


def score_by_source(probabilities: NDArray[np.float64], faces: Dataset) -> dict[str, Any]:
    """Return the scores by source, with the confusion matrix (rows are true classes) in the order of the classes."""
    assert faces.sources is not None
    found = score_sources(probabilities, faces.labels, faces.label_set.classes, faces.sources, faces.groups)
    predicted = probabilities.argmax(axis=1)
    for name, row in found.items():
        here = faces.sources == name
        matrix = confusion_matrix(faces.labels[here], predicted[here], len(faces.label_set))
        row["confusion"] = matrix.tolist()
    return found


def calm_faces(found: dict[str, Any], classes: Sequence[str]) -> str:
    """Format how often neutral faces of each source are called neutral, and how often angry or sad."""
    neutral = classes.index("neutral")
    wrong = [classes.index("angry"), classes.index("sad")]
    lines = ["| neutral faces called | neutral | angry or sad |", "|---|---|---|"]
    for name, told in found.items():
        for source, row in told.items():
            if n := sum(row["confusion"][neutral]):
                counts = row["confusion"][neutral]
                lost = sum(counts[i] for i in wrong)
                lines.append(f"| {name}, {source} | {counts[neutral] / n:.0%} | {lost / n:.0%} |")
    return "\n".join(lines)


def table(found: dict[str, Any]) -> str:
    """Format mean recall with interval, neutral recall and calibration error, one row per model and label set."""
    sources = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(sources) + " |", "|---" * (len(sources) + 1) + "|"]
    for name, told in found.items():
        cells = []
        for row in told.values():
            low, high = row["mean_recall_interval"]
            neutral = row["recall"]["neutral"] if row["support"]["neutral"] else None
            calm = f"; neutral {100 * neutral:.0f}" if neutral is not None else ""
            cells.append(
                f"{100 * row['mean_recall']:.1f} ({100 * low:.1f} to {100 * high:.1f}){calm}; ECE {row['ece']:.3f}"
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Evaluate every label set of every model, print the table and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--faces", required=True)
    parser.add_argument("--fer", metavar="PYTHON")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/real_photos.json"))
    options = parser.parse_args()
    faces = mien.load(options.faces)
    found: dict[str, Any] = {}
    for name in options.models:
        plain = mien.Classifier(name)
        averaged = mien.Classifier(name, flip_tta=True)
        for label_set, flip_tta in product(plain.label_sets, (False, True)):
            answer = (averaged if flip_tta else plain).with_label_set(label_set)
            given = answer.probabilities(faces.images).astype(np.float64)
            columns = [
                answer.labels.index(label) for label in faces.label_set.classes if label in answer.labels
            ]
            if len(columns) < len(faces.label_set):  # FER+ uses other class names, and has contempt
                order = [
                    next(i for i, own in enumerate(answer.labels) if _same(own, label))
                    for label in faces.label_set.classes
                ]
                given = given[:, order]
                given /= given.sum(axis=1, keepdims=True)
            found[f"{name}, {label_set}{', flip TTA' if flip_tta else ''}"] = score_by_source(given, faces)
    if options.fer:
        found["fer"] = score_by_source(ask_fer(options.fer, faces.images), faces)
    print(table(found))
    print(calm_faces(found, faces.label_set.classes))
    document = {
        "faces": len(faces), "classes": list(faces.label_set.classes), "machine": describe_machine(()), "results": found,
    }  # fmt: skip
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _same(own: str, label: str) -> bool:
    from mien.labels import FER2013

    try:
        return FER2013.classes[FER2013.index(own)] == label
    except mien.MienError:
        return False


if __name__ == "__main__":
    main()
