"""Alternatives to the fixed fusion of label sets: ensembles, and a linear map learned on faces from other sources.

usage: python benchmarks/fusion_trials.py MODEL... --data fer2013.csv --votes FERPlus --faces FOLDER
       [--out benchmarks/results/fusion_trials.json]

Every MODEL supports fer2013 and ferplus, and its predictions for an image and its mirror image are averaged. Ensembles
are the mean of the fused logits of the first two models, and of all. The linear map adds to the fused logits of the
first model a map of its 14 log-probabilities, by maximum likelihood with a penalty on squared weights. It is fitted
without the faces that it is evaluated on: five folds of people and videos, or without the whole source. All scores are
mean recalls in %; PrivateTest is not read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

import mien
from fusion_search import COLUMNS, logs_of
from machine import describe_machine
from mien.data.dataset import TRAINING
from mien.data.ferplus import vote_distribution
from mien.evaluation.by_source import FEWEST_FACES, mean_recall
from mien.evaluation.metrics import confusion_matrix
from mien.labels import FER2013

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

WEIGHT, EXPONENT = 0.65, 0.75
PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
FOLDS = 5
_LOWEST = -8.0  # log-probabilities are clipped here


def heads_of(model: mien.Classifier, faces: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log-probabilities of both strict label sets (n, 7), averaged over each image and its mirror image."""
    mirrored = np.ascontiguousarray(faces.images[:, :, ::-1])
    pairs = zip(logs_of(model, faces.images), logs_of(model, mirrored), strict=True)
    first, second = (np.logaddexp(here, there) - np.log(2) for here, there in pairs)
    return first, second


def recalls(logits: NDArray[np.float64], faces: Dataset) -> dict[str, float]:
    """Return the mean recall in % of each source, over its classes with enough faces."""
    assert faces.sources is not None
    found = {}
    for source in sorted(set(faces.sources.tolist())):
        part = faces.sources == source
        counts = confusion_matrix(faces.labels[part], logits[part].argmax(axis=1), len(FER2013))
        found[source] = round(100 * float(mean_recall(counts, counts.sum(axis=1) >= FEWEST_FACES)), 1)
    return found


def fit_map(
    features: NDArray[np.float64],
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    penalty: float,
) -> NDArray[np.float64]:
    """Return the linear map (features, 7) whose result, added to `logits`, maximizes the likelihood of `labels`."""
    rows, columns = np.arange(len(labels)), logits.shape[1]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = logits + features @ flat.reshape(-1, columns)
        log_p = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        error = np.exp(log_p)
        error[rows, labels] -= 1
        slope = features.T @ (error * weights[:, None])
        return (
            float(-(weights * log_p[rows, labels]).sum() + penalty * (flat**2).sum()),
            slope.ravel() + 2 * penalty * flat,
        )

    start = np.zeros(features.shape[1] * columns)
    found: NDArray[np.float64] = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found.reshape(-1, columns)


def balanced_weights(faces: Dataset) -> NDArray[np.float64]:
    """Return weights with which all classes of all sources count equally, except that small classes count less."""
    assert faces.sources is not None
    weights = np.zeros(len(faces))
    for source in set(faces.sources.tolist()):
        for label in range(len(FER2013)):
            part = (faces.sources == source) & (faces.labels == label)
            weights[part] = 1 / max(int(part.sum()), FEWEST_FACES)
    return weights


def mapped(
    heads: tuple[NDArray[np.float64], NDArray[np.float64]],
    fused: NDArray[np.float64],
    faces: Dataset,
    parts: NDArray[Any],
    penalty: float,
) -> NDArray[np.float64]:
    """Return the fused logits plus, for each part, a map that is fitted on all other parts."""
    features = np.hstack([np.maximum(each, _LOWEST) for each in heads] + [np.ones((len(fused), 1))])
    weights, found = balanced_weights(faces), fused.copy()
    for part in np.unique(parts):
        here = parts == part
        learned = fit_map(features[~here], fused[~here], faces.labels[~here], weights[~here], penalty)
        found[here] += features[here] @ learned
    return found


def main() -> None:
    """Run all trials, print a row for each and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fusion_trials.json"))
    options = parser.parse_args()
    training = mien.load(options.data, votes=options.votes).subset(TRAINING)
    faces = mien.load(options.faces)
    assert training.votes is not None
    assert faces.sources is not None
    assert faces.groups is not None
    shares = vote_distribution(training.votes).sum(axis=0)
    prior = np.log((shares / shares.sum())[COLUMNS])
    heads = {name: heads_of(mien.Classifier(name), faces) for name in options.models}
    fused = {name: (1 - WEIGHT) * a + WEIGHT * (b - EXPONENT * prior) for name, (a, b) in heads.items()}
    names = {name: Path(name).stem for name in options.models}
    rows: dict[str, dict[str, float]] = {names[name]: recalls(value, faces) for name, value in fused.items()}
    for chosen in (options.models[:2], options.models):
        label = "mean of " + ", ".join(names[name] for name in chosen)
        rows[label] = recalls(np.mean([fused[name] for name in chosen], axis=0), faces)
    first = options.models[0]
    groups, order = np.unique(faces.groups, return_inverse=True)
    folds = np.random.default_rng(0).permutation(len(groups))[order] % FOLDS
    for kind, parts in (("5 folds", folds), ("without its source", faces.sources)):
        for penalty in PENALTIES:
            logits = mapped(heads[first], fused[first], faces, parts, penalty)
            rows[f"linear map of {names[first]}, {kind}, penalty {penalty:g}"] = recalls(logits, faces)
    for name, row in rows.items():
        print(f"{name:<64}", *(f"{source} {value:5.1f}" for source, value in row.items()))
    document = {"faces": len(faces), "machine": describe_machine(()), "rows": rows}
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
