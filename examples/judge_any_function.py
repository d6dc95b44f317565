"""Judge a classifier that is no network: a linear one, learned by least squares. Needs numpy only.

    python examples/judge_any_function.py

Anything that turns gray crops, uint8 (n, 48, 48), into probabilities (n, classes) is judged in this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import mien
from mien.evaluation.evaluate import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGE = 1000.0  # keeps 2304 weights a class from learning 1700 faces by heart


def standardise(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixels (n, 2304) of mean 0 and deviation 1 in each image, whatever its light."""
    pixels = crops.reshape(len(crops), -1).astype(np.float64)
    return np.asarray((pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True))


dataset = mien.load("synthetic:2100")
training = dataset.subset("Training")
pixels = standardise(training.images)
weights = np.linalg.solve(pixels.T @ pixels + RIDGE * np.eye(pixels.shape[1]), pixels.T @ training.targets)


def linear(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities (n, 7) by softmax; the factor sets how sure they are."""
    powers = np.exp(5 * (standardise(crops) @ weights))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


evaluation = evaluate(
    linear, dataset, labels=dataset.taxonomy.classes, split="PublicTest", model="least squares"
)
low, high = evaluation.accuracy_interval
print(f"{evaluation.model}: {evaluation.accuracy:.1%} of {evaluation.n} faces (95%: {low:.1%} to {high:.1%})")
print(f"calibration error {evaluation.ece:.3f}, macro-F1 {evaluation.macro_f1:.3f}")
