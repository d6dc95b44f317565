"""Search settings of the fused label set on faces from other sources and on PublicTest.

usage: python benchmarks/fusion_search.py MODEL... --data fer2013.csv --votes FERPlus --faces FOLDER
       [--out benchmarks/results/fusion.json]

Every MODEL supports fer2013 and ferplus. For each weight of the FER+ probabilities and each power of its class
frequencies: the mean recall on each source, averaged over the models, and the accuracy on PublicTest against FER2013's
labels and against FER+'s majority. PrivateTest is not read.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mien
from machine import describe_machine
from mien.data.dataset import PUBLIC_TEST, TRAINING
from mien.data.ferplus import majority, vote_distribution
from mien.evaluation.by_source import FEWEST_FACES, mean_recall
from mien.evaluation.metrics import confusion_matrix
from mien.labels import FER2013, FERPLUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
EXPONENTS = (0.4, 0.5, 0.6, 0.75, 0.9)
COLUMNS = [FERPLUS.map_to(FER2013).index(i) for i in range(len(FER2013))]


def logs_of(
    model: mien.Classifier, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return uncalibrated log-probabilities of both strict label sets in FER2013's classes, (n, 7) each."""
    found = []
    for name in (FER2013.name, FERPLUS.name):
        answer = model.with_label_set(name)
        given = answer.probabilities(images).astype(np.float64)
        found.append(np.log(np.maximum(given, 1e-12)) * answer.card.temperature)
    return found[0], found[1][:, COLUMNS]


def main() -> None:
    """Try all settings, print the best and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fusion.json"))
    options = parser.parse_args()
    dataset = mien.load(options.data, votes=options.votes)
    faces, public = mien.load(options.faces), dataset.subset(PUBLIC_TEST)
    training = dataset.subset(TRAINING)
    assert training.votes is not None
    assert public.votes is not None
    assert faces.sources is not None
    shares = vote_distribution(training.votes).sum(axis=0)
    prior = np.log((shares / shares.sum())[COLUMNS])
    major = majority(public.votes)
    to_seven = np.array([-1 if i is None else i for i in FERPLUS.map_to(FER2013)])
    known = (major >= 0) & (to_seven[major] >= 0)
    answers = {name: (logs_of(mien.Classifier(name), faces.images), logs_of(mien.Classifier(name), public.images))
               for name in options.models}  # fmt: skip
    rows: list[dict[str, Any]] = []
    for weight, exponent in itertools.product(WEIGHTS, EXPONENTS):
        scores = []
        for here, there in answers.values():
            fused = [(1 - weight) * a + weight * (b - exponent * prior) for a, b in (here, there)]
            chosen, guessed = (values.argmax(axis=1) for values in fused)
            score = {}
            for source in sorted(set(faces.sources.tolist())):
                part = faces.sources == source
                counts = confusion_matrix(faces.labels[part], chosen[part], len(FER2013))
                score[source] = float(mean_recall(counts, counts.sum(axis=1) >= FEWEST_FACES))
            score["fer2013"] = float((guessed == public.labels).mean())
            score["ferplus"] = float((guessed == to_seven[major])[known].mean())
            scores.append(score)
        row = {name: round(100 * float(np.mean([score[name] for score in scores])), 2) for name in scores[0]}
        sources = [row[name] for name in row if name not in {"fer2013", "ferplus"}]
        rows.append(
            {"weight": weight, "prior_exponent": exponent, "mean": round(float(np.mean(sources)), 2), **row}
        )
    rows.sort(key=lambda row: -row["mean"])
    for row in rows[:6]:
        print(row)
    document = {
        "models": [Path(name).stem for name in options.models],
        "machine": describe_machine(()),
        "rows": rows,
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
