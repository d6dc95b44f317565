"""Compare an exported model with its original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COMPARED = 100
"""Number of faces on which an export is compared with its original."""

_MOST_DIFFERENCE = 1e-3
"""Maximum difference of a float model's probabilities from those of the original."""

_LEAST_AGREEMENT = 0.7
"""Minimum share of faces for which an int8 model must predict the same class; below it, the conversion is broken."""


@dataclass(frozen=True)
class Parity:
    """The result of a comparison.

    Args:
        faces: number of compared faces.
        difference: the largest difference of a probability.
        agreement: share of faces for which both models predict the same class.
        note: what was not compared, if anything.
    """

    faces: int
    difference: float
    agreement: float
    note: str = ""

    def __str__(self) -> str:
        return (
            f"Run back on {self.faces} faces: the largest difference of a probability is {self.difference:.2g}, and "
            f"{self.agreement:.1%} get the same class. {self.note}"
        ).rstrip()


def compare(
    original: NDArray[np.float32], given: NDArray[np.float32], target: Path, *, int8: bool, note: str = ""
) -> Parity:
    """Compare the probabilities of an exported model with those of its original.

    Args:
        original: float32 (n, classes).
        given: float32 (n, classes) of the exported model.
        target: the output file, for the error message.
        int8: whether the exported model is quantized; then the classes are compared, else the probabilities.
        note: what was not compared, if anything.

    Raises:
        ModelError: If the difference is too large for a correct conversion.
    """
    parity = Parity(
        len(original),
        float(np.abs(original - given).max()),
        float((original.argmax(1) == given.argmax(1)).mean()),
        note,
    )
    kept = parity.agreement >= _LEAST_AGREEMENT if int8 else parity.difference <= _MOST_DIFFERENCE
    if not kept:  # also true for NaN
        raise ModelError(
            f"{target}: the predictions of the exported model differ from those of the original. {parity}"
        )
    return parity
