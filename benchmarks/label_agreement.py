"""Compare the labels of FER2013 with the majority of the FER+ votes for the same images.

    python benchmarks/label_agreement.py --data fer2013.csv --votes FERPlus --out benchmarks/results/label_agreement.json

For each split and each class by the majority of the votes, the output tells how many images have which label in FER2013.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import mien
from machine import describe_machine
from mien.data.dataset import SPLITS
from mien.data.ferplus import majority
from mien.labels import FER2013, FERPLUS


def main() -> None:
    """Count, print the shares of equal labels, and write the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fer2013.csv")
    parser.add_argument("--votes", required=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    dataset = mien.load(given.data, votes=given.votes)
    assert dataset.votes is not None
    voted = majority(dataset.votes)
    same = FERPLUS.map_to(FER2013)
    found = {}
    for split in SPLITS:
        here = (dataset.split == split) & (voted >= 0)
        counts = np.zeros((len(FERPLUS), len(FER2013)), int)
        np.add.at(counts, (voted[here], dataset.labels[here]), 1)
        found[split] = {
            name: dict(zip(FER2013.classes, row.tolist(), strict=True))
            for name, row in zip(FERPLUS.classes, counts, strict=True)
        }
        for name, row, index in zip(FERPLUS.classes, counts, same, strict=True):
            if index is not None and row.sum():
                print(
                    f"{split:12} {name:10} {row.sum():6,} images, {row[index] / row.sum():.1%} the same in FER2013"
                )
    if given.out:
        document = {"machine": describe_machine(("mien", "numpy")), "counts": found}
        given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
