"""Evaluate a classifier that is not a network: a linear classifier, trained by least squares. Needs only NumPy.

    python examples/evaluate_any_function.py

Any function from gray crops, uint8 (n, 48, 48), to probabilities (n, classes) can be evaluated in this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import mien
from mien.evaluation.scoring import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGE = 1000.0  # keeps 2304 weights per class from overfitting 1700 faces


def standardize(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixels (n, 2304) with mean 0 and standard deviation 1 per image, independent of its brightness."""
    pixels = crops.reshape(len(crops), -1).astype(np.float64)
    return np.asarray((pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True))


dataset = mien.load("synthetic:2100")
training = dataset.subset("Training")
pixels = standardize(training.images)
weights = np.linalg.solve(pixels.T @ pixels + RIDGE * np.eye(pixels.shape[1]), pixels.T @ training.targets)


def linear(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities (n, 7) by softmax; the factor sets the confidence."""
    powers = np.exp(5 * (standardize(crops) @ weights))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


evaluation = evaluate(
    linear, dataset, class_names=dataset.label_set.classes, split="PublicTest", model="least squares"
)
low, high = evaluation.accuracy_interval
print(f"{evaluation.model}: {evaluation.accuracy:.1%} of {evaluation.n} faces (95%: {low:.1%} to {high:.1%})")
print(f"calibration error {evaluation.ece:.3f}, macro-F1 {evaluation.macro_f1:.3f}")
